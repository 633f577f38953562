// hnswlib. Kinds: hnsw-ip (inner product as the distance), hnsw-l2 (rows made equally long, then L2). Setting: ef.
#include <hnswlib/hnswlib.h>

#include "search.hpp"

static constexpr size_t kLinks = 32;
static constexpr size_t kConstruction = 200;

static std::unique_ptr<hnswlib::SpaceInterface<float>> space(const Problem& problem, const std::string& kind)
{
    if (is_l2(kind))
        return std::make_unique<hnswlib::L2Space>(problem.length);
    return std::make_unique<hnswlib::InnerProductSpace>(problem.length);
}

class Graph : public Index {
public:
    Graph(const Problem& problem, const std::string& kind, const std::string& path) : space_(space(problem, kind)), graph_(space_.get(), path) {}

    void set(const std::string& setting) override { graph_.setEf(std::stoul(setting)); }

    void answer(const float* query, int* top) override
    {
        auto found = graph_.searchKnn(query, kTop);
        std::fill(top, top + kTop, -1);
        for (int rank = (int)found.size() - 1; rank >= 0; rank--, found.pop())
            top[rank] = (int)found.top().second;
    }

private:
    std::unique_ptr<hnswlib::SpaceInterface<float>> space_;
    hnswlib::HierarchicalNSW<float> graph_;
};

void build(const Problem& problem, const std::string& kind, const std::string& path)
{
    std::vector<float> rows = problem.rows(is_l2(kind));
    auto distances = space(problem, kind);
    hnswlib::HierarchicalNSW<float> graph(distances.get(), problem.labels, kLinks, kConstruction);
    graph.addPoint(rows.data(), 0);
#pragma omp parallel for schedule(dynamic, 64)
    for (int label = 1; label < problem.labels; label++)
        graph.addPoint(&rows[(size_t)label * problem.length], label);
    graph.saveIndex(path);
}

std::unique_ptr<Index> load(const Problem& problem, const std::string& kind, const std::string& path, const std::string& setting)
{
    auto index = std::make_unique<Graph>(problem, kind, path);
    index->set(setting);
    return index;
}

std::vector<std::string> settings(const std::string&) { return {"5", "8", "12", "16", "24", "32", "48", "64", "96", "128", "192", "256", "512", "1024", "2048"}; }

int main(int argc, char** argv) { return run(argc, argv); }
