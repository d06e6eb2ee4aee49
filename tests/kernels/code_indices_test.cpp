// Packing of indices is lossless for any number of codewords.
#include "strait/kernels/code_indices.hpp"

#include "support/tensors.hpp"

#include <gtest/gtest.h>

#include <set>

namespace strait::kernels {
namespace {

TEST(CodeIndices, TakeTheFewestBits) {
  EXPECT_EQ(index_bits(2), 1);
  EXPECT_EQ(index_bits(3), 2);
  EXPECT_EQ(index_bits(4), 2);
  EXPECT_EQ(index_bits(5), 3);
  EXPECT_EQ(index_bits(256), 8);
  EXPECT_EQ(index_bits(257), 9);
  EXPECT_EQ(index_bits(65535), 16);
  EXPECT_EQ(index_bits(65536), 16);
  EXPECT_EQ(packed_index_bytes(3, 8), 2);
  EXPECT_EQ(packed_index_bytes(8, 8), 3);
  EXPECT_EQ(packed_index_bytes(0, 8), 0);
}

/// Sends random indices through a stream whose codewords are their own indices.
template <class T>
void round_trip(int codewords, int groups, int rounds, std::int64_t tokens, std::uint64_t seed) {
  const ExecutionSpace exec;
  const CodebookShape shape{groups, codewords, 1};
  const Philox random(seed, 3);
  const CodeIndices indices("strait::test::indices", rounds * groups, tokens);
  auto host = to_host(exec, indices);
  for (std::size_t i = 0; i < host.size(); ++i) {
    host.data()[i] = static_cast<std::uint16_t>(random.bits(i) % static_cast<std::uint64_t>(codewords));
  }
  to_device(exec, indices, host);

  // A round's codewords count in units of their own, so that the sum tells all rounds apart.
  const Matrix<T> table("strait::test::codewords", rounds * shape.all_codewords(), 1);
  auto host_table = to_host(exec, table);
  for (std::int64_t row = 0; row < rounds * shape.all_codewords(); ++row) {
    const T unit = row / shape.all_codewords() == 0 ? T(1) : T(1) / T(65536);
    host_table(row, 0) = static_cast<T>(row % codewords) * unit;
  }
  to_device(exec, table, host_table);

  constexpr std::int64_t offset = 3;
  const std::int64_t size = packed_index_bytes(rounds * groups * tokens, codewords);
  const Vector<std::uint8_t> bytes("strait::test::bytes", offset + size + 2);
  Kokkos::deep_copy(exec, bytes, std::uint8_t{0xA5});
  EXPECT_EQ(pack_indices(exec, bytes, offset, indices, shape), offset + size);
  const Matrix<T> x("strait::test::x", tokens, groups);
  EXPECT_EQ(gather_codewords<T>(exec, x, bytes, offset, table, shape, rounds), offset + size);
  const auto found = to_host(exec, x);
  for (std::int64_t t = 0; t < tokens; ++t) {
    for (int group = 0; group < groups; ++group) {
      double wanted = host(group, t);
      if (rounds == 2) wanted += host(groups + group, t) / 65536.0;
      ASSERT_EQ(found(t, group), wanted) << codewords << " codewords, token " << t;
    }
  }
  const auto around = to_host(exec, bytes);
  for (const std::int64_t i : {std::int64_t{0}, offset - 1, offset + size, offset + size + 1}) {
    EXPECT_EQ(around(i), 0xA5) << "a neighbouring byte was written";
  }
}

TEST(CodeIndices, PackingIsLosslessForAnyNumberOfCodewords) {
  std::set<int> sizes = {2, 3, 4, 5, 127, 128, 129, 255, 256, 257, 32768, 32769, 65535, 65536};
  const Philox random(12, 0);
  for (std::uint64_t i = 0; i < 60; ++i) {
    // Evenly over the bits, not over the numbers.
    const int low = 1 << random.bits(2 * i) % 16;
    sizes.insert(low + 1 + static_cast<int>(random.bits(2 * i + 1) % static_cast<std::uint64_t>(low)));
  }
  std::uint64_t seed = 0;
  for (const int codewords : sizes) {
    round_trip<double>(codewords, 1, 1, 1, ++seed);
    round_trip<double>(codewords, 3, 2, 11, ++seed);
    round_trip<double>(codewords, 2, 1, 37, ++seed);
  }
  round_trip<float>(256, 2, 1, 100, 5);
}

TEST(CodeIndices, ADamagedIndexStaysInsideTheCodebook) {
  const ExecutionSpace exec;
  const CodebookShape shape{1, 5, 2};
  const Vector<std::uint8_t> bytes("strait::test::bytes", packed_index_bytes(8, 5));
  Kokkos::deep_copy(exec, bytes, std::uint8_t{0xFF});
  const auto codewords = test::random_matrix<float>(exec, 5, 2, 1);
  const Matrix<float> x("strait::test::x", 8, 2);
  gather_codewords<float>(exec, x, bytes, 0, codewords, shape, 1);
  const auto found = to_host(exec, x);
  const auto last = to_host(exec, codewords);
  for (int t = 0; t < 8; ++t) EXPECT_EQ(found(t, 1), last(4, 1));
}

}  // namespace
}  // namespace strait::kernels
