#include "strait/app/crew.hpp"

#include "strait/pipeline/loopback_transport.hpp"

namespace strait::app {

template <class T>
Crew<T>::Crew(const ExecutionSpace& exec, const pipeline::PipelineSetup& setup, const codec::Codec<T>& codec,
              MPI_Comm communicator, bool emulated, pipeline::WaitHook hook) {
  const int boundaries = setup.stages() - 1;
  if (emulated) {
    transports_ = pipeline::loopback_transports(exec, setup.stages(), boundaries);
  } else {
    transports_.push_back(
        std::make_unique<pipeline::MpiTransport>(exec, communicator, boundaries, std::move(hook)));
  }
  for (auto& transport : transports_) {
    executors_.push_back(std::make_unique<pipeline::Executor<T>>(exec, setup, codec, *transport));
  }
}

template <class T>
void Crew<T>::run_to_end() {
  bool finished = false;
  while (!finished) {
    finished = true;
    bool moved = false;
    for (auto& executor : executors_) {
      moved = executor->advance() || moved;
      finished = finished && executor->finished();
    }
    if (!finished && !moved) transports_.front()->wait();
  }
}

template class Crew<float>;
template class Crew<double>;

}  // namespace strait::app
