#include "strait/pipeline/pipeline.hpp"

#include "strait/pipeline/loopback_transport.hpp"

namespace strait::pipeline {
namespace {

// A rank's statistics as one record: seconds, tied bytes, then the accounts of each boundary. Counts are
// exact in double up to 2^53.
constexpr std::size_t fixed_entries = 5;
constexpr std::size_t boundary_entries = 5;

std::vector<double> to_record(const Statistics& statistics) {
  std::vector<double> record = {statistics.seconds_compute, statistics.seconds_communication,
                                statistics.seconds_wait, statistics.seconds_input,
                                static_cast<double>(statistics.sent.tied)};
  for (const BoundaryBytes& bytes : statistics.sent.boundaries) {
    for (const std::int64_t count :
         {bytes.forward, bytes.backward, bytes.sync, bytes.header, bytes.evaluation}) {
      record.push_back(static_cast<double>(count));
    }
  }
  return record;
}

PipelineStatistics from_records(const std::vector<double>& records, std::size_t ranks) {
  PipelineStatistics out;
  const std::size_t length = records.size() / ranks;
  out.boundaries.resize((length - fixed_entries) / boundary_entries);
  for (std::size_t rank = 0; rank < ranks; ++rank) {
    const double* record = records.data() + rank * length;
    out.ranks.push_back({record[0], record[1], record[2], record[3]});
    out.tied += static_cast<std::int64_t>(record[4]);
    const double* entry = record + fixed_entries;
    for (BoundaryBytes& bytes : out.boundaries) {
      const auto count = [&](int i) { return static_cast<std::int64_t>(entry[i]); };
      bytes += {count(0), count(1), count(2), count(3), count(4)};
      entry += boundary_entries;
    }
  }
  return out;
}

}  // namespace

template <class T>
Pipeline<T>::Pipeline(const ExecutionSpace& exec, const PipelineSetup& setup, const codec::Codec<T>& codec,
                      MPI_Comm communicator, WaitHook hook) {
  transports_.push_back(
      std::make_unique<MpiTransport>(exec, communicator, setup.stages() - 1, std::move(hook)));
  executors_.push_back(std::make_unique<Executor<T>>(exec, setup, codec, *transports_[0]));
}

template <class T>
Pipeline<T>::Pipeline(const ExecutionSpace& exec, const PipelineSetup& setup, const codec::Codec<T>& codec)
    : transports_(loopback_transports(exec, setup.stages(), setup.stages() - 1)) {
  for (const auto& transport : transports_) {
    executors_.push_back(std::make_unique<Executor<T>>(exec, setup, codec, *transport));
  }
}

template <class T>
void Pipeline<T>::run_to_end() {
  bool finished = false;
  while (!finished) {
    bool moved = false;
    finished = true;
    for (auto& executor : executors_) {
      moved = executor->advance() || moved;
      finished = executor->finished() && finished;
    }
    if (!moved && !finished) transports_[0]->wait();
  }
}

template <class T>
StepResult Pipeline<T>::step(const StepInfo& info, const BatchSource& source) {
  run([&](Executor<T>& executor) { executor.begin_step(info, source); });
  return front().result();
}

template <class T>
double Pipeline<T>::evaluate(int micro_batches, const BatchSource& source, Crossing crossing) {
  run([&](Executor<T>& executor) { executor.begin_evaluation(micro_batches, source, crossing); });
  return front().evaluated_loss();
}

template <class T>
std::int32_t Pipeline<T>::next_token(const BatchSource& source, std::int64_t position,
                                     const ChooseToken& choose) {
  run([&](Executor<T>& executor) { executor.begin_next_token(source, position, choose); });
  return front().next_token();
}

template <class T>
PipelineStatistics Pipeline<T>::gather_statistics() {
  for (auto& executor : executors_)
    executor->transport().start_gather(to_record(executor->take_statistics()));
  std::vector<double> records;
  for (auto& executor : executors_) {
    while (!executor->transport().gather_done(records)) executor->transport().wait();
  }
  return from_records(records, transports_[0]->size());
}

template class Pipeline<float>;
template class Pipeline<double>;

}  // namespace strait::pipeline
