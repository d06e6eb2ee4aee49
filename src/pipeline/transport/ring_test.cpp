#include "strait/core/communicator.hpp"
#include "strait/core/error.hpp"
#include "strait/core/tensor.hpp"
#include "strait/core/timer.hpp"
#include "strait/pipeline/message_path.hpp"

#include <algorithm>
#include <array>
#include <thread>
#include <vector>

namespace strait::pipeline {
namespace {

using Bytes = Vector<std::uint8_t>;

/// One of the messages that are under way at once, by the type that MPI is told.
struct RingMessage {
  MPI_Datatype type;
  int bytes;
};

constexpr int message_count = 6;
/// Above the sizes at which MPI libraries go over to rendezvous and, of devices, to copies in pieces.
constexpr int large = host_accessible ? 1 << 20 : 1 << 23;

/// From those that MPI copies at once to large ones; the odd one last, so that all are aligned.
std::array<RingMessage, message_count> ring_messages() {
  return {{{MPI_BYTE, 1 << 10},
           {MPI_UINT16_T, 1 << 14},
           {MPI_FLOAT, 1 << 17},
           {MPI_DOUBLE, 1 << 18},
           {MPI_BYTE, large},
           {MPI_BYTE, 1}}};
}

/// Byte `i` of what `rank` sends.
KOKKOS_INLINE_FUNCTION std::uint8_t ring_byte(int rank, std::int64_t i) {
  const std::uint32_t mixed =
      static_cast<std::uint32_t>(i) * 0x9E3779B1u + static_cast<std::uint32_t>(rank) * 0x85EBCA6Bu;
  return static_cast<std::uint8_t>((mixed ^ mixed >> 15) >> 8);
}

/// The bytes of `rank`, with the bits of `flipped` changed.
void fill(const ExecutionSpace& exec, const Bytes& buffer, int rank, std::uint8_t flipped) {
  Kokkos::parallel_for(
      "strait::pipeline::fill_ring", RangePolicy(exec, 0, buffer.extent(0)),
      KOKKOS_LAMBDA(std::int64_t i) { buffer(i) = static_cast<std::uint8_t>(ring_byte(rank, i) ^ flipped); });
}

/// How many of `count` bytes from `begin` on are not those of `rank`. Waits.
std::int64_t wrong_bytes(const ExecutionSpace& exec, const Bytes& buffer, int rank, std::int64_t begin,
                         std::int64_t count) {
  std::int64_t wrong = 0;
  Kokkos::parallel_reduce(
      "strait::pipeline::check_ring", RangePolicy(exec, begin, begin + count),
      KOKKOS_LAMBDA(std::int64_t i, std::int64_t & sum) { sum += buffer(i) != ring_byte(rank, i); }, wrong);
  return wrong;
}

class Ring {
 public:
  Ring(const ExecutionSpace& exec, MPI_Comm communicator, double patience)
      : exec_(exec),
        rank_(rank_of(communicator)),
        size_(size_of(communicator)),
        patience_(patience),
        messages_(ring_messages()) {
    MPI_Comm_dup(communicator, &communicator_);
    MPI_Comm_set_errhandler(communicator_, MPI_ERRORS_RETURN);
    std::int64_t bytes = 0;
    for (const RingMessage& message : messages_) bytes += message.bytes;
    for (Bytes* buffer : {&own_, &received_, &returned_}) {
      *buffer = Bytes(Kokkos::view_alloc(Kokkos::WithoutInitializing, "strait::pipeline::ring"), bytes);
    }
  }
  ~Ring() { MPI_Comm_free(&communicator_); }
  Ring(const Ring&) = delete;
  Ring& operator=(const Ring&) = delete;

  /// The fault, the same on all ranks. There and back whatever is found, so that nobody waits for a rank that
  /// has found something.
  std::string run() {
    const int next = (rank_ + 1) % size_, last = (rank_ + size_ - 1) % size_;
    fill(exec_, own_, rank_, 0);
    const std::string there = pass(own_, next, received_, last, last, there_tag, patience_);
    // Longer, since another may come late that has lost its patience on the way there.
    const std::string back = pass(received_, last, returned_, next, rank_, back_tag, 2 * patience_);
    return agreed(there.empty() ? back : there);
  }

 private:
  static constexpr int there_tag = 0, back_tag = message_count;

