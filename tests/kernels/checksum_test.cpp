#include "strait/kernels/checksum.hpp"

#include "support/tensors.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace strait::kernels {
namespace {

template <class T>
class Checksum : public ::testing::Test {};
using Scalars = ::testing::Types<float, double>;
TYPED_TEST_SUITE(Checksum, Scalars);

TYPED_TEST(Checksum, TellsOneChangedBitAndExchangedElements) {
  using T = TypeParam;
  const ExecutionSpace exec;
  const auto random = test::random_matrix<T>(exec, 1, 1000, 5);
  const Vector<T> x(random.data(), 1000);
  const std::uint64_t before = checksum<T>(exec, x);
  EXPECT_EQ(checksum<T>(exec, x), before);
  const auto original = to_host(exec, x);
  for (const int i : {0, 499, 999}) {
    auto changed = to_host(exec, x);
    changed(i) = std::nextafter(original(i), std::numeric_limits<T>::infinity());
    to_device(exec, x, changed);
    EXPECT_NE(checksum<T>(exec, x), before);
    changed(i) = original((i + 1) % 1000);
    changed((i + 1) % 1000) = original(i);
    to_device(exec, x, changed);
    EXPECT_NE(checksum<T>(exec, x), before);
    to_device(exec, x, original);
  }
  EXPECT_EQ(checksum<T>(exec, x), before);
}

TYPED_TEST(Checksum, TellsZerosApartByTheirSignAndTheirNumber) {
  using T = TypeParam;
  const ExecutionSpace exec;
  const Vector<T> zeros("strait::test::zeros", 8);
  auto host = to_host(exec, zeros);
  const std::uint64_t before = checksum<T>(exec, zeros);
  EXPECT_NE(checksum<T>(exec, Vector<T>(zeros.data(), 7)), before);
  host(3) = -T(0);
  to_device(exec, zeros, host);
  EXPECT_NE(checksum<T>(exec, zeros), before);
}

}  // namespace
}  // namespace strait::kernels
