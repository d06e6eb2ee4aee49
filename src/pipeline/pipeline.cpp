#include "strait/pipeline/pipeline.hpp"

#include "strait/pipeline/emulated_transport.hpp"
#include "strait/pipeline/loopback_transport.hpp"

namespace strait::pipeline {

template <class T>
Pipeline<T>::Pipeline(const ExecutionSpace& exec, const PipelineSetup& setup, const codec::Codec<T>& codec,
                      MPI_Comm communicator, WaitHook hook, const NetworkConfig& network) {
  transports_.push_back(
      connect(exec, communicator, setup.stages() - 1, setup.placement(), network, std::move(hook)));
  executors_.push_back(std::make_unique<Executor<T>>(exec, setup, codec, *transports_[0]));
}

template <class T>
Pipeline<T>::Pipeline(const ExecutionSpace& exec, const PipelineSetup& setup, const codec::Codec<T>& codec)
    : transports_(loopback_transports(exec, setup.ranks(), setup.stages() - 1)) {
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
std::vector<StepResult> Pipeline<T>::take_results() {
  std::vector<StepResult> results;
  for (auto& executor : executors_) results = executor->take_results();
  return results;
}

template <class T>
std::vector<StepResult> Pipeline<T>::train(const StepInfo& info, const BatchSource& source) {
  run([&](Executor<T>& executor) { executor.begin_step(info, source); });
  return take_results();
}

template <class T>
std::vector<StepResult> Pipeline<T>::settle() {
  run([](Executor<T>& executor) { executor.begin_settling(); });
  return take_results();
}

template <class T>
StepResult Pipeline<T>::step(const StepInfo& info, const BatchSource& source) {
  train(info, source);
  settle();
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

template class Pipeline<float>;
template class Pipeline<double>;

}  // namespace strait::pipeline
