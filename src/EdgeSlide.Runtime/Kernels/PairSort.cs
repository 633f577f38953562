namespace EdgeSlide.Kernels;

/// <summary>
/// Sorts keys with their values in place. The framework's sort makes a delegate per call in ahead-of-time compiled code;
/// this one allocates nothing.
/// </summary>
internal static unsafe class PairSort
{
    private const int InsertionLimit = 32;

    public static void Ascending(int* keys, float* values, int count)
    {
        if (count <= InsertionLimit)
            Insertion(keys, values, count);
        else
            Heap(keys, values, count);
    }

    private static void Insertion(int* keys, float* values, int count)
    {
        for (int i = 1; i < count; i++)
        {
            int key = keys[i];
            float value = values[i];
            int j = i;
            for (; j > 0 && keys[j - 1] > key; j--)
            {
                keys[j] = keys[j - 1];
                values[j] = values[j - 1];
            }
            keys[j] = key;
            values[j] = value;
        }
    }

    private static void Heap(int* keys, float* values, int count)
    {
        for (int root = count / 2 - 1; root >= 0; root--)
            SiftDown(keys, values, root, count);
        for (int last = count - 1; last > 0; last--)
        {
            (keys[0], keys[last]) = (keys[last], keys[0]);
            (values[0], values[last]) = (values[last], values[0]);
            SiftDown(keys, values, 0, last);
        }
    }

    private static void SiftDown(int* keys, float* values, int root, int count)
    {
        int key = keys[root];
        float value = values[root];
        int child;
        while ((child = 2 * root + 1) < count)
        {
            if (child + 1 < count && keys[child + 1] > keys[child])
                child++;
            if (keys[child] <= key)
                break;
            keys[root] = keys[child];
            values[root] = values[child];
            root = child;
        }
        keys[root] = key;
        values[root] = value;
    }
}
