#include "hugging_face_tokenizer.hpp"

#include "strait/core/error.hpp"

#include "byte_alphabet.hpp"
#include "decoder.hpp"
#include "mapped_file.hpp"
#include "pre_tokenizer.hpp"
#include "token_table.hpp"
#include "utf8.hpp"

#include <utility>

namespace strait::data {
namespace {

std::pair<std::string, std::string> read_merge(const JsonNode& node) {
  if (node.value().is_array()) {  // ["a", "b"], since version 0.20 of the library
    const auto& parts = node.value();
    if (parts.size() != 2 || !parts[0].is_string() || !parts[1].is_string()) {
      node.refuse("expected two strings");
    }
    return {parts[0].get<std::string>(), parts[1].get<std::string>()};
  }
  const std::string text = node.text();
  const std::size_t space = text.find(' ');
  if (space == std::string::npos || text.find(' ', space + 1) != std::string::npos) {
    node.refuse("expected two pieces with a space between them");
  }
  return {text.substr(0, space), text.substr(space + 1)};
}

/// The rules of model; with `bytes` in terms of bytes instead of the characters that stand for them.
BpeRules read_rules(const JsonNode& model, bool bytes) {
  if (model.type() != "BPE") model.refuse_type("BPE");
  for (const char* key : {"dropout", "continuing_subword_prefix", "end_of_word_suffix"}) {
    if (!model.has(key)) continue;
    const auto value = model.at(key).value();
    if (value != "" && value != 0.0) model.refuse(fmt::format("{} is not supported", key));
  }
  BpeRules rules;
  rules.bytes = bytes;
  rules.byte_fallback = !bytes && model.flag("byte_fallback", false);
  rules.fuse_unknown = model.flag("fuse_unk", false);
  rules.ignore_merges = model.flag("ignore_merges", false);
  if (model.has("unk_token")) rules.unknown = model.text("unk_token");
  for (const auto& [text, id] : model.at("vocab").value().items()) {
    const auto key = bytes ? bytes_of_alphabet(text) : text;
    if (key) rules.vocabulary.emplace(*key, id.get<std::int32_t>());
  }
  for (const JsonNode& node : model.list("merges")) {
    auto [left, right] = read_merge(node);
    if (bytes) {
      const auto left_bytes = bytes_of_alphabet(left), right_bytes = bytes_of_alphabet(right);
      if (!left_bytes || !right_bytes) node.refuse("a character that stands for no byte");
      left = *left_bytes;
      right = *right_bytes;
    }
    rules.merges.emplace_back(std::move(left), std::move(right));
  }
  return rules;
}

class HuggingFaceTokenizer final : public Tokenizer {
 public:
  HuggingFaceTokenizer(const std::string& path, const JsonNode& file)
      : path_(path),
        normalizer_(file.has("normalizer") ? Normalizer::read(file.at("normalizer")) : Normalizer()),
        pre_tokenizer_(file.has("pre_tokenizer") ? PreTokenizer::read(file.at("pre_tokenizer"))
                                                 : PreTokenizer()),
        table_(TokenTable::read(file, normalizer_)),
        model_(read_rules(file.at("model"), pre_tokenizer_.bytes())),
        decoder_(Decoder::read(file.at("decoder"))),
        end_of_document_(table_.end_of_document()) {
    if (!pre_tokenizer_.splits() && model_.can_cut_before(space_mark)) pre_tokenizer_.cut_at_spaces();
  }

  std::int32_t vocabulary() const override { return static_cast<std::int32_t>(table_.texts.size()); }
  std::int32_t end_of_document() const override { return end_of_document_; }

  std::vector<std::int32_t> encode(std::string_view text) const override {
    if (const std::size_t at = find_invalid_utf8(text); at != std::string_view::npos) {
      fail(ExitCode::io, "{}: cannot encode byte {:#04x} at position {}, expected UTF-8 text", path_,
           static_cast<unsigned char>(text[at]), at);
    }
    std::vector<std::int32_t> tokens;
    BpeModel::Workspace workspace;
    const auto encode_word = [&](const TextPiece& word) { model_.encode(word.text, workspace, tokens); };
    bool first = true;
    const auto encode_piece = [&](std::string_view piece, std::int32_t id) {
      if (id >= 0) {
        tokens.push_back(id);
      } else {
        pre_tokenizer_.split({piece, first}, encode_word);
      }
      first = false;
    };
    try {
      table_.raw.split(text, [&](std::string_view piece, std::int32_t id) {
        if (id >= 0 || normalizer_.empty()) {
          return id >= 0 ? encode_piece(piece, id) : table_.normalized.split(piece, encode_piece);
        }
        table_.normalized.split(normalizer_.apply(std::string(piece)), encode_piece);
      });
    } catch (const std::runtime_error& error) {
      fail(ExitCode::io, "{}: {}", path_, error.what());
    }
    return tokens;
  }

  std::string decode(std::span<const std::int32_t> tokens) const override {
    return decoder_.apply(table_.pieces(tokens));
  }

 private:
  std::string path_;
  Normalizer normalizer_;
  PreTokenizer pre_tokenizer_;
  TokenTable table_;
  BpeModel model_;
  Decoder decoder_;
  std::int32_t end_of_document_;
};

}  // namespace

std::unique_ptr<Tokenizer> load_hugging_face(const std::string& path) {
  const MappedFile file(path);
  const auto bytes = file.bytes();
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  try {
    const auto json = nlohmann::json::parse(text);
    return std::make_unique<HuggingFaceTokenizer>(path, JsonNode(json, ""));
  } catch (const Error& error) {
    fail(error.code(), "{}: {}", path, error.what());
  } catch (const nlohmann::json::exception& error) {
    fail(ExitCode::io, "{}: damaged, expected a tokenizer.json: {}", path, error.what());
  } catch (const std::runtime_error& error) {
    // Patterns and tokens in a message may have line breaks.
    fail(ExitCode::io, "{}: {}", path, replace_all(error.what(), "\n", "\\n"));
  }
}

}  // namespace strait::data
