#pragma once
// The end that receives indices: it follows the published codewords.

#include "published_codebook.hpp"

namespace strait::codec {

template <class T>
class RvqDecoder {
 public:
  explicit RvqDecoder(const RvqChannel& channel) : channel_(channel), published_(channel) {}

  /// q [tokens, columns], whose rows may be strided, of the message; ids, if any, are the caller's. Where the
  /// message carries a checksum that differs from this end's: Error(ExitCode::numerical).
  RvqMessage decode(const ExecutionSpace& exec, const Context& context, const Message& message,
                    const Matrix<T>& q);

  const PublishedCodebook<T>& published() const { return published_; }

  static std::int64_t bytes_needed(const RvqChannel& channel) {
    return PublishedCodebook<T>::bytes_needed(channel);
  }
  bool load(const ExecutionSpace& exec, const io::Group& group) { return published_.load(exec, group); }

 private:
  RvqChannel channel_;
  PublishedCodebook<T> published_;
};

extern template class RvqDecoder<float>;
extern template class RvqDecoder<double>;

}  // namespace strait::codec
