#include "strait/core/scratch.hpp"

#include <gtest/gtest.h>

namespace strait {
namespace {

TEST(Scratch, IsNobodyElsesWhileACopyOfItLives) {
  auto first = scratch<float>("strait::test::scratch", 100);
  const auto copy = first;
  const float* const memory = first.data();
  first = {};
  const auto second = scratch<float>("strait::test::scratch", 100);
  EXPECT_NE(second.data(), memory);
  EXPECT_EQ(second.extent(0), 100U);
}

TEST(Scratch, IsUsedAgainForAsMuch) {
  const float* const memory = scratch<float>("strait::test::scratch", 5000).data();
  EXPECT_EQ(scratch<float>("strait::test::scratch", 5000).data(), memory);
  EXPECT_NE(scratch<float>("strait::test::scratch", 50000).data(), memory);
}

TEST(Scratch, WastesAnEighthAtMost) {
  for (std::int64_t size = 1; size < 100000; size += 1 + size / 7) {
    const std::int64_t kept = scratch_detail::rounded(size);
    EXPECT_GE(kept, size);
    EXPECT_LE(kept, size + size / 8) << size;
    EXPECT_EQ(scratch_detail::rounded(kept), kept);
  }
  EXPECT_EQ(scratch_detail::rounded(0), 1);
}

}  // namespace
}  // namespace strait
