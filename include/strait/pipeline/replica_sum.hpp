#pragma once
// Adds up a vector over the replicas of a stage. Each replica owns a part of it: it gets that part from the
// others, adds up in the order of the replicas, and sends them the sum, so that all hold the same bits and
// each sends 2 (R - 1) / R of the vector. Nothing waits: a sum goes on while other work is done.

#include "strait/pipeline/transport.hpp"

#include <optional>
#include <vector>

namespace strait::pipeline {

/// The ranks that add up, in the order in which they do; the same on all.
struct ReplicaGroup {
  std::vector<int> ranks;
  int own = 0;  ///< index of this rank

  int size() const { return static_cast<int>(ranks.size()); }
};

template <class T>
class ReplicaSum {
 public:
  /// Vectors that a virtual stage may add up at once: messages of more could not be told apart over MPI.
  static constexpr int most_vectors = 15;

  /// `vector`, contiguous, is this rank's part of the sum and then the sum. `index` of the virtual stage's
  /// vectors, below most_vectors. Refuses messages that are too long: Error(ExitCode::deck).
  ReplicaSum(const ExecutionSpace& exec, Transport& transport, const ReplicaGroup& group, int virtual_stage,
             int index, const Vector<T>& vector);

  /// Before a step's gradients.
  void begin() { state_ = State::waiting; }
  /// The vector is complete, and lent until the end of the sum. Nothing where it was started before.
  void start();
  /// Moves on where it was started; true once the vector holds the sum.
  bool advance();

  std::int64_t memory_bytes() const;
  /// The same for a vector of `size` numbers.
  static std::int64_t bytes_needed(std::int64_t size, int replicas);

 private:
  /// What passes between this rank and one other.
  struct Peer {
    codec::Message to_own, from_own;   ///< its part of the vector, which it owns; this rank's, summed
    codec::Message theirs, sum;        ///< its numbers of this rank's part; the sum of its own part
    std::optional<int> send, receive;  ///< under way
  };

  enum class State { waiting, collecting, sharing, done };

  Envelope envelope(int replica) const;
  void add_up();

  ExecutionSpace exec_;
  Transport& transport_;
  ReplicaGroup group_;
  int virtual_stage_, index_;
  Vector<T> vector_;
  Vector<T> received_;  ///< the others' numbers of the own part
  std::vector<Peer> peers_;
  State state_ = State::waiting;
};

extern template class ReplicaSum<float>;
extern template class ReplicaSum<double>;

}  // namespace strait::pipeline
