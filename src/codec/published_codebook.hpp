#pragma once
// The codebook that both ends of a quantised stream hold, bit for bit: it changes only by what messages say.

#include "rvq_channel.hpp"

namespace strait::codec {

template <class T>
class PublishedCodebook {
 public:
  explicit PublishedCodebook(const RvqChannel& channel);

  bool started() const { return started_; }
  /// The first of the next message's codewords.
  int next() const { return next_; }

  /// [rounds * groups * codewords, width]; zero before the first message.
  const Matrix<T>& codewords() const { return codewords_; }
  ConstMatrix<T> round(int round) const;

  /// Writes the codewords of one round whose turn it is from `master`, of that round, to the message.
  void write(const ExecutionSpace& exec, const Vector<std::uint8_t>& bytes, const RvqMessage& message,
             int round, ConstMatrix<T> master) const;
  /// Copies the codewords of one round from the message, at either end.
  void read(const ExecutionSpace& exec, const Vector<std::uint8_t>& bytes, const RvqMessage& message,
            int round) const;
  /// After all rounds of a training message.
  void advance(const ExecutionSpace& exec, const Vector<std::uint8_t>& bytes, const RvqMessage& message);

  /// sum [1] <- a checksum of the codewords and of every message so far: a bit that ever differed shows, also
  /// when its codeword has been published anew since.
  void checksum(const ExecutionSpace& exec, const Vector<std::uint64_t>& sum) const;
  /// The same as a number of the host. Waits.
  std::uint64_t checksum(const ExecutionSpace& exec) const;

  static std::int64_t bytes_needed(const RvqChannel& channel);
  void save(const ExecutionSpace& exec, io::Group group) const;
  /// False, without effect, where the group holds codewords of another shape.
  bool load(const ExecutionSpace& exec, const io::Group& group);

 private:
  std::int64_t round_offset(const RvqMessage& message, int round) const;

  RvqChannel channel_;
  Matrix<T> codewords_;
  Matrix<T> staged_;  ///< of one round of a message
  bool started_ = false;
  int next_ = 0;
  Vector<std::uint64_t> history_;  ///< [1] checksum of all messages
};

/// 8 bytes at `offset` of a message, the lowest first: sum [1].
void write_checksum(const ExecutionSpace& exec, const Vector<std::uint8_t>& bytes, std::int64_t offset,
                    const Vector<std::uint64_t>& sum);
/// As a number of the host. Waits.
std::uint64_t read_checksum(const ExecutionSpace& exec, const Vector<std::uint8_t>& bytes,
                            std::int64_t offset);

extern template class PublishedCodebook<float>;
extern template class PublishedCodebook<double>;

}  // namespace strait::codec
