namespace EdgeSlide.Kernels;

/// <summary>
/// Shell's sort for the short lists of a query. The framework's sort allocates a delegate in native code, and its order of
/// equal keys is its own affair; this one allocates nothing and does the same everywhere.
/// </summary>
internal static unsafe class SmallSort
{
    /// <summary>Ciura's gaps, continued by a factor of 2.25.</summary>
    private static ReadOnlySpan<int> Gaps => [46147, 20509, 9115, 4051, 1801, 701, 301, 132, 57, 23, 10, 4, 1];

    /// <summary>Sorts keys in ascending order.</summary>
    public static void Sort(uint* keys, int count)
    {
        foreach (int gap in Gaps)
        {
            for (int i = gap; i < count; i++)
            {
                uint key = keys[i];
                int at = i;
                for (; at >= gap && keys[at - gap] > key; at -= gap)
                    keys[at] = keys[at - gap];
                keys[at] = key;
            }
        }
    }

    /// <summary>Sorts keys in ascending order and moves their values along.</summary>
    public static void Sort(int* keys, float* values, int count)
    {
        foreach (int gap in Gaps)
        {
            for (int i = gap; i < count; i++)
            {
                int key = keys[i];
                float value = values[i];
                int at = i;
                for (; at >= gap && keys[at - gap] > key; at -= gap)
                {
                    keys[at] = keys[at - gap];
                    values[at] = values[at - gap];
                }
                keys[at] = key;
                values[at] = value;
            }
        }
    }
}
