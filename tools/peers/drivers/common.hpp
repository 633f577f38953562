// What the peers' drivers share: arrays written by `edgeslide-workbench export`, scoring, timing, JSON lines.
#pragma once

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

constexpr int kTop = 5;

[[noreturn]] inline void fail(const std::string& message, int code = 4)
{
    std::fprintf(stderr, "%s\n", message.c_str());
    std::exit(code);
}

// A memory-mapped .npy file, format 1.0, little-endian, C order.
template <class T>
class Array {
public:
    explicit Array(const std::string& path)
    {
        int file = open(path.c_str(), O_RDONLY);
        struct stat info;
        if (file < 0 || fstat(file, &info) != 0)
            fail(path + ": cannot be read");
        size_t length = info.st_size;
        void* map = length < 10 ? MAP_FAILED : mmap(nullptr, length, PROT_READ, MAP_PRIVATE, file, 0);
        close(file);
        if (map == MAP_FAILED)
            fail(path + ": cannot be mapped");
        auto* bytes = static_cast<const unsigned char*>(map);
        size_t start = 10 + bytes[8] + 256 * bytes[9];
        if (std::memcmp(bytes, "\x93NUMPY\x01", 7) != 0 || start > length)
            fail(path + ": is not an .npy file of format 1.0");
        std::string header(bytes + 10, bytes + start);
        const char* type = std::is_same<T, float>::value ? "<f4" : sizeof(T) == 4 ? "<i4" : "<i8";
        if (header.find(std::string("'descr': '") + type) == std::string::npos)
            fail(path + ": is not of type " + type);
        const char* at = std::strchr(header.c_str(), '(');
        size_t product = 1;
        while (at != nullptr && *at != ')') {
            char* end;
            size_t size = std::strtoull(at + 1, &end, 10);
            if (end == at + 1)
                break;
            shape.push_back(size);
            product *= size;
            at = std::strpbrk(end, ",)");
        }
        items = reinterpret_cast<const T*>(bytes + start);
        if (shape.empty() || product * sizeof(T) != length - start)
            fail(path + ": its length is not that of its shape");
    }

    const T* items;
    std::vector<size_t> shape;
    size_t size() const { return shape.size() < 2 ? shape[0] : shape[0] * shape[1]; }
};

// True labels of the test rows, and the weights of PSP@k.
class Truth {
public:
    explicit Truth(const std::string& folder)
        : offsets_(folder + "/label_offsets.npy"), ids_(folder + "/label_ids.npy"), inverse_(folder + "/inverse_propensities.npy")
    {
        for (size_t i = 0; i + 1 < offsets_.size(); i++) {
            if (offsets_.items[i] < 0 || offsets_.items[i] > offsets_.items[i + 1] || offsets_.items[i + 1] > (int64_t)ids_.size())
                fail(folder + ": label offsets are out of range");
        }
        for (size_t i = 0; i < ids_.size(); i++) {
            if (ids_.items[i] < 0 || ids_.items[i] >= (int)inverse_.size())
                fail(folder + ": a label is out of range");
        }
    }

    size_t rows() const { return offsets_.size() - 1; }
    const int32_t* begin(size_t row) const { return ids_.items + offsets_.items[row]; }
    const int32_t* end(size_t row) const { return ids_.items + offsets_.items[row + 1]; }
    float inverse(int label) const { return inverse_.items[label]; }

private:
    Array<int64_t> offsets_;
    Array<int32_t> ids_;
    Array<float> inverse_;
};

// P@1, P@5 and PSP@1 as the workbench defines them; rows without labels do not count.
class Scores {
public:
    explicit Scores(const Truth& truth) : truth_(truth) {}

    // top: kTop labels, best first; -1 where there are fewer.
    void add(size_t row, const int* top)
    {
        const int32_t *first = truth_.begin(row), *last = truth_.end(row);
        if (first == last)
            return;
        rows_++;
        for (int rank = 0; rank < kTop; rank++) {
            if (top[rank] < 0 || std::find(first, last, top[rank]) == last)
                continue;
            hits5_++;
            if (rank == 0) {
                hits1_++;
                weighted_ += truth_.inverse(top[0]);
            }
        }
        float best = 0;
        for (const int32_t* label = first; label != last; label++)
            best = std::max(best, truth_.inverse(*label));
        best_ += best;
    }

    double p1() const { return hits1_ / (double)rows_; }
    void print() const { std::printf("{\"rows\": %zu, \"p1\": %.6f, \"p5\": %.6f, \"psp1\": %.6f}\n", rows_, p1(), hits5_ / (double)(kTop * rows_), weighted_ / best_); }

private:
    const Truth& truth_;
    size_t rows_ = 0, hits1_ = 0, hits5_ = 0;
    double weighted_ = 0, best_ = 0;
};

// `wanted` of `rows`, spread evenly, or all of them when wanted is 0.
inline std::vector<size_t> sample_rows(size_t rows, size_t wanted)
{
    if (wanted == 0 || wanted > rows)
        wanted = rows;
    std::vector<size_t> chosen(wanted);
    for (size_t i = 0; i < wanted; i++)
        chosen[i] = i * rows / wanted;
    return chosen;
}

inline int64_t now()
{
    return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

struct Timing {
    double median_ns;
    size_t queries;
};

// Every query by itself, in order, after a pass that warms up. A pass ends early, after `seconds`, for slow peers.
template <class Answer>
Timing time_queries(size_t queries, double seconds, Answer answer)
{
    std::vector<int64_t> times;
    for (int pass = 0; pass < 2; pass++) {
        times.clear();
        int64_t end = now() + (int64_t)(seconds * 1e9);
        for (size_t query = 0; query < queries && (times.empty() || now() < end); query++) {
            int64_t start = now();
            answer(query);
            times.push_back(now() - start);
        }
    }
    std::sort(times.begin(), times.end());
    return {(double)times[(times.size() - 1) / 2], times.size()};
}

constexpr double kPassSeconds = 1.0;

inline void print(const Timing& timing, const std::string& more = "")
{
    std::printf("{\"ns\": %.0f, \"queries\": %zu%s}\n", timing.median_ns, timing.queries, more.c_str());
}

// Keeps the kTop largest of a run of logits, best first; equal ones by lower label.
inline void top_of(const float* logits, int count, int* top)
{
    float best[kTop];
    std::fill(best, best + kTop, -__builtin_inff());
    std::fill(top, top + kTop, -1);
    for (int label = 0; label < count; label++) {
        float value = logits[label];
        if (!(value > best[kTop - 1]))
            continue;
        int at = kTop - 1;
        for (; at > 0 && value > best[at - 1]; at--) {
            best[at] = best[at - 1];
            top[at] = top[at - 1];
        }
        best[at] = value;
        top[at] = label;
    }
}
