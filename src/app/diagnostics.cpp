#include "strait/app/diagnostics.hpp"

#include <algorithm>

namespace strait::app {

template <class T>
std::vector<MetricsColumn> diagnostics_columns(const codec::Codec<T>& codec) {
  std::vector<MetricsColumn> columns;
  for (const auto& own : codec.diagnostics()) columns.push_back({own.name, own.units, own.long_name});
  columns.push_back({"encode_seconds", "s", "time in the codec for what was sent in the step, both ends"});
  columns.push_back({"decode_seconds", "s", "time in the codec for what arrived in the step, both ends"});
  columns.push_back({"update_seconds", "s", "time of the codec's own updates in the step, both ends"});
  return columns;
}

template <class T>
std::vector<std::vector<double>> gather_diagnostics(const ExecutionSpace& exec, MPI_Comm communicator,
                                                    pipeline::Pipeline<T>& pipeline,
                                                    const codec::Codec<T>& codec, int boundaries) {
  const std::size_t own = codec.diagnostics().size();
  const std::size_t columns = own + 3;
  // Each entry is filled by one rank, but for the times, to which both ends contribute.
  std::vector<double> mine(boundaries * columns);
  const auto add_seconds = [&](int boundary, const pipeline::CodecSeconds& seconds) {
    mine[boundary * columns + own] += seconds.encode;
    mine[boundary * columns + own + 1] += seconds.decode;
    mine[boundary * columns + own + 2] += seconds.update;
  };
  for (auto& executor : pipeline.executors()) {
    if (executor->replica() > 0) continue;  // the first speaks
    for (auto& unit : executor->units()) {
      if (auto* sender = unit.sender()) {
        const std::vector<double> values = sender->diagnose(exec);
        ensure(values.size() == own, "one value for each of the codec's diagnostics");
        std::copy(values.begin(), values.end(), mine.begin() + unit.index() * columns);
        add_seconds(unit.index(), unit.downstream().seconds());
      }
      if (unit.receiver()) add_seconds(unit.index() - 1, unit.upstream().seconds());
    }
  }
  std::vector<double> all(mine.size());
  MPI_Reduce(mine.data(), all.data(), static_cast<int>(mine.size()), MPI_DOUBLE, MPI_SUM, 0, communicator);
  std::vector<std::vector<double>> rows(boundaries);
  for (int p = 0; p < boundaries; ++p) {
    rows[p].assign(all.begin() + p * columns, all.begin() + (p + 1) * columns);
  }
  return rows;
}

#define STRAIT_INSTANTIATE(T)                                                         \
  template std::vector<MetricsColumn> diagnostics_columns<T>(const codec::Codec<T>&); \
  template std::vector<std::vector<double>> gather_diagnostics<T>(                    \
      const ExecutionSpace&, MPI_Comm, pipeline::Pipeline<T>&, const codec::Codec<T>&, int);
STRAIT_INSTANTIATE(float)
STRAIT_INSTANTIATE(double)
#undef STRAIT_INSTANTIATE

}  // namespace strait::app
