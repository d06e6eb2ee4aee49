#include "strait/pipeline/profiler.hpp"
#include "strait/pipeline/stage_unit.hpp"

#include <algorithm>
#include <cmath>

namespace strait::pipeline {

template <class T>
void fit_synchronisation(const PipelineSetup& setup, const codec::Codec<T>& codec, int micro_batches,
                         Profile& profile) {
  codec::BoundaryShape measured = boundary_shape(setup, 0, 1), wanted = measured;
  measured.micro_batches = micro_batches;
  const codec::MessageBounds bounds = codec.bounds(wanted);
  const auto fit = [&](std::int64_t exchanged, double& synchronised, std::int64_t& message) {
    const auto exchange = static_cast<double>(exchanged);
    const double apart = exchange / static_cast<double>(codec.sync_interval(measured));
    message += std::llround(std::max(0.0, synchronised - apart) / micro_batches);
    synchronised = exchange / static_cast<double>(codec.sync_interval(wanted));
  };
  BoundaryProfile& boundary = profile.boundary;
  fit(bounds.sync_down, boundary.bytes_sync_down, boundary.bytes_forward);
  fit(bounds.sync_up, boundary.bytes_sync_up, boundary.bytes_backward);
}

template void fit_synchronisation<float>(const PipelineSetup&, const codec::Codec<float>&, int, Profile&);
template void fit_synchronisation<double>(const PipelineSetup&, const codec::Codec<double>&, int, Profile&);

}  // namespace strait::pipeline
