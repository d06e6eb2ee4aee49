#include "strait/pipeline/loopback_transport.hpp"

#include <algorithm>
#include <deque>
#include <map>
#include <tuple>

namespace strait::pipeline {
namespace {

/// Where the virtual ranks meet.
class Hub {
 public:
  Hub(const ExecutionSpace& exec, int ranks) : exec_(exec), gathers_started_(ranks, 0) {}

  using Flag = std::shared_ptr<bool>;

  Flag send(int from, const Envelope& envelope, const codec::Message& message) {
    const Key place = key(from, envelope.peer, envelope);
    const Flag flag = std::make_shared<bool>(false);
    pairs_[place].sends.push_back({&message, flag});
    match(place);
    return flag;
  }

  Flag receive(int to, const Envelope& envelope, codec::Message& message) {
    const Key place = key(envelope.peer, to, envelope);
    const Flag flag = std::make_shared<bool>(false);
    pairs_[place].receives.push_back({&message, flag});
    match(place);
    return flag;
  }

  int start_gather(int rank, std::span<const double> record) {
    const int number = gathers_started_[rank]++;
    Gather& gather = gathers_.try_emplace(number, ranks()).first->second;
    gather.records[rank].assign(record.begin(), record.end());
    ++gather.arrived;
    return number;
  }

  bool gather_done(int number, std::vector<double>& all) {
    Gather& gather = gathers_.at(number);
    if (gather.arrived < ranks()) return false;
    all.clear();
    for (const auto& record : gather.records) all.insert(all.end(), record.begin(), record.end());
    if (++gather.taken == ranks()) gathers_.erase(number);
    return true;
  }

 private:
  // from, to, channel, boundary, micro-batch, whether of an evaluation
  using Key = std::tuple<int, int, int, int, std::int64_t, bool>;
  template <class Message>
  struct Posted {
    Message* message;
    Flag done;
  };
  struct Pair {
    std::deque<Posted<const codec::Message>> sends;
    std::deque<Posted<codec::Message>> receives;
  };
  struct Gather {
    explicit Gather(int ranks) : records(ranks) {}
    std::vector<std::vector<double>> records;
    int arrived = 0;
    int taken = 0;
  };

  static Key key(int from, int to, const Envelope& envelope) {
    return {from,
            to,
            static_cast<int>(envelope.channel),
            envelope.boundary,
            envelope.micro_batch,
            envelope.evaluation};
  }

  int ranks() const { return static_cast<int>(gathers_started_.size()); }

  void match(const Key& place) {
    Pair& pair = pairs_[place];
    while (!pair.sends.empty() && !pair.receives.empty()) {
      const auto [from, sent] = pair.sends.front();
      const auto [to, received] = pair.receives.front();
      ensure(from->size <= static_cast<std::int64_t>(to->bytes.extent(0)), "a message fits its receive");
      const auto part = std::make_pair(std::int64_t{0}, from->size);
      Kokkos::deep_copy(exec_, Kokkos::subview(to->bytes, part), Kokkos::subview(from->bytes, part));
      to->size = from->size;
      *sent = true;
      *received = true;
      pair.sends.pop_front();
      pair.receives.pop_front();
    }
    if (pair.sends.empty() && pair.receives.empty()) pairs_.erase(place);
  }

  ExecutionSpace exec_;
  std::map<Key, Pair> pairs_;
  std::map<int, Gather> gathers_;     ///< by their number
  std::vector<int> gathers_started_;  ///< per rank
};

class LoopbackTransport : public Transport {
 public:
  LoopbackTransport(std::shared_ptr<Hub> hub, int rank, int ranks, int boundaries)
      : Transport(rank, ranks, boundaries), hub_(std::move(hub)) {}

  bool done(int request) override {
    if (!*requests_[request]) return false;
    requests_[request].reset();
    return true;
  }

  int start_gather(std::span<const double> record) override { return hub_->start_gather(rank(), record); }
  bool gather_done(int gather, std::vector<double>& all) override { return hub_->gather_done(gather, all); }
  void progress() override {}
  std::string path() const override { return "within one process"; }
  void wait() override { ensure(false, "virtual ranks all wait for each other"); }

 protected:
  int start_send(const Envelope& envelope, const codec::Message& message) override {
    return keep(hub_->send(rank(), envelope, message));
  }
  int start_receive(const Envelope& envelope, codec::Message& message) override {
    return keep(hub_->receive(rank(), envelope, message));
  }

 private:
  int keep(Hub::Flag flag) {
    const auto unused = std::find(requests_.begin(), requests_.end(), nullptr);
    const auto index = unused - requests_.begin();
    if (unused == requests_.end()) requests_.emplace_back();
    requests_[index] = std::move(flag);
    return static_cast<int>(index);
  }

  std::shared_ptr<Hub> hub_;
  std::vector<Hub::Flag> requests_;
};

}  // namespace

std::vector<std::unique_ptr<Transport>> loopback_transports(const ExecutionSpace& exec, int ranks,
                                                            int boundaries) {
  auto hub = std::make_shared<Hub>(exec, ranks);
  std::vector<std::unique_ptr<Transport>> out;
  for (int rank = 0; rank < ranks; ++rank) {
    out.push_back(std::make_unique<LoopbackTransport>(hub, rank, ranks, boundaries));
  }
  return out;
}

}  // namespace strait::pipeline
