#include "strait/data/token_source.hpp"
#include "strait/data/tokenizer.hpp"

#include "reference/golden_folder.hpp"
#include "support/expect_error.hpp"
#include "support/temporary_directory.hpp"
#include "support/token_files.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <fstream>

namespace strait::data {
namespace {

using Json = nlohmann::json;
using Tokens = std::vector<std::int32_t>;
using test::TemporaryDirectory;
using test::write_bytes;
using ::testing::ElementsAre;

std::string fixture(const std::string& name) { return test::golden_file("tokenizers/" + name, ".json"); }

Json read_fixture(const std::string& name) {
  std::ifstream file(fixture(name));
  return Json::parse(file);
}

/// Null where this build lacks the library that the tokenizer needs.
std::unique_ptr<Tokenizer> load(const std::string& path) {
  try {
    return make_tokenizer(path);
  } catch (const Error& error) {
    if (error.code() != ExitCode::environment) throw;
    return nullptr;
  }
}

/// A case of tokenizer_twin.py.
class GoldenTokenizer : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    tokenizer_ = load(fixture(GetParam()));
    if (!tokenizer_) GTEST_SKIP() << "this build has no PCRE2";
  }

  std::unique_ptr<Tokenizer> tokenizer_;
};

TEST_P(GoldenTokenizer, GivesTheIdsOfTheTokenizersLibrary) {
  const Json golden = read_fixture("golden");
  const auto texts = golden.at("texts").get<std::vector<std::string>>();
  const auto ids = golden.at("cases").at(GetParam()).at("ids").get<std::vector<Tokens>>();
  const auto decoded = golden.at("cases").at(GetParam()).at("decoded").get<std::vector<std::string>>();
  ASSERT_GT(texts.size(), 10U);
  ASSERT_EQ(texts.size(), ids.size());
  for (std::size_t i = 0; i < texts.size(); ++i) {
    const Tokens tokens = tokenizer_->encode(texts[i]);
    EXPECT_EQ(tokens, ids[i]) << Json(texts[i]).dump();
    EXPECT_EQ(tokenizer_->decode(tokens), decoded[i]) << Json(texts[i]).dump();
    for (const std::int32_t token : tokens) EXPECT_LT(token, tokenizer_->vocabulary());
  }
}

TEST_P(GoldenTokenizer, EncodesLongWords) {
  // 300,000 characters without a cut: a second for n log n, an hour for n^2.
  std::string word;
  for (int i = 0; i < 100000; ++i) word += "ent";
  const Tokens tokens = tokenizer_->encode(word);
  EXPECT_LT(tokens.size(), 210000U);
  EXPECT_EQ(tokenizer_->decode(tokens), word);
}

INSTANTIATE_TEST_SUITE_P(All, GoldenTokenizer,
                         ::testing::Values("gpt2", "llama3", "llama2", "mistral", "digits"));

/// An edited tokenizer.json.
class HuggingFaceTokenizer : public ::testing::Test {
 protected:
  std::unique_ptr<Tokenizer> load_edited(const Json& json) {
    write_bytes(path_, json.dump());
    return load(path_);
  }
  void expect_refused(const Json& json, const std::string& part) {
    write_bytes(path_, json.dump());
    test::expect_error(ExitCode::io, path_ + ": " + part, [&] { make_tokenizer(path_); });
  }

  TemporaryDirectory folder_;
  std::string path_ = folder_.file("tokenizer.json");
  Json llama2_ = read_fixture("llama2");
};

TEST_F(HuggingFaceTokenizer, EndsDocuments) {
  const auto tokenizer = make_tokenizer(fixture("llama2"));
  EXPECT_EQ(tokenizer->end_of_document(), 2);
  EXPECT_EQ(tokenizer->vocabulary(), static_cast<std::int32_t>(llama2_["model"]["vocab"].size()));
  write_bytes(folder_.file("a.txt"), "the\n<|endoftext|>\nthe");
  const auto source = open_text(folder_.file("a.txt"), *tokenizer);
  Tokens tokens(static_cast<std::size_t>(source->size()));
  source->read(0, tokens);
  const Tokens word = tokenizer->encode("the");
  EXPECT_EQ(tokens.back(), 2);
  EXPECT_EQ(std::count(tokens.begin(), tokens.end(), 2), 2);
  EXPECT_EQ(tokenizer->decode(tokens), "the\n the");

  if (const auto llama3 = load(fixture("llama3"))) {
    EXPECT_EQ(llama3->decode(Tokens{llama3->end_of_document()}), "");
    EXPECT_EQ(llama3->encode("<|end_of_text|>"), Tokens{llama3->end_of_document()});
  }
}

