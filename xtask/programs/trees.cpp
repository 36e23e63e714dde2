// Nested text that is parsed into trees, copied, written out and dropped: a target of `cargo xtask bench --only compare`,
// built without frame pointers. Allocations are the standard library's, 20 to 40 frames down recursive functions.
//
// A run measures documents a second.
#include "serve.h"

#include <map>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "mix.h"

namespace {

struct Tree;
using Owned = std::unique_ptr<Tree>;

struct Tree {
    using List = std::vector<Owned>;
    using Record = std::map<std::string, Owned>;
    std::variant<double, std::string, List, Record> value;
};

class Parser {
  public:
    explicit Parser(const std::string &text) : at(text.c_str()) {}

    NOINLINE Owned tree() {
        auto result = std::make_unique<Tree>();
        switch (*at) {
        case '{': result->value = record(); break;
        case '[': result->value = list(); break;
        case '"': result->value = string(); break;
        default: {
            char *end;
            result->value = strtod(at, &end);
            if (end == at) abort();
            at = end;
        }
        }
        return result;
    }

  private:
    NOINLINE Tree::Record record() {
        Tree::Record members;
        for (at++; *at != '}'; skip(',')) {
            std::string name = string();
            skip(':');
            members[name] = tree();
        }
        at++;
        return members;
    }

    NOINLINE Tree::List list() {
        Tree::List items;
        for (at++; *at != ']'; skip(',')) items.push_back(tree());
        at++;
        return items;
    }

    NOINLINE std::string string() {
        const char *begin = ++at;
        while (*at != '"') at++;
        return std::string(begin, at++);
    }

    void skip(char what) {
        if (*at == what) at++;
    }

    const char *at;
};

NOINLINE Owned copy(const Tree &tree) {
    auto result = std::make_unique<Tree>();
    if (auto *list = std::get_if<Tree::List>(&tree.value)) {
        auto &items = result->value.emplace<Tree::List>();
        for (auto &item : *list) items.push_back(copy(*item));
    } else if (auto *record = std::get_if<Tree::Record>(&tree.value)) {
        auto &members = result->value.emplace<Tree::Record>();
        for (auto &[name, member] : *record) members[name] = copy(*member);
    } else if (auto *text = std::get_if<std::string>(&tree.value)) {
        result->value = *text;
    } else {
        result->value = std::get<double>(tree.value);
    }
    return result;
}

NOINLINE void write(const Tree &tree, std::string &out) {
    if (auto *list = std::get_if<Tree::List>(&tree.value)) {
        char mark = '[';
        for (auto &item : *list) {
            out += mark;
            write(*item, out);
            mark = ',';
        }
        out += ']';
    } else if (auto *record = std::get_if<Tree::Record>(&tree.value)) {
        char mark = '{';
        for (auto &[name, member] : *record) {
            out += mark;
            out += '"' + name + "\":";
            write(*member, out);
            mark = ',';
        }
        out += '}';
    } else if (auto *text = std::get_if<std::string>(&tree.value)) {
        out += '"' + *text + '"';
    } else {
        char number[32];
        snprintf(number, sizeof number, "%.0f", std::get<double>(tree.value));
        out += number;
    }
}

// A document of this depth: lists and records in turn, with one deep branch each.
void compose(std::string &out, uint64_t &seed, int depth) {
    uint64_t random = mix_random(&seed);
    if (depth == 0) {
        std::string number = std::to_string(random % 100000);
        out += random >> 63 != 0 ? number : "\"text of a leaf, number " + number + '"';
    } else if (depth % 2 != 0) {
        out += '[';
        compose(out, seed, depth - 1);
        out += ',';
        compose(out, seed, 0);
        out += ']';
    } else {
        for (int member = 0; member < 3; member++) {
            out += member == 0 ? '{' : ',';
            out += "\"name_of_member_" + std::to_string(member) + "\":";
            compose(out, seed, member == 0 ? depth - 1 : depth > 4 ? depth / 3 : 0);
        }
        out += '}';
    }
}

constexpr int DOCUMENTS = 16, DEPTH = 12;
std::vector<std::string> documents;
std::vector<Owned> kept(DOCUMENTS);

// The tree stays until the same document comes again; its copy does not.
NOINLINE void handle(size_t number) {
    const std::string &document = documents[number];
    Owned tree = Parser(document).tree();
    Owned other = copy(*tree);
    std::string out;
    write(*other, out);
    // What went in must come out.
    if (out != document) abort();
    kept[number] = std::move(tree);
}

double documents_per_second(unsigned milliseconds) {
    uint64_t start = now_ns(), end = start + milliseconds * 1000000ull, count = 0, now;
    do {
        handle(count++ % DOCUMENTS);
        now = now_ns();
    } while (now < end);
    return (double)count * 1e9 / (double)(now - start);
}

} // namespace

int main() {
    uint64_t seed = 7;
    for (int number = 0; number < DOCUMENTS; number++) {
        documents.emplace_back();
        compose(documents.back(), seed, DEPTH);
    }
    serve(documents_per_second);
    return 0;
}
