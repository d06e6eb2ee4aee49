#pragma once
// The end that quantises: it owns the master codebook.

#include "published_codebook.hpp"

namespace strait::codec {

template <class T>
class RvqEncoder {
 public:
  explicit RvqEncoder(const RvqChannel& channel);

  /// Fills the message with codewords and indices for z [tokens, columns]; ids, if any, are the caller's.
  /// Where `left` is given it becomes the sum over rounds of what each has left of z.
  RvqMessage encode(const ExecutionSpace& exec, const Context& context, ConstMatrix<T> z, Message& message,
                    const Matrix<T>& left = {});

  /// The master follows what was quantised since the last update.
  void update(const ExecutionSpace& exec);

  /// For the RvqEncoder::diagnostics, of the message that was encoded last. Waits.
  std::vector<double> diagnose(const ExecutionSpace& exec) const;
  static std::vector<Diagnostic> diagnostics(const RvqOptions& options);

  const PublishedCodebook<T>& published() const { return published_; }

  static std::int64_t bytes_needed(const RvqChannel& channel);
  void save(const ExecutionSpace& exec, io::Group group) const;
  bool load(const ExecutionSpace& exec, const io::Group& group);

 private:
  kernels::CodeIndices indices_of(int round) const;
  kernels::CodewordStatistics part(const kernels::CodewordStatistics& statistics, int round) const;
  void renew(const ExecutionSpace& exec, const Context& context, const RvqMessage& message, int round);

  RvqChannel channel_;
  PublishedCodebook<T> published_;
  Matrix<T> master_;                     ///< as the published codewords
  kernels::CodewordStatistics average_;  ///< of all steps
  kernels::CodewordStatistics seen_;     ///< since the last update
  Matrix<T> residuals_;                  ///< tiles, of the message at hand
  kernels::CodeIndices indices_;         ///< [rounds * groups, tokens]
  int rounds_ = 0;                       ///< of the message at hand
};

extern template class RvqEncoder<float>;
extern template class RvqEncoder<double>;

}  // namespace strait::codec
