#include "strait/data/tokenizer.hpp"

#include "strait/data/token_source.hpp"

#include "support/expect_error.hpp"
#include "support/temporary_directory.hpp"
#include "support/token_files.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace strait::data {
namespace {

using test::TemporaryDirectory;
using test::write_bytes;
using ::testing::ElementsAre;

TEST(ByteTokenizer, MapsBytesToTokens) {
  const auto tokenizer = make_tokenizer("bytes");
  EXPECT_EQ(tokenizer->vocabulary(), 257);
  EXPECT_EQ(tokenizer->end_of_document(), 256);
  EXPECT_THAT(tokenizer->encode("A\xc3\xa9"), ElementsAre(65, 0xc3, 0xa9));
  EXPECT_EQ(tokenizer->decode(std::vector<std::int32_t>{65, 256, 0xc3, 0xa9, 300, -1}), "A\xc3\xa9");
}

/// One piece of a SentencePiece ModelProto: {1: text, 2: score, 3: type}, all lengths below 128.
std::string piece(const std::string& text, float score, char type) {
  const std::string score_bytes(reinterpret_cast<const char*>(&score), sizeof(score));
  const std::string message =
      fmt::format("\x0a{}{}\x15{}\x18{}", static_cast<char>(text.size()), text, score_bytes, type);
  return fmt::format("\x0a{}{}", static_cast<char>(message.size()), message);
}

/// A unigram model that knows "the cat": "\u2581" stands for a space.
std::string small_model() {
  constexpr char normal = 1, unknown = 2, control = 3;
  return piece("<unk>", 0, unknown) + piece("<s>", 0, control) + piece("</s>", 0, control) +
         piece("\u2581the", -1, normal) + piece("\u2581cat", -2, normal) + piece("\u2581", -3, normal) +
         piece("s", -4, normal);
}

class SentencePieceTest : public ::testing::Test {
 protected:
  void SetUp() override {
    write_bytes(model_, small_model());
    try {
      tokenizer_ = make_tokenizer(model_);
    } catch (const Error& error) {
      if (error.code() != ExitCode::environment) throw;
      GTEST_SKIP() << error.what();
    }
  }

  TemporaryDirectory folder_;
  std::string model_ = folder_.file("small.model");
  std::unique_ptr<Tokenizer> tokenizer_;
};

TEST_F(SentencePieceTest, EncodesAndDecodes) {
  EXPECT_EQ(tokenizer_->vocabulary(), 7);
  EXPECT_EQ(tokenizer_->end_of_document(), 2);
  EXPECT_THAT(tokenizer_->encode("the cats"), ElementsAre(3, 4, 6));
  EXPECT_EQ(tokenizer_->decode(std::vector<std::int32_t>{3, 4, 6, 2, 99}), "the cats");
}

TEST_F(SentencePieceTest, ReadsTextFiles) {
  const std::string path = folder_.file("a.txt");
  write_bytes(path, "the cat\n<|endoftext|>\nthe cats");
  const auto source = open_text(path, *tokenizer_);
  std::vector<std::int32_t> tokens(static_cast<std::size_t>(source->size()));
  source->read(0, tokens);
  // The line break is no piece of this model.
  EXPECT_THAT(tokens, ElementsAre(3, 4, 0, 2, 3, 4, 6, 2));
}

TEST_F(SentencePieceTest, RefusesBadModels) {
  write_bytes(model_, "not a model");
  test::expect_error(ExitCode::io, model_ + ": damaged, expected a SentencePiece model",
                     [&] { make_tokenizer(model_); });
  write_bytes(model_, piece("<unk>", 0, 2) + piece("a", -1, 1));
  test::expect_error(ExitCode::io, model_ + ": no end-of-sentence piece", [&] { make_tokenizer(model_); });
  test::expect_error(ExitCode::io, "none.model: cannot read", [&] { make_tokenizer("none.model"); });
}

}  // namespace
}  // namespace strait::data
