#include "strait/app/replica_check.hpp"

#include "strait/kernels/checksum.hpp"

#include <vector>

namespace strait::app {

template <class T>
void check_replicas(const ExecutionSpace& exec, MPI_Comm communicator, pipeline::Pipeline<T>& pipeline,
                    std::int64_t step) {
  const pipeline::Placement placement = pipeline.front().placement();
  if (placement.ranks() == placement.stages) return;
  std::vector<std::uint64_t> checksums(placement.ranks(), 0);
  for (auto& executor : pipeline.executors()) {
    std::uint64_t& own = checksums[executor->transport().rank()];
    for (auto& unit : executor->units()) own += kernels::checksum<T>(exec, unit.stage().weights());
  }
  MPI_Allreduce(MPI_IN_PLACE, checksums.data(), static_cast<int>(checksums.size()), MPI_UINT64_T, MPI_SUM,
                communicator);
  for (int rank = 0; rank < placement.ranks(); ++rank) {
    const int stage = placement.stage_of(rank), first = placement.rank_of(stage, 0);
    if (checksums[rank] == checksums[first]) continue;
    fail(ExitCode::numerical,
         "strait: after {} steps the weights of stage {} differ between its replicas on ranks {} and {}: a "
         "message or memory was damaged; the last checkpoint is good",
         step, stage, first, rank);
  }
}

template void check_replicas<float>(const ExecutionSpace&, MPI_Comm, pipeline::Pipeline<float>&,
                                    std::int64_t);
template void check_replicas<double>(const ExecutionSpace&, MPI_Comm, pipeline::Pipeline<double>&,
                                     std::int64_t);

}  // namespace strait::app
