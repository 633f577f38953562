// Every neuron in FP32: OpenBLAS sgemv, then the five largest logits.
#include <cblas.h>

#include "search.hpp"

extern "C" char* openblas_get_corename(void);
extern "C" char* openblas_get_config(void);

// kind: rows (a neuron's weights together) or columns (a hidden unit's weights together): two shapes of sgemv, one may win.
class Dense : public Index {
public:
    Dense(const Problem& problem, bool columns) : problem_(problem), columns_(columns), logits_(problem.labels)
    {
        size_t labels = problem.labels, width = problem.width;
        weights_.resize(labels * width);
        for (size_t j = 0; j < labels; j++) {
            for (size_t i = 0; i < width; i++)
                weights_[columns ? i * labels + j : j * width + i] = problem.weights()[j * width + i];
        }
    }

    void set(const std::string&) override {}

    void multiply(const float* query)
    {
        std::copy_n(problem_.bias(), problem_.labels, logits_.data());
        if (columns_)
            cblas_sgemv(CblasColMajor, CblasNoTrans, problem_.labels, problem_.width, 1, weights_.data(), problem_.labels, query, 1, 1, logits_.data(), 1);
        else
            cblas_sgemv(CblasRowMajor, CblasNoTrans, problem_.labels, problem_.width, 1, weights_.data(), problem_.width, query, 1, 1, logits_.data(), 1);
    }

    void answer(const float* query, int* top) override
    {
        multiply(query);
        top_of(logits_.data(), problem_.labels, top);
    }

private:
    const Problem& problem_;
    bool columns_;
    std::vector<float> weights_, logits_;
};

void build(const Problem&, const std::string&, const std::string&) { fail("there is nothing to build", 2); }

std::unique_ptr<Index> load(const Problem& problem, const std::string& kind, const std::string&, const std::string&)
{
    return std::make_unique<Dense>(problem, kind == "columns");
}

std::vector<std::string> settings(const std::string&) { return {"-"}; }

int main(int argc, char** argv)
{
    if (argc == 2 && std::strcmp(argv[1], "core") == 0) {
        std::printf("%s (%s)\n", openblas_get_corename(), openblas_get_config());
        return 0;
    }
    if (argc == 5 && std::strcmp(argv[1], "gemv") == 0) { // The product alone: gemv ARRAYS KIND QUERIES
        Problem problem(argv[2]);
        Dense dense(problem, std::strcmp(argv[3], "columns") == 0);
        std::vector<float> query(problem.length);
        print(time_queries(std::stoul(argv[4]), kPassSeconds, [&](size_t i) { dense.multiply(problem.hidden(i % problem.truth.rows())); }));
        return 0;
    }
    return run(argc, argv);
}
