#pragma once
// How messages travel between ranks: posted receives, sends that lend their buffer, and exact byte counts.

#include "strait/codec/codec.hpp"
#include "strait/core/timer.hpp"

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace strait::pipeline {

/// What a message is for.
enum class Channel { forward, backward, sync_up, sync_down, tied, replicas };
inline constexpr int channels = 6;

struct Envelope {
  Channel channel;
  int boundary = -1;              ///< none for tied gradients; of sums over replicas the virtual stage
  std::int64_t micro_batch = -1;  ///< none for synchronisation and tied gradients; of sums their number
  int peer = 0;                   ///< rank at the other side
  bool evaluation = false;        ///< such messages never match those of training
};

/// Bytes sent across one boundary, by account.
struct BoundaryBytes {
  std::int64_t forward = 0;   ///< activations and ids of training
  std::int64_t backward = 0;  ///< their gradients
  std::int64_t sync = 0;      ///< what keeps the two ends of a codec equal
  std::int64_t header = 0;    ///< fixed overhead of training messages
  std::int64_t evaluation = 0;

  BoundaryBytes& operator+=(const BoundaryBytes& other);
  bool operator==(const BoundaryBytes&) const = default;
};

struct SentBytes {
  std::vector<BoundaryBytes>
      boundaries;             ///< only this rank's sends: forward and down at boundary `rank`, ...
  std::int64_t tied = 0;      ///< gradients of tied embeddings
  std::int64_t replicas = 0;  ///< what the replicas of a stage add up
};

/// One rank's access to the others. Not thread-safe. Buffers are read and filled in the order of the
/// execution space instance that computes, as if by kernels that it was given at each call: nobody has to
/// wait for the device before or after.
class Transport {
 public:
  Transport(int rank, int size, int boundaries);
  virtual ~Transport() = default;
  Transport(const Transport&) = delete;
  Transport& operator=(const Transport&) = delete;

  int rank() const { return rank_; }
  int size() const { return size_; }

  /// Sends message.size bytes and counts them. The buffer is lent until `done`.
  int send(const Envelope& envelope, const codec::Message& message);

  /// Posts a receive of at most the message's capacity. Buffer and message are lent until `done`, which sets
  /// message.size to what came.
  int receive(const Envelope& envelope, codec::Message& message);

  /// True once the request is complete, which forgets it; never waits.
  virtual bool done(int request) = 0;

  /// Gathers one record of equal length from every rank. All ranks start the same gathers in the same order;
  /// several may be under way.
  virtual int start_gather(std::span<const double> record) = 0;

  /// True once the gather is complete, which forgets it: `all` holds the records in the order of the ranks.
  virtual bool gather_done(int gather, std::vector<double>& all) = 0;

  /// Gives the transport the processor for a moment: called between pieces of computation.
  virtual void progress() = 0;

  /// Waits until a request or a gather completes. The one wait of the program.
  virtual void wait() = 0;

  /// What messages pass through, for people.
  virtual std::string path() const = 0;

  /// Counts since the last call.
  SentBytes take_sent();

  /// Seconds since all ranks created their transports.
  double seconds() const { return clock_.seconds(); }

 protected:
  virtual int start_send(const Envelope& envelope, const codec::Message& message) = 0;
  virtual int start_receive(const Envelope& envelope, codec::Message& message) = 0;
  void start_clock() { clock_ = Stopwatch(); }

 private:
  void count(const Envelope& envelope, const codec::Message& message);

  int rank_;
  int size_;
  SentBytes sent_;
  Stopwatch clock_;
};

/// Refuses a message that no single MPI transfer can carry: Error(ExitCode::deck).
void check_message_size(std::int64_t bytes);

}  // namespace strait::pipeline
