#include "decoder.hpp"

#include "byte_alphabet.hpp"
#include "normalizer.hpp"

#include <fmt/format.h>

#include <charconv>
#include <numeric>
#include <utility>

namespace strait::data {
namespace {

using Pieces = std::vector<std::string>;

void decode_alphabet(Pieces& pieces) {
  for (std::string& piece : pieces) {
    if (auto bytes = bytes_of_alphabet(piece)) piece = std::move(*bytes);
  }
}

/// "<0x41>" becomes "A".
void decode_byte_pieces(Pieces& pieces) {
  for (std::string& piece : pieces) {
    if (piece.size() != 6 || !piece.starts_with("<0x") || piece[5] != '>') continue;
    unsigned char byte = 0;
    const auto [end, error] = std::from_chars(piece.data() + 3, piece.data() + 5, byte, 16);
    if (error == std::errc() && end == piece.data() + 5) piece = static_cast<char>(byte);
  }
}

void fuse(Pieces& pieces) { pieces = {std::accumulate(pieces.begin(), pieces.end(), std::string())}; }

/// Takes at most `start` of `content` off the front of each piece and `stop` off its end.
struct Strip {
  std::string content;
  std::int64_t start, stop;

  void operator()(Pieces& pieces) const {
    for (std::string& piece : pieces) {
      for (std::int64_t i = 0; i < start && piece.starts_with(content); ++i) piece.erase(0, content.size());
      for (std::int64_t i = 0; i < stop && piece.ends_with(content); ++i) {
        piece.resize(piece.size() - content.size());
      }
    }
  }
};

/// Marks become spaces; those of the first piece nothing, where encoding put one there.
struct UnmarkSpaces {
  std::string mark;
  bool drop_first;

  void operator()(Pieces& pieces) const {
    for (std::size_t i = 0; i < pieces.size(); ++i) {
      pieces[i] = replace_all(pieces[i], mark, i == 0 && drop_first ? "" : " ");
    }
  }
};

}  // namespace

Decoder Decoder::read(const JsonNode& node) {
  Decoder decoder;
  decoder.add(node);
  return decoder;
}

void Decoder::add(const JsonNode& node) {
  const std::string type = node.type();
  if (type == "Sequence") {
    for (const JsonNode& part : node.list("decoders")) add(part);
  } else if (type == "ByteLevel") {
    steps_.emplace_back(decode_alphabet);
    steps_.emplace_back(fuse);
  } else if (type == "ByteFallback") {
    steps_.emplace_back(decode_byte_pieces);
  } else if (type == "Fuse") {
    steps_.emplace_back(fuse);
  } else if (type == "Strip") {
    const Strip strip{node.text("content"), node.at("start").integer(), node.at("stop").integer()};
    if (strip.content.empty()) node.refuse("an empty content");
    steps_.emplace_back(strip);
  } else if (type == "Metaspace") {
    const bool never = node.has("prepend_scheme") && node.text("prepend_scheme") == "never";
    const UnmarkSpaces unmark{node.text("replacement"), !never};
    if (unmark.mark.empty()) node.refuse("an empty replacement");
    steps_.emplace_back(unmark);
  } else if (type == "Replace") {
    const std::string from = node.at("pattern").text("String");
    if (from.empty()) node.refuse("an empty pattern");
    steps_.emplace_back([from, to = node.text("content")](Pieces& pieces) {
      for (std::string& piece : pieces) piece = replace_all(piece, from, to);
    });
  } else {
    node.refuse_type("ByteLevel, Metaspace, Replace, ByteFallback, Fuse, Strip and Sequence");
  }
}

std::string Decoder::apply(Pieces pieces) const {
  for (const auto& step : steps_) step(pieces);
  fuse(pieces);
  return pieces.front();
}

}  // namespace strait::data
