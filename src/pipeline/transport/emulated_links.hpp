#pragma once
// The links that ranks of one node pretend to have between them, in memory that they share.

#include "strait/pipeline/network.hpp"
#include "strait/pipeline/placement.hpp"
#include "strait/pipeline/transport.hpp"

#include <mpi.h>

#include <atomic>
#include <vector>

namespace strait::pipeline {

class EmulatedLinks {
 public:
  /// Collective. Refuses ranks on several nodes: Error(ExitCode::environment).
  EmulatedLinks(MPI_Comm communicator, const Placement& placement, const NetworkConfig& network);
  ~EmulatedLinks();
  EmulatedLinks(const EmulatedLinks&) = delete;
  EmulatedLinks& operator=(const EmulatedLinks&) = delete;

  /// Seconds of a clock that all ranks read alike.
  static double now();

  /// A message of the own rank enters its link behind those that did before. Returns when it has left; its
  /// receiver finds when it arrives.
  double send(const Envelope& envelope, std::int64_t bytes);
  /// When a message that has come to the own rank arrives. Messages of one envelope come in order.
  double arrival(const Envelope& envelope);
  /// Seconds by which a gather is late.
  double gather_seconds() const;

 private:
  using Seconds = std::atomic<double>;
  /// A message on its way, written by its sender.
  struct Note {
    std::atomic<std::uint64_t> message;  ///< 0: unused
    std::uint64_t number;                ///< of the sender's messages
    double arrival;
  };
  static constexpr int notes = 4096;  ///< for each receiver
  struct Board {
    std::atomic<int> used;  ///< notes from the first on that ever were
    Note note[notes];
  };

  std::size_t bytes_needed() const;
  Board& board(int rank) const;
  Seconds& link(int from, int to) const;
  Seconds& port(int rank) const;
  static double reserve(Seconds& link, double from, double seconds);

  NetworkConfig network_;
  int rank_ = 0, ranks_ = 1, stages_ = 1;
  std::vector<int> stage_of_;     ///< of each rank
  std::vector<int> replicas_of_;  ///< of each stage
  std::uint64_t sent_ = 0;
  void* shared_ = nullptr;
};

}  // namespace strait::pipeline
