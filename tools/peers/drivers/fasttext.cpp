// fastText through its library: only the step from words to labels is timed, not reading the line.
#include <fasttext/fasttext.h>

#include <fstream>
#include <sstream>

#include "common.hpp"

class Classifier {
public:
    explicit Classifier(const std::string& path)
    {
        model_.loadModel(path);
        auto dictionary = model_.getDictionary();
        for (int i = 0; i < dictionary->nlabels(); i++)
            labels_.push_back(std::stoi(dictionary->getLabel(i).substr(std::strlen("__label__"))));
    }

    std::vector<int32_t> words(const std::string& line) const
    {
        std::vector<int32_t> words, labels;
        // With its end, which is a word of its own to fastText, in training too.
        std::istringstream stream(line + '\n');
        model_.getDictionary()->getLine(stream, words, labels);
        return words;
    }

    void answer(const std::vector<int32_t>& words, int* top)
    {
        std::fill(top, top + kTop, -1);
        found_.clear();
        if (words.empty())
            return;
        model_.predict(kTop, words, found_, 0);
        for (size_t rank = 0; rank < found_.size(); rank++)
            top[rank] = labels_[found_[rank].second];
    }

    std::string describe() const
    {
        fasttext::Args args = model_.getArgs();
        auto dictionary = model_.getDictionary();
        return ", \"dim\": " + std::to_string(args.dim) + ", \"words\": " + std::to_string(dictionary->nwords()) + ", \"labels\": " + std::to_string(dictionary->nlabels());
    }

private:
    fasttext::FastText model_;
    fasttext::Predictions found_;
    std::vector<int> labels_;
};

static int run(int argc, char** argv)
{
    std::string command = argc > 1 ? argv[1] : "";
    if (command == "score" && argc == 6) {
        Truth truth(argv[4]);
        Classifier model(argv[2]);
        std::ifstream file(argv[3]);
        Scores scores(truth);
        std::string line;
        std::vector<size_t> chosen = sample_rows(truth.rows(), std::stoul(argv[5]));
        size_t row = 0;
        for (size_t next : chosen) {
            do {
                if (!std::getline(file, line))
                    fail(std::string(argv[3]) + ": has fewer rows than " + argv[4]);
            } while (row++ < next);
            int top[kTop];
            model.answer(model.words(line), top);
            scores.add(next, top);
        }
        scores.print();
    } else if (command == "time" && argc == 5) {
        Classifier model(argv[2]);
        std::ifstream file(argv[3]);
        std::vector<std::vector<int32_t>> queries;
        std::string line;
        for (size_t count = std::stoul(argv[4]); queries.size() < count && std::getline(file, line);)
            queries.push_back(model.words(line));
        print(time_queries(queries.size(), kPassSeconds, [&](size_t i) {
            int top[kTop];
            model.answer(queries[i], top);
        }), model.describe());
    } else
        fail("usage: score MODEL TEST ARRAYS ROWS | time MODEL TEST QUERIES", 2);
    return 0;
}

int main(int argc, char** argv)
{
    try {
        return run(argc, argv);
    } catch (const std::exception& error) {
        fail(error.what(), 3);
    }
}
