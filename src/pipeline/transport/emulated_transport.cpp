#include "strait/pipeline/emulated_transport.hpp"

#include "emulated_links.hpp"

#include <algorithm>
#include <chrono>
#include <limits>
#include <optional>
#include <thread>

namespace strait::pipeline {
namespace {

class EmulatedTransport : public Transport {
 public:
  EmulatedTransport(std::unique_ptr<Transport> inner, int boundaries, std::unique_ptr<EmulatedLinks> links,
                    WaitHook hook)
      : Transport(inner->rank(), inner->size(), boundaries),
        inner_(std::move(inner)),
        links_(std::move(links)),
        hook_(std::move(hook)) {
    start_clock();
  }

  bool done(int index) override {
    Request& request = requests_[index];
    ensure(request.used, "a request is asked for once");
    move(request);
    if (request.inner || EmulatedLinks::now() < request.until) return false;
    request.used = false;
    return true;
  }

  int start_gather(std::span<const double> record) override {
    const int index = unused_request();
    requests_[index].gathers = true;
    requests_[index].inner = inner_->start_gather(record);
    return index;
  }

  bool gather_done(int index, std::vector<double>& all) override {
    if (!done(index)) return false;
    all = requests_[index].all;
    return true;
  }

  void progress() override { inner_->progress(); }
  std::string path() const override { return inner_->path(); }

  /// Until something comes to its time that had not when this was called last.
  void wait() override {
    const Stopwatch waited;
    double next_call = seconds_between_calls;
    while (true) {
      double next = std::numeric_limits<double>::infinity();
      const double now = EmulatedLinks::now();
      bool complete = false;
      for (Request& request : requests_) {
        if (!request.used || request.announced) continue;
        move(request);
        if (request.inner) continue;
        next = std::min(next, request.until);
        complete = complete || (request.announced = request.until <= now);
      }
      if (complete) return;
      if (next == std::numeric_limits<double>::infinity()) {
        inner_->wait();
        continue;
      }
      const std::chrono::duration<double> pause(std::min(next - now, longest_pause));
      if (pause.count() > 0.0) std::this_thread::sleep_for(pause);
      inner_->progress();
      if (hook_ && waited.seconds() >= next_call) {
        hook_(waited.seconds());
        next_call = waited.seconds() + seconds_between_calls;
      }
    }
  }

 protected:
  int start_send(const Envelope& envelope, const codec::Message& message) override {
    const int index = unused_request();
    requests_[index].until = links_->send(envelope, message.size);
    requests_[index].inner = inner_->send(envelope, message);
    return index;
  }

  int start_receive(const Envelope& envelope, codec::Message& message) override {
    const int index = unused_request();
    requests_[index].from = envelope;
    requests_[index].inner = inner_->receive(envelope, message);
    return index;
  }

 private:
  static constexpr double seconds_between_calls = 1e-3, longest_pause = 1e-4;

  struct Request {
    bool used = false;
    bool announced = false;             ///< a wait has ended for it
    bool gathers = false;               ///< no message
    std::optional<int> inner = {};      ///< until it is complete below
    std::optional<Envelope> from = {};  ///< of a receive
    double until = 0.0;                 ///< not complete before
    std::vector<double> all = {};       ///< of a gather
  };

  int unused_request() {
    const auto found =
        std::find_if(requests_.begin(), requests_.end(), [](const Request& one) { return !one.used; });
    const auto index = static_cast<int>(found - requests_.begin());
    if (found == requests_.end()) requests_.emplace_back();
    requests_[index] = {};
    requests_[index].used = true;
    return index;
  }

  void move(Request& request) {
    if (!request.inner) return;
    if (request.gathers) {
      if (!inner_->gather_done(*request.inner, request.all)) return;
      request.until = EmulatedLinks::now() + links_->gather_seconds();
    } else {
      if (!inner_->done(*request.inner)) return;
      if (request.from) request.until = links_->arrival(*request.from);
    }
    request.inner.reset();
  }

  std::unique_ptr<Transport> inner_;
  std::unique_ptr<EmulatedLinks> links_;
  WaitHook hook_;
  std::vector<Request> requests_;
};

}  // namespace

std::unique_ptr<Transport> connect(const ExecutionSpace& exec, MPI_Comm communicator, int boundaries,
                                   const Placement& placement, const NetworkConfig& network, WaitHook hook) {
  auto transport = std::make_unique<MpiTransport>(exec, communicator, boundaries, hook,
                                                  choose_message_path(exec, communicator, network.gpu_aware));
  if (!network.emulated()) return transport;
  auto links = std::make_unique<EmulatedLinks>(communicator, placement, network);
  return std::make_unique<EmulatedTransport>(std::move(transport), boundaries, std::move(links),
                                             std::move(hook));
}

}  // namespace strait::pipeline
