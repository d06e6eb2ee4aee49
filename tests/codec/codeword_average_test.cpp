// The moving average of codewords against numpy (tests/reference/codeword_twin.py).
#include "strait/io/hdf5.hpp"
#include "strait/kernels/codeword_statistics.hpp"

#include "reference/golden_folder.hpp"
#include "support/codewords.hpp"

#include <gtest/gtest.h>

namespace strait::kernels {
namespace {

template <class T>
class CodewordAverage : public ::testing::Test {
 protected:
  ExecutionSpace exec;
};
using Scalars = ::testing::Types<float, double>;
TYPED_TEST_SUITE(CodewordAverage, Scalars);

/// [rows, columns] of a golden dataset, from row `begin` on.
template <class T>
Matrix<T> golden_matrix(const ExecutionSpace& exec, const std::vector<double>& values, std::int64_t begin,
                        std::int64_t row_count, std::int64_t column_count) {
  const Matrix<T> m("strait::test::golden", row_count, column_count);
  auto host = to_host(exec, m);
  for (std::int64_t i = 0; i < row_count * column_count; ++i) {
    host.data()[i] = static_cast<T>(values.at(static_cast<std::size_t>(begin * column_count + i)));
  }
  to_device(exec, m, host);
  return m;
}

TYPED_TEST(CodewordAverage, IsNumpys) {
  using T = TypeParam;
  const ExecutionSpace& exec = this->exec;
  const auto file = io::File::open(test::golden_file("codewords"));
  const auto root = file.root();
  const auto integer = [&](const char* name) {
    return static_cast<int>(root.template attribute<std::int64_t>(name));
  };
  const CodebookShape shape{integer("groups"), integer("codewords"), integer("width")};
  const int rounds = integer("rounds"), tokens = integer("tokens");
  const std::int64_t per_round = shape.all_codewords(), all = rounds * per_round;
  const auto x = root.template read<double>("x");
  const auto codewords = golden_matrix<T>(exec, root.template read<double>("start"), 0, all, shape.width);

  const CodewordStatistics average(all, shape.width), seen(all, shape.width);
  auto counts = to_host(exec, average.counts);
  auto sums = to_host(exec, average.sums);
  const auto start = to_host(exec, codewords);
  for (std::int64_t k = 0; k < all; ++k) {
    counts(k) = static_cast<double>(tokens) / shape.codewords;
    for (int d = 0; d < shape.width; ++d) sums(k, d) = counts(k) * static_cast<double>(start(k, d));
  }
  to_device(exec, average.counts, counts);
  to_device(exec, average.sums, sums);

  const auto wanted_indices = root.template read<std::int32_t>("indices");
  for (int update = 0; update < integer("updates"); ++update) {
    const auto residuals = test::tiles_of<T>(
        exec, golden_matrix<T>(exec, x, std::int64_t{update} * tokens, tokens, shape.columns()));
    seen.clear(exec);
    for (int round = 0; round < (update == 1 ? 1 : rounds); ++round) {
      const CodeIndices indices("strait::test::indices", shape.groups, tokens);
      const auto own = rows(codewords, round * per_round, (round + 1) * per_round);
      nearest_codewords<T>(exec, indices, residuals, own, shape, Residual::subtract);
      add_statistics<T>(exec, seen.part(round * per_round, (round + 1) * per_round), indices, residuals, own,
                        shape, Residual::subtract);
      const auto found = to_host(exec, indices);
      for (std::size_t i = 0; i < found.size(); ++i) {
        ASSERT_EQ(found.data()[i],
                  wanted_indices[static_cast<std::size_t>(update * rounds + round) * found.size() + i]);
      }
    }
    update_codewords<T>(exec, codewords, average, seen, shape, root.template attribute<double>("decay"),
                        root.template attribute<double>("epsilon"));
  }
  const auto expect_equal = [&](const auto& found, const char* name, double tolerance) {
    const auto host = to_host(exec, found);
    const auto wanted = root.template read<double>(name);
    ASSERT_EQ(host.size(), wanted.size());
    for (std::size_t i = 0; i < wanted.size(); ++i) {
      EXPECT_NEAR(host.data()[i], wanted[i], tolerance * std::max(1.0, std::abs(wanted[i]))) << name << i;
    }
  };
  const double tolerance = std::is_same_v<T, float> ? 1e-6 : 1e-12;
  expect_equal(average.counts, "counts", 1e-12);
  expect_equal(average.sums, "sums", tolerance);
  expect_equal(codewords, "updated", tolerance);
}

}  // namespace
}  // namespace strait::kernels
