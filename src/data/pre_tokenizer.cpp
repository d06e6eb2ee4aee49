#include "pre_tokenizer.hpp"

#include "normalizer.hpp"
#include "text_pattern.hpp"

#include <fmt/format.h>

#include <cctype>

namespace strait::data {
namespace {

/// GPT-2's, which ByteLevel has built in.
constexpr std::string_view gpt2_words =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

/// A pattern that finds `text`.
std::string escaped(std::string_view text) {
  std::string pattern;
  for (const char c : text) {
    if (std::ispunct(static_cast<unsigned char>(c))) pattern += '\\';
    pattern += c;
  }
  return pattern;
}

/// Gives the matches of a pattern, what lies between them, or both, each as a piece of its own.
struct SplitAtMatches {
  TextPattern pattern;
  bool keep_matches, keep_rest;

  void operator()(const TextPiece& piece, const PieceSink& sink) const {
    const auto give = [&](std::size_t begin, std::size_t end) {
      if (begin < end) sink({piece.text.substr(begin, end - begin), piece.first && begin == 0});
    };
    for (std::size_t at = 0; at < piece.text.size();) {
      const auto [begin, end] = pattern.find(piece.text, at);
      if (keep_rest) give(at, begin);
      if (keep_matches) give(begin, end);
      at = end;
    }
  }
};

struct PrefixSpace {
  void operator()(const TextPiece& piece, const PieceSink& sink) const {
    if (piece.text.starts_with(' ')) return sink(piece);
    std::string text(1, ' ');
    text += piece.text;
    sink({text, piece.first});
  }
};

/// Gives pieces that begin with each `mark`, or with the first of each run of it.
struct CutBefore {
  std::string mark;
  bool whole_runs;

  void operator()(const TextPiece& piece, const PieceSink& sink) const {
    std::size_t begin = 0;
    const auto give = [&](std::size_t end) {
      if (begin < end) sink({piece.text.substr(begin, end - begin), piece.first && begin == 0});
      begin = end;
    };
    std::size_t after = std::string_view::npos;  // the end of the mark before
    for (std::size_t at = 0; (at = piece.text.find(mark, at)) != std::string_view::npos; at = after) {
      if (!whole_runs || at != after) give(at);
      after = at + mark.size();
    }
    give(piece.text.size());
  }
};

struct MarkSpaces {
  enum class Front { always, first, never };
  std::string mark;
  Front front;

  void operator()(const TextPiece& piece, const PieceSink& sink) const {
    std::string text = replace_all(piece.text, " ", mark);
    const bool wanted = front == Front::always || (front == Front::first && piece.first);
    if (wanted && !text.starts_with(mark)) text.insert(0, mark);
    sink({text, piece.first});
  }
};

}  // namespace

PreTokenizer PreTokenizer::read(const JsonNode& node) {
  PreTokenizer pre_tokenizer;
  pre_tokenizer.add(node);
  return pre_tokenizer;
}

void PreTokenizer::add(const JsonNode& node) {
  const std::string type = node.type();
  if (bytes_) node.refuse(fmt::format("{} after ByteLevel is not supported", type));
  if (type == "Sequence") {
    for (const JsonNode& part : node.list("pretokenizers")) add(part);
  } else if (type == "ByteLevel") {
    if (node.flag("add_prefix_space", true)) steps_.emplace_back(PrefixSpace());
    if (node.flag("use_regex", true))
      steps_.emplace_back(SplitAtMatches{TextPattern(gpt2_words), true, true});
    bytes_ = true;
  } else if (type == "Split") {
    add_split(node);
  } else if (type == "Digits") {
    const TextPattern digits(node.flag("individual_digits", false) ? "\\p{N}" : "\\p{N}+");
    steps_.emplace_back(SplitAtMatches{digits, true, true});
  } else if (type == "Metaspace") {
    add_metaspace(node);
  } else {
    node.refuse_type("ByteLevel, Split, Digits, Metaspace and Sequence");
  }
}

void PreTokenizer::add_split(const JsonNode& node) {
  const bool invert = node.flag("invert", false);
  const std::string behaviour = node.text("behavior");
  if (behaviour != "Isolated" && behaviour != "Removed") {
    node.refuse(fmt::format("behavior {} is not supported, only Isolated and Removed", behaviour));
  }
  const bool isolated = behaviour == "Isolated";
  const JsonNode pattern_node = node.at("pattern");
  const TextPattern pattern(pattern_node.has("String") ? escaped(pattern_node.text("String"))
                                                       : pattern_node.text("Regex"));
  steps_.emplace_back(SplitAtMatches{pattern, isolated || invert, isolated || !invert});
}

void PreTokenizer::add_metaspace(const JsonNode& node) {
  const std::string mark = node.text("replacement");
  if (mark.empty()) node.refuse("an empty replacement");
  const std::string scheme = node.has("prepend_scheme") ? node.text("prepend_scheme") : "always";
  if (scheme != "always" && scheme != "first" && scheme != "never") {
    node.refuse(fmt::format("prepend_scheme is \"{}\", expected always, first or never", scheme));
  }
  if (!node.flag("add_prefix_space", true) && scheme != "never") {
    node.refuse(fmt::format("add_prefix_space is false, which contradicts prepend_scheme \"{}\"", scheme));
  }
  const auto front = scheme == "always"  ? MarkSpaces::Front::always
                     : scheme == "first" ? MarkSpaces::Front::first
                                         : MarkSpaces::Front::never;
  steps_.emplace_back(MarkSpaces{mark, front});
  if (node.flag("split", true)) {
    steps_.emplace_back(CutBefore{mark, false});
    splits_ = true;
  }
}

void PreTokenizer::cut_at_spaces() { steps_.emplace_back(CutBefore{std::string(space_mark), true}); }

void PreTokenizer::run(std::size_t step, const TextPiece& piece, const PieceSink& sink) const {
  if (piece.text.empty()) return;
  if (step == steps_.size()) return sink(piece);
  steps_[step](piece, [&](const TextPiece& part) { run(step + 1, part, sink); });
}

}  // namespace strait::data
