#pragma once
// How codewords follow what they stand for: k-means at the start, then moving averages as in EnCodec
// (arXiv 2210.13438, after van den Oord et al., arXiv 1711.00937). All sums are taken in the order of the
// tokens, whatever the threads.

#include "strait/kernels/vector_quantisation.hpp"

namespace strait::kernels {

/// Of one round, or of several one after the other, in double precision.
struct CodewordStatistics {
  Vector<double> counts;  ///< [rounds * groups * codewords] tokens
  Matrix<double> sums;    ///< [rounds * groups * codewords, width] of their vectors

  CodewordStatistics() = default;
  explicit CodewordStatistics(std::int64_t codewords, int width)
      : counts("strait::codeword_statistics::counts", codewords),
        sums("strait::codeword_statistics::sums", codewords, width) {}

  /// Of the codewords [begin, end).
  CodewordStatistics part(std::int64_t begin, std::int64_t end) const;
  void clear(const ExecutionSpace& exec) const;
};

/// Which random numbers choose tokens.
struct RandomTokens {
  std::uint64_t seed = 0;
  std::uint64_t stream = 0;
  std::uint64_t index = 0;
};

/// The codewords [first, first + count) of every group, modulo their number.
struct CodewordTurn {
  int first = 0;
  int count = 0;
};

/// Adds the tokens of one round by their indices [groups, tokens]. `residuals` are what nearest_codewords
/// left: with Residual::subtract the codewords are added again.
template <class T>
void add_statistics(const ExecutionSpace& exec, const CodewordStatistics& statistics,
                    const CodeIndices& indices, const Matrix<T>& residuals, ConstMatrix<T> codewords,
                    const CodebookShape& shape, Residual residual);

/// One update with what was seen since the last, `seen`:
///
///   count <- decay count + (1 - decay) seen.count,   sum <- decay sum + (1 - decay) seen.sum,
///   codeword = sum / n,   n = total (count + epsilon) / (total + K epsilon),   total = sum of a group's
///   counts.
///
/// Groups that saw no token stay as they are. Any number of rounds at once.
template <class T>
void update_codewords(const ExecutionSpace& exec, const Matrix<T>& codewords,
                      const CodewordStatistics& average, const CodewordStatistics& seen,
                      const CodebookShape& shape, double decay, double epsilon);

/// codewords of one round = the result of k-means on `residuals`, from distinct random tokens, of which there
/// must be as many as codewords; `statistics` = counts and sums of the last assignment. `indices`
/// [groups, tokens] is scratch.
template <class T>
void start_codewords(const ExecutionSpace& exec, const Matrix<T>& codewords,
                     const CodewordStatistics& statistics, const CodeIndices& indices,
                     const Matrix<T>& residuals, const CodebookShape& shape, const RandomTokens& random);

/// Among the codewords of one round whose turn it is, replaces the dead, those of a count below `share` of
/// their group's mean: by the residual of a random token, with the count that is just alive. `seen` forgets
/// them.
template <class T>
void replace_dead_codewords(const ExecutionSpace& exec, const Matrix<T>& codewords,
                            const CodewordStatistics& average, const CodewordStatistics& seen,
                            const Matrix<T>& residuals, std::int64_t tokens, const CodebookShape& shape,
                            const CodewordTurn& turn, double share, const RandomTokens& random);

}  // namespace strait::kernels
