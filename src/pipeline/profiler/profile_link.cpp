#include "strait/core/communicator.hpp"
#include "strait/core/timer.hpp"
#include "strait/pipeline/emulated_transport.hpp"
#include "strait/pipeline/profiler.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>

namespace strait::pipeline {
namespace {

constexpr std::array<std::int64_t, 8> sizes = {1,       1 << 10, 1 << 12, 1 << 14,
                                               1 << 16, 1 << 18, 1 << 20, 1 << 22};
constexpr double seconds_per_size = 0.2;
constexpr double longest = 0.25;  ///< seconds of a message, beyond which none is longer
constexpr int least = 3;
constexpr int most = 200;

/// One rank of a pair.
class Side {
 public:
  Side(const ExecutionSpace& exec, Transport& transport, int lower)
      : transport_(transport),
        is_lower_(transport.rank() == lower),
        peer_(is_lower_ ? lower + 1 : lower),
        boundary_(lower),
        out_("strait::pipeline::profile_link_out", sizes.back()),
        in_("strait::pipeline::profile_link_in", sizes.back()) {
    fence(exec, "strait::pipeline::profile_link: buffers are ready");
  }

  /// Seconds one way.
  double ping_pong(std::int64_t bytes) {
    const Stopwatch watch;
    if (is_lower_) send(bytes);
    finish(receive());
    if (!is_lower_) send(bytes);
    return watch.seconds() / 2.0;
  }

  double both_ways(std::int64_t bytes) {
    const Stopwatch watch;
    const int incoming = receive();
    send(bytes);
    finish(incoming);
    return watch.seconds();
  }

 private:
  Envelope envelope(bool to_upper) const {
    return {.channel = to_upper ? Channel::forward : Channel::backward,
            .boundary = boundary_,
            .micro_batch = 0,
            .peer = peer_,
            .evaluation = true};
  }
  void send(std::int64_t bytes) {
    finish(transport_.send(envelope(is_lower_), {.bytes = out_, .size = bytes}));
  }
  int receive() { return transport_.receive(envelope(!is_lower_), received_ = {.bytes = in_}); }
  void finish(int request) {
    while (!transport_.done(request)) transport_.wait();
  }

  Transport& transport_;
  bool is_lower_;
  int peer_, boundary_;
  Vector<std::uint8_t> out_, in_;
  codec::Message received_;
};

/// The first quartile of `once`, since others can only delay a message, repeated as often on both sides as
/// the lower one decides. Collective.
template <class Once>
double repeated(MPI_Comm communicator, int lower, bool takes_part, Once once) {
  if (takes_part) once();
  double first = takes_part ? once() : 0.0;
  MPI_Bcast(&first, 1, MPI_DOUBLE, lower, communicator);
  const int count = std::clamp(static_cast<int>(seconds_per_size / first), least, most);
  if (!takes_part) return 0.0;
  std::vector<double> seconds;
  for (int i = 0; i < count; ++i) seconds.push_back(once());
  return summary(seconds).low;
}

LinkProfile measure_pair(const ExecutionSpace& exec, MPI_Comm communicator, Transport& transport, int lower) {
  const bool takes_part = transport.rank() == lower || transport.rank() == lower + 1;
  std::optional<Side> side;
  if (takes_part) side.emplace(exec, transport, lower);
  std::vector<LinkSample> samples;
  for (const std::int64_t bytes : sizes) {
    double seconds = repeated(communicator, lower, takes_part, [&] { return side->ping_pong(bytes); });
    MPI_Bcast(&seconds, 1, MPI_DOUBLE, lower, communicator);
    samples.push_back({bytes, seconds});
    if (seconds > longest) break;
  }
  LinkProfile link = fit_link(samples);
  const std::int64_t bytes = samples.back().bytes;
  double both = repeated(communicator, lower, takes_part, [&] { return side->both_ways(bytes); });
  MPI_Bcast(&both, 1, MPI_DOUBLE, lower, communicator);
  link.bandwidth_both = 8.0 * static_cast<double>(bytes) / std::max(both - link.latency, 0.5 * both);
  return link;
}

}  // namespace

LinkProfile fit_link(const std::vector<LinkSample>& samples) {
  // Least squares of latency + seconds_per_bit bits = seconds, in units of the seconds.
  double ones = 0.0, mixed = 0.0, squares = 0.0, right_one = 0.0, right_bits = 0.0;
  for (const LinkSample& sample : samples) {
    const double one = 1.0 / sample.seconds;
    const double bits = 8.0 * static_cast<double>(sample.bytes) / sample.seconds;
    ones += one * one;
    mixed += one * bits;
    squares += bits * bits;
    right_one += one;
    right_bits += bits;
  }
  const double determinant = ones * squares - mixed * mixed;
  ensure(determinant > 0.0, "messages of different sizes");
  const double latency = (right_one * squares - right_bits * mixed) / determinant;
  const double seconds_per_bit = (ones * right_bits - mixed * right_one) / determinant;
  // Neither may be negative, as noise would have it: the line then goes through the origin, or is level up
  // to the largest message.
  if (latency < 0.0) return {.bandwidth = squares / right_bits};
  const LinkSample& largest = samples.back();
  const double slowest = 8.0 * static_cast<double>(largest.bytes) / largest.seconds;
  return {.bandwidth = seconds_per_bit > 0.0 ? std::max(1.0 / seconds_per_bit, slowest) : slowest,
          .latency = latency};
}

LinkProfile measure_link(const ExecutionSpace& exec, MPI_Comm communicator, const NetworkConfig& network) {
  LinkProfile slowest;
  const int ranks = size_of(communicator);
  if (ranks == 1) return slowest;
  const auto transport = connect(exec, communicator, ranks - 1, {.stages = ranks}, network);
  for (int lower = 0; lower + 1 < ranks; ++lower) {
    const LinkProfile link = measure_pair(exec, communicator, *transport, lower);
    slowest.latency = std::max(slowest.latency, link.latency);
    for (auto member : {&LinkProfile::bandwidth, &LinkProfile::bandwidth_both}) {
      slowest.*member = lower == 0 ? link.*member : std::min(slowest.*member, link.*member);
    }
  }
  return slowest;
}

}  // namespace strait::pipeline