  /// `out` goes to `to`; `in` comes from `from` and is to hold the bytes of `whose`. The fault on this rank.
  std::string pass(const Bytes& out, int to, const Bytes& in, int from, int whose, int first_tag,
                   double patience) {
    fill(exec_, in, whose, 0xFF);
    fence(exec_, "strait::pipeline::ring_test: MPI takes the buffers next");
    const bool posted = post(out, to, in, from, first_tag);
    const std::string fault = arrive(in, from, whose, patience);
    abandon();
    return posted ? fault : "MPI refused a message";
  }

  /// False where MPI refuses anything.
  bool post(const Bytes& out, int to, const Bytes& in, int from, int first_tag) {
    requests_.fill(MPI_REQUEST_NULL);
    bool posted = true;
    std::int64_t begin = 0;
    for (int m = 0; m < message_count; ++m) {
      const auto [type, bytes] = messages_[m];
      const int tag = first_tag + m;
      MPI_Request& send = requests_[message_count + m];
      int size = 1;
      MPI_Type_size(type, &size);
      if (MPI_Irecv(in.data() + begin, bytes / size, type, from, tag, communicator_, &requests_[m]) !=
          MPI_SUCCESS) {
        posted = false;
        requests_[m] = MPI_REQUEST_NULL;
      }
      if (MPI_Isend(out.data() + begin, bytes / size, type, to, tag, communicator_, &send) != MPI_SUCCESS) {
        posted = false;
        MPI_Isend(nullptr, 0, type, to, tag, communicator_, &send);  // so that nobody waits for it
      }
      begin += bytes;
    }
    return posted;
  }

  /// Waits for the messages; what is wrong with them.
  std::string arrive(const Bytes& in, int from, int whose, double patience) {
    const Stopwatch waited;
    int complete = 0;
    while (!complete) {
      if (MPI_Testall(static_cast<int>(requests_.size()), requests_.data(), &complete, MPI_STATUSES_IGNORE) !=
          MPI_SUCCESS) {
        return "MPI reported an error";
      }
      if (!complete && waited.seconds() > patience) {
        return fmt::format("a message did not come or go in {:g} s", patience);
      }
      std::this_thread::yield();
    }
    std::int64_t begin = 0;
    for (const RingMessage& message : messages_) {
      const std::int64_t wrong = wrong_bytes(exec_, in, whose, begin, message.bytes);
      if (wrong > 0) {
        return fmt::format("{} of {} bytes from rank {} came wrong", wrong, message.bytes, from);
      }
      begin += message.bytes;
    }
    return "";
  }

  /// MPI may use the buffers of what is still under way: they are kept to the end of the process.
  void abandon() {
    const auto is_pending = [](MPI_Request request) { return request != MPI_REQUEST_NULL; };
    if (std::none_of(requests_.begin(), requests_.end(), is_pending)) return;
    for (int i = 0; i < 2 * message_count; ++i) {
      if (!is_pending(requests_[i])) continue;
      if (i < message_count) MPI_Cancel(&requests_[i]);
      MPI_Request_free(&requests_[i]);
    }
    Kokkos::push_finalize_hook([own = own_, received = received_, returned = returned_] {});
  }

  /// The fault of the lowest rank that has one.
  std::string agreed(const std::string& fault) const {
    int first = fault.empty() ? size_ : rank_;
    MPI_Allreduce(MPI_IN_PLACE, &first, 1, MPI_INT, MPI_MIN, communicator_);
    if (first == size_) return "";
    std::array<char, 128> text{};
    fault.copy(text.data(), text.size() - 1);
    MPI_Bcast(text.data(), static_cast<int>(text.size()), MPI_CHAR, first, communicator_);
    return fmt::format("the test of MPI on device memory failed on rank {}: {}", first, text.data());
  }

  ExecutionSpace exec_;
  MPI_Comm communicator_ = MPI_COMM_NULL;
  int rank_, size_;
  double patience_;
  std::array<RingMessage, message_count> messages_;
  Bytes own_, received_, returned_;
  std::array<MPI_Request, 2 * message_count> requests_;  ///< receives, then sends
};

}  // namespace

std::string ring_test(const ExecutionSpace& exec, MPI_Comm communicator, double patience) {
  return Ring(exec, communicator, patience).run();
}

}  // namespace strait::pipeline
