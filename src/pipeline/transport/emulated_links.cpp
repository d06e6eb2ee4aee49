#include "emulated_links.hpp"

#include "strait/core/communicator.hpp"
#include "strait/core/error.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <cstring>

namespace strait::pipeline {
namespace {

constexpr std::uint64_t claimed = ~std::uint64_t{0};

/// What tells a message from others on their way to one rank; not 0 and not `claimed`.
std::uint64_t key(const Envelope& envelope, int from) {
  constexpr std::uint64_t micro_batches = std::uint64_t{1} << 20;
  std::uint64_t out = static_cast<std::uint64_t>(from);
  out = (out << 4) | (static_cast<std::uint64_t>(envelope.channel) + 1);
  out = (out << 1) | (envelope.evaluation ? 1 : 0);
  out = (out << 20) | static_cast<std::uint64_t>(envelope.boundary + 1);
  return (out << 20) | (static_cast<std::uint64_t>(envelope.micro_batch + 1) % micro_batches);
}

/// Zeros that all ranks of a node see, named by the first of them and gone with the last.
void* shared_memory(MPI_Comm communicator, std::size_t bytes) {
  static int number = 0;
  std::array<char, 64> name = {};
  const bool first = rank_of(communicator) == 0;
  if (first) std::snprintf(name.data(), name.size(), "/strait-%d-%d", static_cast<int>(getpid()), number++);
  MPI_Bcast(name.data(), static_cast<int>(name.size()), MPI_CHAR, 0, communicator);
  int file = first ? shm_open(name.data(), O_CREAT | O_EXCL | O_RDWR, 0600) : -1;
  if (first && file >= 0 && ftruncate(file, static_cast<off_t>(bytes)) != 0) {
    close(file);
    file = -1;
  }
  MPI_Barrier(communicator);
  if (!first) file = shm_open(name.data(), O_RDWR, 0600);
  void* memory = file < 0 ? MAP_FAILED : mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  const std::string reason = std::strerror(errno);
  if (file >= 0) close(file);
  int missing = memory == MAP_FAILED ? 1 : 0;
  MPI_Allreduce(MPI_IN_PLACE, &missing, 1, MPI_INT, MPI_MAX, communicator);
  if (first) shm_unlink(name.data());
  if (missing) {
    fail(ExitCode::environment, "strait: [network] bandwidth: no memory to share between ranks{}",
         memory == MAP_FAILED ? ": " + reason : "");
  }
  return memory;
}

}  // namespace

EmulatedLinks::EmulatedLinks(MPI_Comm communicator, const Placement& placement, const NetworkConfig& network)
    : network_(network),
      rank_(rank_of(communicator)),
      ranks_(size_of(communicator)),
      stages_(placement.stages) {
  MPI_Comm node = MPI_COMM_NULL;
  MPI_Comm_split_type(communicator, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &node);
  int together = size_of(node);
  MPI_Comm_free(&node);
  MPI_Allreduce(MPI_IN_PLACE, &together, 1, MPI_INT, MPI_MIN, communicator);
  if (together < ranks_) {
    fail(ExitCode::environment,
         "strait: [network] bandwidth: emulates links between the ranks of one node, these are on several");
  }
  for (int stage = 0; stage < stages_; ++stage) {
    replicas_of_.push_back(placement.replicas_of(stage));
    stage_of_.insert(stage_of_.end(), replicas_of_.back(), stage);
  }
  ensure(static_cast<int>(stage_of_.size()) == ranks_, "every rank has its place");
  static_assert(Seconds::is_always_lock_free && std::atomic<std::uint64_t>::is_always_lock_free);
  shared_ = shared_memory(communicator, bytes_needed());
}

EmulatedLinks::~EmulatedLinks() { munmap(shared_, bytes_needed()); }

double EmulatedLinks::now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// Boards, then both ways of the links from each rank to each stage, then each rank's own.

std::size_t EmulatedLinks::bytes_needed() const {
  const std::size_t ranks = ranks_, links = ranks * (2 * stages_ + std::size_t{1});
  return ranks * sizeof(Board) + links * sizeof(Seconds);
}

EmulatedLinks::Board& EmulatedLinks::board(int rank) const { return static_cast<Board*>(shared_)[rank]; }

EmulatedLinks::Seconds& EmulatedLinks::link(int from, int to) const {
  const int lower = std::min(from, to), higher = std::max(from, to);
  const int first = stage_of_[lower], second = stage_of_[higher];
  const bool at_second = replicas_of_[second] <= replicas_of_[first];
  const std::size_t end = at_second ? higher : lower, other = at_second ? first : second;
  const std::size_t way = network_.duplex && from > to ? 1 : 0;
  return reinterpret_cast<Seconds*>(&board(ranks_))[2 * (end * stages_ + other) + way];
}

EmulatedLinks::Seconds& EmulatedLinks::port(int rank) const {
  const std::size_t links = std::size_t{2} * ranks_ * stages_;
  return reinterpret_cast<Seconds*>(&board(ranks_))[links + rank];
}

/// The time, not before `from`, from which on `seconds` of the link are the caller's.
double EmulatedLinks::reserve(Seconds& link, double from, double seconds) {
  double free = link.load();
  double start = std::max(free, from);
  while (!link.compare_exchange_weak(free, start + seconds)) start = std::max(free, from);
  return start;
}

double EmulatedLinks::send(const Envelope& envelope, std::int64_t bytes) {
  const double seconds = 8.0 * static_cast<double>(bytes) / network_.bandwidth;
  double start = now();
  if (stage_of_[rank_] == stage_of_[envelope.peer]) {
    start = reserve(port(rank_), start, seconds);
    if (!network_.duplex) start = reserve(port(envelope.peer), start, seconds);
  } else {
    start = reserve(link(rank_, envelope.peer), start, seconds);
  }
  Board& there = board(envelope.peer);
  int found = -1;
  for (int i = 0; i < notes && found < 0; ++i) {
    std::uint64_t unused = 0;
    if (there.note[i].message.compare_exchange_strong(unused, claimed)) found = i;
  }
  ensure(found >= 0, "fewer messages on their way than there is room for");
  Note& note = there.note[found];
  note.number = sent_++;
  note.arrival = start + seconds + network_.latency;
  int used = there.used.load();
  while (used <= found && !there.used.compare_exchange_weak(used, found + 1)) {
  }
  note.message.store(key(envelope, rank_));
  return start + seconds;
}

double EmulatedLinks::arrival(const Envelope& envelope) {
  Board& own = board(rank_);
  const std::uint64_t message = key(envelope, envelope.peer);
  Note* oldest = nullptr;
  for (int i = 0; i < own.used.load(); ++i) {
    Note& note = own.note[i];
    if (note.message.load() == message && (!oldest || note.number < oldest->number)) oldest = &note;
  }
  ensure(oldest != nullptr, "a message that has come was announced");
  const double arrival = oldest->arrival;
  oldest->message.store(0);
  return arrival;
}

double EmulatedLinks::gather_seconds() const { return network_.latency * std::ceil(std::log2(ranks_)); }

}  // namespace strait::pipeline
