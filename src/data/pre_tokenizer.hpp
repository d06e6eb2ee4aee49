#pragma once
// How a text is cut into the words that the model sees.

#include "tokenizer_json.hpp"

#include <functional>
#include <string_view>
#include <vector>

namespace strait::data {

/// The replacement of spaces in vocabularies that come from SentencePiece: U+2581.
constexpr std::string_view space_mark = "\xe2\x96\x81";

struct TextPiece {
  std::string_view text;
  bool first;  ///< begins where the whole text begins
};
using PieceSink = std::function<void(const TextPiece&)>;

class PreTokenizer {
 public:
  /// ByteLevel (only as the last), Split, Digits, Metaspace and Sequences of them; other types are refused.
  static PreTokenizer read(const JsonNode& node);

  /// Cuts where a run of `space_mark` begins. For a model of which BpeModel::can_cut_before says that its ids
  /// stay the same: short words are faster, and take little memory.
  void cut_at_spaces();

  /// Whether words go to the model as bytes.
  bool bytes() const { return bytes_; }
  /// Whether a text becomes words already.
  bool splits() const { return splits_; }

  /// Gives the non-empty words to `sink` in order.
  void split(const TextPiece& piece, const PieceSink& sink) const { run(0, piece, sink); }

 private:
  using Step = std::function<void(const TextPiece&, const PieceSink&)>;

  void add(const JsonNode& node);
  void add_split(const JsonNode& node);
  void add_metaspace(const JsonNode& node);
  void run(std::size_t step, const TextPiece& piece, const PieceSink& sink) const;

  std::vector<Step> steps_;
  bool bytes_ = false;
  bool splits_ = false;
};

}  // namespace strait::data
