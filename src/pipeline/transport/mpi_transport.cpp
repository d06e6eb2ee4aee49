#include "strait/pipeline/mpi_transport.hpp"

#include "strait/core/communicator.hpp"
#include "strait/core/pinned.hpp"
#include "strait/core/timer.hpp"

#include <sched.h>

#include <algorithm>
#include <chrono>
#include <thread>

namespace strait::pipeline {

struct MpiTransport::Request {
  enum class State {
    unused,
    held,     ///< until the device lets MPI have the buffer
    pending,  ///< MPI has it
    complete
  };

  State state = State::unused;
  codec::Message* target = nullptr;  ///< of a receive
  std::int64_t size = 0;             ///< of a receive, once complete
  std::vector<double> record;        ///< of a gather
  std::vector<double> gathered;

  // What MPI gets of a message.
  std::uint8_t* data = nullptr;
  int bytes = 0, peer = 0, tag = 0;

  DeviceEvent given;   ///< what the device was given before: it fills what is sent, reads what is overwritten
  DeviceEvent copied;  ///< out of the staging buffer
  PinnedVector<std::uint8_t> staging;

  std::uint8_t* stage(std::int64_t bytes) {
    if (static_cast<std::int64_t>(staging.extent(0)) < bytes) {
      staging = decltype(staging)(
          Kokkos::view_alloc(Kokkos::WithoutInitializing, "strait::pipeline::staging"), bytes);
    }
    return staging.data();
  }

