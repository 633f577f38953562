// Maximum-inner-product search over a network's output layer: the driver around an index.
#pragma once

#include <cmath>
#include <memory>

#include "common.hpp"

// The exported layer as vectors of one length: a row's weights, its bias, and in space l2 a coordinate that gives all rows
// the same length, so that the nearest row in L2 is the one with the largest inner product. Queries are (hidden, 1, 0).
class Problem {
public:
    explicit Problem(const std::string& folder)
        : truth(folder), weights_(folder + "/weights.npy"), bias_(folder + "/bias.npy"), hidden_(folder + "/hidden.npy")
    {
        if (weights_.shape.size() != 2 || hidden_.shape.size() != 2 || hidden_.shape[1] != weights_.shape[1] || bias_.size() != weights_.shape[0] ||
            truth.rows() != hidden_.shape[0])
            fail(folder + ": the arrays do not belong together");
        labels = weights_.shape[0];
        width = weights_.shape[1];
        length = (width + 2 + 3) / 4 * 4;
    }

    std::vector<float> rows(bool l2) const
    {
        std::vector<float> all((size_t)labels * length);
        std::vector<double> squares(labels);
        double longest = 0;
        for (int label = 0; label < labels; label++) {
            float* row = &all[(size_t)label * length];
            std::copy_n(weights_.items + (size_t)label * width, width, row);
            row[width] = bias_.items[label];
            for (int i = 0; i <= width; i++)
                squares[label] += (double)row[i] * row[i];
            longest = std::max(longest, squares[label]);
        }
        for (int label = 0; l2 && label < labels; label++)
            all[(size_t)label * length + width + 1] = (float)std::sqrt(longest - squares[label]);
        return all;
    }

    void query(size_t row, float* vector) const
    {
        std::copy_n(hidden(row), width, vector);
        vector[width] = 1;
        std::fill(vector + width + 1, vector + length, 0.f);
    }

    const float* hidden(size_t row) const { return hidden_.items + row * width; }
    const float* weights() const { return weights_.items; }
    const float* bias() const { return bias_.items; }

    Truth truth;
    int labels, width, length;

private:
    Array<float> weights_, bias_, hidden_;
};

// An index of some kind ("hnsw-ip", ...). Settings are what may change without building it again.
class Index {
public:
    virtual ~Index() = default;
    virtual void set(const std::string& setting) = 0;
    virtual void answer(const float* query, int* top) = 0;
};

// Each peer defines these.
void build(const Problem& problem, const std::string& kind, const std::string& path);
std::unique_ptr<Index> load(const Problem& problem, const std::string& kind, const std::string& path, const std::string& setting);
std::vector<std::string> settings(const std::string& kind);

inline double p1_of(const Problem& problem, Index& index, size_t rows, bool print)
{
    Scores scores(problem.truth);
    std::vector<float> query(problem.length);
    for (size_t row : sample_rows(problem.truth.rows(), rows)) {
        int top[kTop];
        problem.query(row, query.data());
        index.answer(query.data(), top);
        scores.add(row, top);
    }
    if (print)
        scores.print();
    return scores.p1();
}

inline Timing time_of(const Problem& problem, Index& index, size_t queries)
{
    queries = std::min(queries, problem.truth.rows());
    std::vector<float> all(queries * problem.length);
    for (size_t i = 0; i < queries; i++)
        problem.query(i, &all[i * problem.length]);
    return time_queries(queries, kPassSeconds, [&](size_t i) {
        int top[kTop];
        index.answer(&all[i * problem.length], top);
    });
}

// The first setting whose P@1 on a sample is at least `target`, else the one with the best P@1. Settings are in order of
// their work, so the first is the fastest.
inline void sweep(const Problem& problem, const std::string& kind, const std::string& path, double target, size_t rows)
{
    std::string best;
    double best_p1 = -1, best_ns = 0;
    for (const std::string& setting : settings(kind)) {
        std::unique_ptr<Index> index = load(problem, kind, path, setting);
        double p1 = p1_of(problem, *index, rows, false), ns = time_of(problem, *index, 500).median_ns;
        std::fprintf(stderr, "%s %s: P@1 %.4f of %.4f wanted, %.1f us\n", kind.c_str(), setting.c_str(), p1, target, ns / 1000);
        if (p1 > best_p1)
            best = setting, best_p1 = p1, best_ns = ns;
        if (p1 >= target)
            break;
    }
    std::printf("{\"kind\": \"%s\", \"setting\": \"%s\", \"reached\": %s, \"p1\": %.6f, \"ns\": %.0f}\n", kind.c_str(), best.c_str(),
                best_p1 >= target ? "true" : "false", best_p1, best_ns);
}

inline int run(int argc, char** argv)
{
    std::vector<std::string> args(argv + 1, argv + argc);
    std::string command = args.empty() ? "" : args[0];
    auto takes = [&](const char* name, size_t count) { return command == name && args.size() == count + 1; };
    if (takes("build", 3))
        build(Problem(args[1]), args[2], args[3]);
    else if (takes("sweep", 5))
        sweep(Problem(args[1]), args[2], args[3], std::stod(args[4]), std::stoul(args[5]));
    else if (takes("score", 5)) {
        Problem problem(args[1]);
        p1_of(problem, *load(problem, args[2], args[3], args[4]), std::stoul(args[5]), true);
    } else if (takes("time", 5)) {
        Problem problem(args[1]);
        print(time_of(problem, *load(problem, args[2], args[3], args[4]), std::stoul(args[5])));
    } else
        fail("usage: build ARRAYS KIND INDEX | sweep ARRAYS KIND INDEX TARGET ROWS | score ARRAYS KIND INDEX SETTING ROWS | time ARRAYS KIND INDEX SETTING QUERIES", 2);
    return 0;
}

inline bool is_l2(const std::string& kind) { return kind.size() > 3 && kind.compare(kind.size() - 3, 3, "-l2") == 0; }
