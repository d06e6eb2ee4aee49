#include "strait/data/token_source.hpp"

#include "strait/io/hdf5.hpp"

#include "support/expect_error.hpp"
#include "support/temporary_directory.hpp"
#include "support/token_files.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

namespace strait::data {
namespace {

using test::bytes_of;
using test::llmc_bytes;
using test::TemporaryDirectory;
using test::write_bytes;
using ::testing::ElementsAre;

using Tokens = std::vector<std::int32_t>;

std::unique_ptr<TokenSource> open(const std::string& path, Format format = Format::automatic) {
  return open_source(path, format, ByteTokenizer());
}

Tokens all(const TokenSource& source) {
  Tokens tokens(static_cast<std::size_t>(source.size()));
  source.read(0, tokens);
  return tokens;
}

Tokens part(const TokenSource& source, std::int64_t offset, std::size_t count) {
  Tokens tokens(count);
  source.read(offset, tokens);
  return tokens;
}

TEST(Llmc, Reads16And32BitTokens) {
  const TemporaryDirectory folder;
  const std::string path = folder.file("tokens.bin");
  write_bytes(path, llmc_bytes<std::uint16_t>({5, 65535, 0, 50256}));
  EXPECT_THAT(all(*open(path)), ElementsAre(5, 65535, 0, 50256));
  EXPECT_THAT(part(*open(path), 1, 2), ElementsAre(65535, 0));
  write_bytes(path, llmc_bytes<std::uint32_t>({5, 128000, 0}));
  EXPECT_THAT(all(*open(path)), ElementsAre(5, 128000, 0));
  EXPECT_THAT(part(*open(path), 1, 2), ElementsAre(128000, 0));
}

TEST(Llmc, RefusesDamagedFiles) {
  const TemporaryDirectory folder;
  const std::string path = folder.file("tokens.bin");
  const std::string good = llmc_bytes<std::uint16_t>({1, 2, 3, 4});
  auto refused = [&](const std::string& bytes, const std::string& expected) {
    write_bytes(path, bytes);
    test::expect_error(ExitCode::io, path + ": " + expected, [&] { open(path, Format::llmc); });
  };
  refused(good.substr(0, 1027), "truncated, 4 tokens need 1032 bytes, found 1027 bytes");
  refused(good + "x", "too long, 4 tokens need 1032 bytes, found 1033 bytes");
  refused(good.substr(0, 500), "truncated, expected a header of 1024 bytes, found 500 bytes");
  refused(std::string(2048, 'x'),
          "not an llm.c token file, expected magic number 20240520 or 20240801, found 2021161080");
  refused(llmc_bytes<std::uint16_t>({}), "empty, the header counts 0 tokens");
  std::string other_version = good;
  other_version[4] = 2;
  refused(other_version, "llm.c version 2, expected 1");
  refused("", "empty, expected tokens");
}

TEST(Nanogpt, ReadsRawTokens) {
  const TemporaryDirectory folder;
  const std::string path = folder.file("train.bin");
  write_bytes(path, bytes_of(std::vector<std::uint16_t>{7, 50256, 65535}));
  EXPECT_THAT(all(*open(path)), ElementsAre(7, 50256, 65535));
  write_bytes(path, "abc");
  test::expect_error(ExitCode::io, path + ": truncated, expected tokens of 2 bytes, found 3 bytes",
                     [&] { open(path); });
}

TEST(Text, EndsDocumentsAtSeparatorsAndAtTheEnd) {
  const TemporaryDirectory folder;
  const std::string path = folder.file("a.txt");
  auto tokens = [&](const std::string& text) {
    write_bytes(path, text);
    return all(*open(path));
  };
  EXPECT_THAT(tokens("hi"), ElementsAre('h', 'i', 256));
  EXPECT_THAT(tokens("\xff\n"), ElementsAre(255, '\n', 256));
  EXPECT_THAT(tokens("a\n<|endoftext|>\nb"), ElementsAre('a', '\n', 256, 'b', 256));
  EXPECT_THAT(tokens("a\n<|endoftext|>\r\nb"), ElementsAre('a', '\n', 256, 'b', 256));
  EXPECT_THAT(tokens("<|endoftext|>\n<|endoftext|>\na\n<|endoftext|>"), ElementsAre('a', '\n', 256));
  const std::string inside = "a <|endoftext|>\n<|endoftext|> b";
  EXPECT_EQ(tokens(inside).size(), inside.size() + 1);
}

TEST(Text, ReadsAnyPart) {
  const TemporaryDirectory folder;
  const std::string path = folder.file("a.txt");
  write_bytes(path, "abc\n<|endoftext|>\ndefg\n<|endoftext|>\nh");
  const auto source = open(path);
  const Tokens whole = all(*source);
  for (std::size_t begin = 0; begin < whole.size(); ++begin) {
    for (std::size_t end = begin; end <= whole.size(); ++end) {
      const Tokens expected(whole.begin() + begin, whole.begin() + end);
      ASSERT_EQ(part(*source, begin, end - begin), expected) << begin << " " << end;
    }
  }
}

TEST(Text, RefusesEmptyFiles) {
  const TemporaryDirectory folder;
  const std::string path = folder.file("a.txt");
  write_bytes(path, "");
  test::expect_error(ExitCode::io, path + ": empty", [&] { open(path); });
  write_bytes(path, "<|endoftext|>\n");
  test::expect_error(ExitCode::io, path + ": empty, expected text", [&] { open(path); });
}

template <class T>
void write_hdf5(const std::string& path, const std::vector<T>& tokens, const io::Shape& shape) {
  auto file = io::File::create(path);
  file.root().write("tokens", tokens.data(), shape);
  file.close();
}

TEST(Hdf5, ReadsEveryElementType) {
  const TemporaryDirectory folder;
  const std::string path = folder.file("tokens.h5");
  write_hdf5<std::uint8_t>(path, {1, 255}, {2});
  EXPECT_THAT(all(*open(path)), ElementsAre(1, 255));
  write_hdf5<std::uint16_t>(path, {1, 65535, 3}, {3});
  EXPECT_THAT(all(*open(path)), ElementsAre(1, 65535, 3));
  write_hdf5<std::int32_t>(path, {1, 128000, 3}, {3});
  EXPECT_THAT(all(*open(path)), ElementsAre(1, 128000, 3));
  EXPECT_THAT(part(*open(path), 1, 2), ElementsAre(128000, 3));
}

TEST(Hdf5, RefusesOtherContents) {
  const TemporaryDirectory folder;
  const std::string path = folder.file("tokens.h5");
  write_hdf5<std::uint16_t>(path, {1, 2, 3, 4}, {2, 2});
  test::expect_error(ExitCode::io, "the shape is [2, 2], expected [count]", [&] { open(path); });
  write_hdf5<float>(path, {1, 2}, {2});
  test::expect_error(ExitCode::io, "expected uint8, uint16 or int32", [&] { open(path); });
  write_hdf5<std::uint16_t>(path, {}, {0});
  test::expect_error(ExitCode::io, "empty, expected tokens", [&] { open(path); });
  io::File::create(path).close();
  test::expect_error(ExitCode::io, "tokens", [&] { open(path); });
  write_hdf5<std::uint16_t>(path, std::vector<std::uint16_t>(10000), {10000});
  std::filesystem::resize_file(path, std::filesystem::file_size(path) / 2);
  test::expect_error(ExitCode::io, path, [&] { open(path); });
}

TEST(OpenSource, RefusesMissingFilesAndFolders) {
  const TemporaryDirectory folder;
  const std::string missing = folder.file("none.bin");
  for (const Format format : {Format::automatic, Format::llmc, Format::nanogpt, Format::text, Format::hdf5}) {
    test::expect_error(ExitCode::io, missing, [&] { open(missing, format); });
  }
  test::expect_error(ExitCode::io, "Is a directory", [&] { open(folder.path().string()); });
}

TEST(DetectFormat, LooksAtBytesThenName) {
  const TemporaryDirectory folder;
  const std::string odd_name = folder.file("llmc.txt");
  write_bytes(odd_name, llmc_bytes<std::uint16_t>({1}));
  EXPECT_EQ(detect_format(odd_name), Format::llmc);
  write_hdf5<std::uint16_t>(odd_name, {1}, {1});
  EXPECT_EQ(detect_format(odd_name), Format::hdf5);
  write_bytes(odd_name, "x");
  EXPECT_EQ(detect_format(odd_name), Format::text);
  const std::string bin = folder.file("x.bin");
  write_bytes(bin, "xy");
  EXPECT_EQ(detect_format(bin), Format::nanogpt);
}

}  // namespace
}  // namespace strait::data