TEST_F(HuggingFaceTokenizer, LeavesOutUnknownIds) {
  const auto tokenizer = make_tokenizer(fixture("llama2"));
  Tokens tokens = tokenizer->encode("the license");
  tokens.insert(tokens.begin() + 1, {-1, 1000000, 1});
  EXPECT_EQ(tokenizer->decode(tokens), "the license");
}

TEST_F(HuggingFaceTokenizer, CutsOnlyWhereNoMergeCrosses) {
  // "e" and the mark of the space behind it become one piece: words are no longer independent.
  const std::string mark = "\u2581";
  Json crossing = llama2_;
  const auto id = crossing["model"]["vocab"].size();
  crossing["model"]["vocab"]["e" + mark] = id;
  crossing["model"]["merges"].insert(crossing["model"]["merges"].begin(), "e " + mark);
  const Tokens tokens = load_edited(crossing)->encode("the the");
  EXPECT_THAT(tokens, ::testing::Contains(static_cast<std::int32_t>(id)));
}

TEST_F(HuggingFaceTokenizer, RefusesTextThatIsNotUtf8) {
  const auto tokenizer = make_tokenizer(fixture("llama2"));
  const std::vector<std::string> texts = {"abc\xff",         "abc\xc3",         "abc\xc0\x80",
                                          "abc\xed\xa0\x80", "abc\xe0\x80\x80", "abc\xf4\x90\x80\x80"};
  for (const std::string& text : texts) {
    test::expect_error(ExitCode::io, "at position 3, expected UTF-8", [&] { tokenizer->encode(text); });
  }
  write_bytes(folder_.file("a.txt"), texts[0]);
  test::expect_error(ExitCode::io, "a.txt: " + fixture("llama2") + ": cannot encode byte 0xff",
                     [&] { open_text(folder_.file("a.txt"), *tokenizer); });
}

TEST_F(HuggingFaceTokenizer, RefusesDamagedFiles) {
  write_bytes(path_, R"({"model": {"type": "BPE")");
  test::expect_error(ExitCode::io, path_ + ": damaged, expected a tokenizer.json",
                     [&] { make_tokenizer(path_); });
  test::expect_error(ExitCode::io, "none.json: cannot read", [&] { make_tokenizer("none.json"); });
  expect_refused(Json::object(), "model: missing");
  expect_refused(Json::array(), "expected an object");

  // A pointer into the file, its new value, the message.
  const std::vector<std::tuple<const char*, Json, const char*>> edits = {
      {"/model/type", "Unigram", "model: Unigram is not supported, only BPE"},
      {"/model/dropout", 0.1, "model: dropout is not supported"},
      {"/model/end_of_word_suffix", "</w>", "model: end_of_word_suffix is not supported"},
      {"/model/unk_token", "none", "model.unk_token \"none\" is not in model.vocab"},
      {"/model/merges/0", "a", "model.merges[0]: expected two pieces"},
      {"/model/merges/1", "qq zz", "merge 1 of model.merges has a piece that is not in model.vocab"},
      {"/model/vocab/the", 7777, "token \"the\" has id 7777, expected 0 to"},
      {"/model/vocab/the", -1, "model.vocab: the id of \"the\", expected an integer from 0"},
      {"/model/vocab", 3, "model.vocab: expected an object"},
      {"/added_tokens/0/id", 5, "added_tokens[0]: has id 5, in model.vocab 0"},
      {"/added_tokens/1/lstrip", true, "added_tokens[1]: lstrip is not supported"},
      {"/normalizer/normalizers/0/type", "NFKC", "normalizer.normalizers[0]: NFKC is not supported, only"},
      {"/pre_tokenizer", {{"type", "Whitespace"}}, "pre_tokenizer: Whitespace is not supported, only"},
      {"/decoder", nullptr, "decoder: missing"},
      {"/decoder/type", "CTC", "decoder: CTC is not supported, only"}};
  for (const auto& [place, value, message] : edits) {
    SCOPED_TRACE(place);
    Json edited = llama2_;
    edited[Json::json_pointer(place)] = value;
    expect_refused(edited, message);
  }
}