  auto staged(std::int64_t bytes) const {
    return Kokkos::subview(staging, std::make_pair(std::int64_t{0}, bytes));
  }
};

namespace {

auto part(const codec::Message& message, std::int64_t bytes) {
  return Kokkos::subview(message.bytes, std::make_pair(std::int64_t{0}, bytes));
}

// Micro-batches in flight on one channel are fewer; a message that is out of turn then never matches.
constexpr int micro_batch_tags = 16;
constexpr int streams = channels + 1;  // the last for messages of evaluations

int tag(const Envelope& envelope) {
  const int channel = envelope.evaluation ? channels : static_cast<int>(envelope.channel);
  return ((envelope.boundary + 1) * streams + channel) * micro_batch_tags +
         static_cast<int>((envelope.micro_batch + 1) % micro_batch_tags);
}

/// Whether this node runs more ranks of `communicator` than processors that any of them may use.
bool is_oversubscribed(MPI_Comm communicator) {
  MPI_Comm node = MPI_COMM_NULL;
  MPI_Comm_split_type(communicator, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &node);
  cpu_set_t processors;
  CPU_ZERO(&processors);
  sched_getaffinity(0, sizeof(processors), &processors);
  MPI_Allreduce(MPI_IN_PLACE, &processors, sizeof(processors), MPI_BYTE, MPI_BOR, node);
  const int ranks = size_of(node);
  MPI_Comm_free(&node);
  return ranks > CPU_COUNT(&processors);
}

}  // namespace

MpiTransport::MpiTransport(const ExecutionSpace& exec, MPI_Comm communicator, int boundaries, WaitHook hook,
                           MessagePath path)
    : Transport(rank_of(communicator), size_of(communicator), boundaries),
      exec_(exec),
      exec_copying_(overlapping_instance(exec)),
      hook_(std::move(hook)),
      oversubscribed_(is_oversubscribed(communicator)),
      path_(std::move(path)) {
  MPI_Comm_dup(communicator, &communicator_);
  int* largest_tag = nullptr;
  int found = 0;
  MPI_Comm_get_attr(MPI_COMM_WORLD, MPI_TAG_UB, &largest_tag, &found);
  const int needed = (boundaries + 2) * streams * micro_batch_tags;
  if (found && *largest_tag < needed) {
    fail(ExitCode::environment, "strait: this MPI has tags up to {}, {} boundaries need {}", *largest_tag,
         boundaries, needed);
  }
  MPI_Barrier(communicator_);
  start_clock();
}

MpiTransport::~MpiTransport() { MPI_Comm_free(&communicator_); }

int MpiTransport::unused_request() {
  idle_ = false;
  const auto found = std::find_if(descriptions_.begin(), descriptions_.end(), [this](const auto& entry) {
    return entry->state == Request::State::unused && passed(entry->copied);
  });
  if (found != descriptions_.end()) return static_cast<int>(found - descriptions_.begin());
  descriptions_.push_back(std::make_unique<Request>());
  requests_.push_back(MPI_REQUEST_NULL);
  completed_.resize(requests_.size());
  statuses_.resize(requests_.size());
  return static_cast<int>(requests_.size()) - 1;
}

/// Gives MPI the buffer of a request.
void MpiTransport::post(int index) {
  Request& request = *descriptions_[index];
  request.state = Request::State::pending;
  if (request.target) {
    MPI_Irecv(request.data, request.bytes, MPI_BYTE, request.peer, request.tag, communicator_,
              &requests_[index]);
  } else {
    MPI_Isend(request.data, request.bytes, MPI_BYTE, request.peer, request.tag, communicator_,
              &requests_[index]);
  }
}

/// The same, of the requests whose buffers the device is done with; in their order, by which MPI matches.
void MpiTransport::post_held() {
  while (!held_.empty() && passed(descriptions_[held_.front()]->given)) {
    post(held_.front());
    held_.pop_front();
  }
}

int MpiTransport::start_send(const Envelope& envelope, const codec::Message& message) {
  const int index = unused_request();
  Request& request = *descriptions_[index];
  request.target = nullptr;
  request.data = path_.staged ? request.stage(message.size) : message.bytes.data();
  request.bytes = static_cast<int>(message.size);
  request.peer = envelope.peer;
  request.tag = tag(envelope);
  record(request.given, exec_);
  if (path_.staged) {
    request.given.hold(exec_copying_);
    Kokkos::deep_copy(exec_copying_, request.staged(message.size), part(message, message.size));
    record(request.given, exec_copying_);
  }
  request.state = Request::State::held;
  held_.push_back(index);
  post_held();
  return index;
}

int MpiTransport::start_receive(const Envelope& envelope, codec::Message& message) {
  const int index = unused_request();
  Request& request = *descriptions_[index];
  const auto capacity = static_cast<std::int64_t>(message.bytes.extent(0));
  request.target = &message;
  request.data = path_.staged ? request.stage(capacity) : message.bytes.data();
  request.bytes = static_cast<int>(capacity);
  request.peer = envelope.peer;
  request.tag = tag(envelope);
  record(request.given, exec_);
  if (path_.staged) {
    post(index);  // the copy to the device waits instead
    return index;
  }
  request.state = Request::State::held;
  held_.push_back(index);
  post_held();
  return index;
}

bool MpiTransport::done(int index) {
  Request& request = *descriptions_[index];
  ensure(request.state != Request::State::unused, "a request is asked for once");
  if (request.state != Request::State::complete) return false;
  if (request.target) {
    request.target->size = request.size;
    request.copied.hold(exec_);
  }
  request.state = Request::State::unused;
  return true;
}

int MpiTransport::start_gather(std::span<const double> record) {
  const int index = unused_request();
  Request& request = *descriptions_[index];
  request.record.assign(record.begin(), record.end());
  request.gathered.resize(record.size() * size());
  request.state = Request::State::pending;
  request.target = nullptr;
  MPI_Iallgather(request.record.data(), static_cast<int>(record.size()), MPI_DOUBLE, request.gathered.data(),
                 static_cast<int>(record.size()), MPI_DOUBLE, communicator_, &requests_[index]);
  return index;
}

bool MpiTransport::gather_done(int gather, std::vector<double>& all) {
  Request& request = *descriptions_[gather];
  ensure(request.state != Request::State::unused, "a gather is asked for once");
  if (request.state == Request::State::pending) return false;
  request.state = Request::State::unused;
  all = request.gathered;
  return true;
}

int MpiTransport::test() {
  post_held();
  int count = 0;
  MPI_Testsome(static_cast<int>(requests_.size()), requests_.data(), &count, completed_.data(),
               statuses_.data());
  if (count == MPI_UNDEFINED) return count;  // nothing is under way
  if (count > 0) idle_ = false;
  for (int i = 0; i < count; ++i) {
    Request& request = *descriptions_[completed_[i]];
    if (request.target) {
      int bytes = 0;
      MPI_Get_count(&statuses_[i], MPI_BYTE, &bytes);
      request.size = bytes;
      if (path_.staged) {
        request.given.hold(exec_copying_);
        Kokkos::deep_copy(exec_copying_, part(*request.target, bytes), request.staged(bytes));
        record(request.copied, exec_copying_);
      }
    }
    request.state = Request::State::complete;
  }
  return count;
}

void MpiTransport::progress() { test(); }

void MpiTransport::wait() {
  using namespace std::chrono_literals;
  constexpr double seconds_between_calls = 1e-3;
  const Stopwatch waited;
  double next_call = seconds_between_calls;
  auto pause = 1us;
  record(given_, exec_);
  // A new point takes a moment to pass on an idle device too: to end for it again and again would be to spin.
  const bool computing = !idle_ && !passed(given_);
  while (true) {
    const int count = test();
    if (count > 0) return;
    if (computing && passed(given_)) {
      idle_ = true;
      return;
    }
    ensure(count != MPI_UNDEFINED || computing || !held_.empty(), "a wait has something to wait for");
    if (oversubscribed_) {
      std::this_thread::sleep_for(pause);
      pause = std::min<std::chrono::microseconds>(2 * pause, 100us);
    }
    if (hook_ && waited.seconds() >= next_call) {
      hook_(waited.seconds());
      next_call = waited.seconds() + seconds_between_calls;
    }
  }
}

}  // namespace strait::pipeline
