// FAISS. Kinds: hnsw, ivf, ivfpq, each with -ip (inner product) or -l2 (rows made equally long, then L2).
// Settings: ef (hnsw); nprobe (ivf); nprobe,factor (ivfpq: the best factor x 5 are ranked again with whole vectors; 0 not).
#include <faiss/IndexFlat.h>
#include <faiss/IndexHNSW.h>
#include <faiss/IndexIVFFlat.h>
#include <faiss/IndexIVFPQ.h>
#include <faiss/IndexRefine.h>
#include <faiss/index_io.h>
#include <omp.h>

#include "search.hpp"

static constexpr int kLinks = 32;
static constexpr int kConstruction = 200;
static constexpr int kLists = 1024;
static constexpr int kSubspace = 4;

class Faiss : public Index {
public:
    Faiss(const std::string& kind, const std::string& path, const std::string& setting) : kind_(kind), index_(faiss::read_index(path.c_str()))
    {
        set(setting);
    }

    void set(const std::string& setting) override
    {
        size_t comma = setting.find(',');
        int first = std::stoi(setting), factor = comma == std::string::npos ? 0 : std::stoi(setting.substr(comma + 1));
        faiss::Index* base = index_.get();
        auto* refined = dynamic_cast<faiss::IndexRefine*>(base);
        if (refined != nullptr) {
            base = refined->base_index;
            refined->k_factor = (float)std::max(factor, 1);
        }
        search_ = factor == 0 ? base : index_.get();
        if (auto* graph = dynamic_cast<faiss::IndexHNSW*>(base))
            graph->hnsw.efSearch = first;
        if (auto* lists = dynamic_cast<faiss::IndexIVF*>(base))
            lists->nprobe = first;
    }

    void answer(const float* query, int* top) override
    {
        float distances[kTop];
        faiss::Index::idx_t found[kTop];
        search_->search(1, query, kTop, distances, found);
        std::copy_n(found, kTop, top);
    }

private:
    std::string kind_;
    std::unique_ptr<faiss::Index> index_;
    faiss::Index* search_ = nullptr;
};

static faiss::Index* make(const Problem& problem, const std::string& kind)
{
    int length = problem.length;
    faiss::MetricType metric = is_l2(kind) ? faiss::METRIC_L2 : faiss::METRIC_INNER_PRODUCT;
    if (kind.rfind("hnsw", 0) == 0) {
        auto* graph = new faiss::IndexHNSWFlat(length, kLinks, metric);
        graph->hnsw.efConstruction = kConstruction;
        return graph;
    }
    auto* centres = new faiss::IndexFlat(length, metric);
    faiss::IndexIVF* lists;
    int count = std::min(kLists, problem.labels / 40 + 1);
    if (kind.rfind("ivfpq", 0) == 0)
        lists = new faiss::IndexIVFPQ(centres, length, count, length / kSubspace, 8, metric);
    else
        lists = new faiss::IndexIVFFlat(centres, length, count, metric);
    lists->own_fields = true;
    if (kind.rfind("ivfpq", 0) != 0)
        return lists;
    auto* refined = new faiss::IndexRefineFlat(lists);
    refined->own_fields = true;
    return refined;
}

void build(const Problem& problem, const std::string& kind, const std::string& path)
{
    std::vector<float> rows = problem.rows(is_l2(kind));
    std::unique_ptr<faiss::Index> index(make(problem, kind));
    index->train(problem.labels, rows.data());
    index->add(problem.labels, rows.data());
    faiss::write_index(index.get(), path.c_str());
}

std::unique_ptr<Index> load(const Problem&, const std::string& kind, const std::string& path, const std::string& setting)
{
    omp_set_num_threads(1);
    return std::make_unique<Faiss>(kind, path, setting);
}

std::vector<std::string> settings(const std::string& kind)
{
    if (kind.rfind("hnsw", 0) == 0)
        return {"5", "8", "12", "16", "24", "32", "48", "64", "96", "128", "192", "256", "512", "1024", "2048"};
    std::vector<std::string> all;
    for (int probes : {1, 2, 4, 8, 16, 32, 64, 128, 256, 512}) {
        if (kind.rfind("ivfpq", 0) != 0)
            all.push_back(std::to_string(probes));
        else {
            for (int factor : {0, 2, 8})
                all.push_back(std::to_string(probes) + "," + std::to_string(factor));
        }
    }
    return all;
}

int main(int argc, char** argv) { return run(argc, argv); }
