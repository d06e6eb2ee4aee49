#include "strait/kernels/codeword_statistics.hpp"

#include "strait/core/error.hpp"
#include "strait/core/random.hpp"
#include "strait/core/scratch.hpp"

#include "code_order.hpp"
#include "rows.hpp"

namespace strait::kernels {
namespace {

/// Mean of `counts` over each group of `codewords`, summed in a fixed order.
Vector<double> group_means(const ExecutionSpace& exec, const Vector<double>& counts, std::int64_t codewords) {
  const std::int64_t groups = static_cast<std::int64_t>(counts.extent(0)) / codewords;
  const auto means = scratch<double>("strait::codeword_statistics::means", groups);
  for_each_row(
      "strait::codeword_statistics::means", exec, groups, KOKKOS_LAMBDA(const Row& row, std::int64_t group) {
        const double sum =
            row_sum<double>(row, codewords, [&](std::int64_t k) { return counts(group * codewords + k); });
        row_once(row, [&] { means(group) = sum / static_cast<double>(codewords); });
      });
  return means;
}

}  // namespace

CodewordStatistics CodewordStatistics::part(std::int64_t begin, std::int64_t end) const {
  CodewordStatistics out;
  out.counts = Kokkos::subview(counts, std::make_pair(begin, end));
  out.sums = rows(sums, begin, end);
  return out;
}

void CodewordStatistics::clear(const ExecutionSpace& exec) const {
  Kokkos::deep_copy(exec, counts, 0.0);
  Kokkos::deep_copy(exec, sums, 0.0);
}

template <class T>
void add_statistics(const ExecutionSpace& exec, const CodewordStatistics& statistics,
                    const CodeIndices& indices, const Matrix<T>& residuals, ConstMatrix<T> codewords,
                    const CodebookShape& shape, Residual residual) {
  ensure(static_cast<std::int64_t>(statistics.counts.extent(0)) == shape.all_codewords(),
         "add_statistics: extents do not match");
  const CodeOrder order = sort_by_code(exec, indices, shape);
  const auto counts = statistics.counts;
  const auto sums = statistics.sums;
  const std::int64_t width = shape.width, columns = shape.columns(), per_group = shape.codewords;
  const double again = residual == Residual::subtract ? 1.0 : 0.0;
  for_each_row(
      "strait::codeword_statistics::add", exec, shape.all_codewords(),
      KOKKOS_LAMBDA(const Row& row, std::int64_t code) {
        const std::int32_t begin = order.begin(code), end = order.end(code);
        if (begin == end) return;
        double* const sum = &sums(code, 0);
        const double count = end - begin;
        row_for(row, width,
                [&](std::int64_t d) { sum[d] += again * count * static_cast<double>(codewords(code, d)); });
        row.barrier();
        for (std::int32_t i = begin; i < end; ++i) {
          const std::int64_t token = order.tokens(i);
          const T* const from =
              &residuals(token / tile_tokens * columns + code / per_group * width, token % tile_tokens);
          row_for(row, width, [&](std::int64_t d) { sum[d] += static_cast<double>(from[d * tile_tokens]); });
          row.barrier();
        }
        row_once(row, [&] { counts(code) += count; });
      });
}

template <class T>
void update_codewords(const ExecutionSpace& exec, const Matrix<T>& codewords,
                      const CodewordStatistics& average, const CodewordStatistics& seen,
                      const CodebookShape& shape, double decay, double epsilon) {
  const std::int64_t per_group = shape.codewords, width = shape.width, all = codewords.extent(0);
  const auto seen_means = group_means(exec, seen.counts, per_group);
  const auto count = average.counts, seen_count = seen.counts;
  const auto sum = average.sums, seen_sum = seen.sums;
  Kokkos::parallel_for(
      "strait::codeword_statistics::average", RangePolicy(exec, 0, all), KOKKOS_LAMBDA(std::int64_t k) {
        if (!(seen_means(k / per_group) > 0.0)) return;
        count(k) = decay * count(k) + (1.0 - decay) * seen_count(k);
        for (std::int64_t d = 0; d < width; ++d) {
          sum(k, d) = decay * sum(k, d) + (1.0 - decay) * seen_sum(k, d);
        }
      });
  const auto means = group_means(exec, count, per_group);
  Kokkos::parallel_for(
      "strait::codeword_statistics::update", RangePolicy(exec, 0, all), KOKKOS_LAMBDA(std::int64_t k) {
        if (!(seen_means(k / per_group) > 0.0)) return;
        const double mean = means(k / per_group);
        const double smoothed = mean * (count(k) + epsilon) / (mean + epsilon);
        for (std::int64_t d = 0; d < width; ++d) codewords(k, d) = static_cast<T>(sum(k, d) / smoothed);
      });
}

template <class T>
void replace_dead_codewords(const ExecutionSpace& exec, const Matrix<T>& codewords,
                            const CodewordStatistics& average, const CodewordStatistics& seen,
                            const Matrix<T>& residuals, std::int64_t tokens, const CodebookShape& shape,
                            const CodewordTurn& turn, double share, const RandomTokens& random) {
  const auto means = group_means(exec, average.counts, shape.codewords);
  const auto count = average.counts, seen_count = seen.counts;
  const auto sum = average.sums, seen_sum = seen.sums;
  const Philox draw(random.seed, random.stream);
  const std::uint64_t first_draw = random.index * static_cast<std::uint64_t>(shape.all_codewords());
  Kokkos::parallel_for(
      "strait::codeword_statistics::replace_dead",
      RangePolicy(exec, 0, std::int64_t{shape.groups} * turn.count), KOKKOS_LAMBDA(std::int64_t item) {
        const std::int64_t group = item / turn.count;
        const std::int64_t k = group * shape.codewords + (turn.first + item % turn.count) % shape.codewords;
        const double alive = share * means(group);
        if (!(count(k) < alive)) return;
        const std::int64_t token = static_cast<std::int64_t>(draw.bits(first_draw + k) % tokens);
        const std::int64_t row = token / tile_tokens * shape.columns() + group * shape.width;
        count(k) = alive;
        seen_count(k) = 0.0;
        for (int d = 0; d < shape.width; ++d) {
          const T value = residuals(row + d, token % tile_tokens);
          codewords(k, d) = value;
          sum(k, d) = alive * static_cast<double>(value);
          seen_sum(k, d) = 0.0;
        }
      });
}

#define STRAIT_INSTANTIATE(T)                                                                           \
  template void add_statistics<T>(const ExecutionSpace&, const CodewordStatistics&, const CodeIndices&, \
                                  const Matrix<T>&, ConstMatrix<T>, const CodebookShape&, Residual);    \
  template void update_codewords<T>(const ExecutionSpace&, const Matrix<T>&, const CodewordStatistics&, \
                                    const CodewordStatistics&, const CodebookShape&, double, double);   \
  template void replace_dead_codewords<T>(const ExecutionSpace&, const Matrix<T>&,                      \
                                          const CodewordStatistics&, const CodewordStatistics&,         \
                                          const Matrix<T>&, std::int64_t, const CodebookShape&,         \
                                          const CodewordTurn&, double, const RandomTokens&);
STRAIT_INSTANTIATE(float)
STRAIT_INSTANTIATE(double)
#undef STRAIT_INSTANTIATE

}  // namespace strait::kernels
