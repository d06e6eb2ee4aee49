#include "strait/data/token_stream.hpp"

#include "support/expect_error.hpp"
#include "support/temporary_directory.hpp"
#include "support/token_files.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

namespace strait::data {
namespace {

using test::bytes_of;
using test::TemporaryDirectory;
using test::write_bytes;
using ::testing::ElementsAre;

TEST(ExpandPatterns, SortsWithinEachPattern) {
  const TemporaryDirectory folder;
  for (const char* name : {"b2.bin", "b1.bin", "B3.bin", "a.bin"}) write_bytes(folder.file(name), "x");
  EXPECT_THAT(
      expand_patterns({folder.file("[bB]*.bin"), folder.file("a.bin")}),
      ElementsAre(folder.file("B3.bin"), folder.file("b1.bin"), folder.file("b2.bin"), folder.file("a.bin")));
}

TEST(ExpandPatterns, RefusesPatternsWithoutFiles) {
  const TemporaryDirectory folder;
  write_bytes(folder.file("a.bin"), "x");
  const std::string missing = folder.file("z*.bin");
  test::expect_error(ExitCode::io, missing + ": no such token file", [&] {
    expand_patterns({folder.file("a.bin"), missing});
  });
}

TEST(TokenStream, ConcatenatesFilesOfDifferentFormatsAndWraps) {
  const TemporaryDirectory folder;
  write_bytes(folder.file("1.txt"), "ab");
  write_bytes(folder.file("2.bin"), bytes_of(std::vector<std::uint16_t>{10, 11}));
  DataConfig config;
  config.train = {folder.file("*")};
  const TokenStream stream = TokenStream::open(config, config.train, 257);
  ASSERT_EQ(stream.size(), 5);
  EXPECT_EQ(stream.name(), folder.file("1.txt") + " and 1 more");
  const std::vector<std::int32_t> whole = {'a', 'b', 256, 10, 11};
  for (std::int64_t offset = 0; offset < 5; ++offset) {
    std::vector<std::int32_t> tokens(12);
    stream.read(offset, tokens);
    for (std::size_t i = 0; i < tokens.size(); ++i) {
      ASSERT_EQ(tokens[i], whole[(static_cast<std::size_t>(offset) + i) % 5]);
    }
  }
}

TEST(TokenStream, RefusesTokensBeyondTheVocabulary) {
  const TemporaryDirectory folder;
  const std::string path = folder.file("a.bin");
  write_bytes(path, bytes_of(std::vector<std::uint16_t>{1, 2, 300, 4}));
  const DataConfig config;
  test::expect_error(ExitCode::io, path + ": token 300 at position 2, expected 0 to 299 (model.vocab = 300)",
                     [&] { TokenStream::open(config, {path}, 300); });
  EXPECT_EQ(TokenStream::open(config, {path}, 301).size(), 4);

  write_bytes(folder.file("a.txt"), "text");
  test::expect_error(ExitCode::io,
                     "a.txt: the tokenizer bytes has 257 ids, expected at most 256 (model.vocab)",
                     [&] { TokenStream::open(config, {folder.file("a.txt")}, 256); });
}

TEST(TokenStream, ChecksEveryTokenWhenItIsRead) {
  const TemporaryDirectory folder;
  const std::string path = folder.file("a.bin");
  std::vector<std::uint16_t> tokens(300000, 1);
  tokens[150000] = 9;
  write_bytes(path, bytes_of(tokens));
  const TokenStream stream = TokenStream::open(DataConfig(), {path}, 9);
  std::vector<std::int32_t> window(100);
  stream.read(149000, window);
  test::expect_error(ExitCode::io, path + ": token 9 at position 150000",
                     [&] { stream.read(149950, window); });
}

TEST(TokenStream, KeepsReadingAFileThatWasRemoved) {
  const TemporaryDirectory folder;
  test::write_counting_tokens(folder.file("a.bin"), 10);
  const TokenStream stream = TokenStream::open(DataConfig(), {folder.file("a.bin")}, 10);
  std::filesystem::remove(folder.file("a.bin"));
  std::vector<std::int32_t> tokens(3);
  stream.read(8, tokens);
  EXPECT_THAT(tokens, ElementsAre(8, 9, 0));
}

}  // namespace
}  // namespace strait::data