TEST_F(HuggingFaceTokenizer, RefusesIdsOfTwoTokens) {
  llama2_["model"]["vocab"]["the"] = 4;
  write_bytes(path_, llama2_.dump());
  test::expect_error(ExitCode::io, "has id 4 like another, expected 0 to", [&] { make_tokenizer(path_); });
}

TEST_F(HuggingFaceTokenizer, RefusesWhatCouldLoseText) {
  Json no_end = llama2_;
  no_end["added_tokens"].erase(2);
  no_end["model"]["vocab"].erase("</s>");
  no_end["model"]["vocab"]["</t>"] = 2;
  expect_refused(no_end, "no token to end documents with, expected </s>");

  Json no_byte = llama2_;
  const Json id = no_byte["model"]["vocab"]["<0x41>"];
  no_byte["model"]["vocab"].erase("<0x41>");
  no_byte["model"]["vocab"]["<0x4G>"] = id;
  expect_refused(no_byte, "model.byte_fallback without a piece <0x41>");

  Json no_unknown = read_fixture("mistral");
  no_unknown["model"]["unk_token"] = nullptr;
  expect_refused(no_unknown, "neither model.unk_token nor model.byte_fallback");
}

class TokenizerPattern : public HuggingFaceTokenizer {
 protected:
  void SetUp() override {
    if (!load(fixture("llama3"))) GTEST_SKIP() << "this build has no PCRE2";
  }

  Json with_pattern(const std::string& pattern) const {
    Json json = read_fixture("llama3");
    json["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = pattern;
    return json;
  }
};

TEST_F(TokenizerPattern, RunsWhatMeansTheSameInBothDialects) {
  for (const char* pattern :
       {R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{M}]*[\p{Ll}\p{M}]+(?i:'s|'t|'re)?|\p{N}{1,3}| ?[^\s\p{L}]+[\r\n/]*)",
        R"('(?i:[sdmt]|ll|ve|re)|\S++|\s)", R"([一-龥]+|\d|\D\.(?<!a)(?=b)|x{2,}|[\[\]\\-])"}) {
    EXPECT_NE(load_edited(with_pattern(pattern)), nullptr);
  }
}

TEST_F(TokenizerPattern, RefusesTheRest) {
  const std::vector<std::pair<const char*, const char*>> patterns = {
      {R"(\w+)", R"("\w" in the pattern)"},
      {R"(\bx)", R"("\b" in)"},
      {R"([a[bc]])", R"("[" in)"},
      {R"([a&&b])", R"("&&" in)"},
      {R"(\p{Han}+)", R"("\p{Han}" in)"},
      {R"(\p{^L})", R"("\p{^L}" in)"},
      {R"(\p)", R"("\p" in)"},
      {R"(x\)", R"("\" in)"},
      {R"(a{1,3}+)", R"("{1,3}" in)"},
      {R"(a{,3})", R"("{,3}" in)"},
      {R"(^a)", R"("^" in)"},
      {R"(a$)", R"("$" in)"},
      {R"((?i)a)", R"("(?i" in)"},
      {R"((?>a))", R"("(?>" in)"},
      {R"((?i:ss))", R"("ss" in)"},
      {R"((?i:a(?:É)))", "\"\xc3\" in"},
      {R"((?i:\p{Lu}))", R"("\p{Lu}" in)"},
      {R"((?i:[^a]))", R"("[^a" in)"},
      {R"(\p{L}*)", "matches nothing too"},
      {R"((a)", "missing closing parenthesis"},
      {"a\n\\w", R"(in the pattern a\n\w)"},
  };
  for (const auto& [pattern, message] : patterns) {
    SCOPED_TRACE(pattern);
    write_bytes(path_, with_pattern(pattern).dump());
    test::expect_error(ExitCode::io, message, [&] { make_tokenizer(path_); });
  }
}

TEST_F(TokenizerPattern, RefusesOtherBehaviours) {
  Json json = read_fixture("llama3");
  json["pre_tokenizer"]["pretokenizers"][0]["behavior"] = "MergedWithNext";
  expect_refused(json, "pre_tokenizer.pretokenizers[0]: behavior MergedWithNext is not supported");
  json = read_fixture("llama3");
  std::swap(json["pre_tokenizer"]["pretokenizers"][0], json["pre_tokenizer"]["pretokenizers"][1]);
  expect_refused(json, "pre_tokenizer.pretokenizers[1]: Split after ByteLevel is not supported");
}

}  // namespace
}  // namespace strait::data
