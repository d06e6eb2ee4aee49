#pragma once
// What all ranks of a pipeline did, as every rank knows it.

#include "strait/pipeline/pipeline.hpp"

#include <vector>

namespace strait::test {

struct PipelineStatistics {
  std::vector<pipeline::BoundaryBytes> boundaries;  ///< of both directions
  std::int64_t tied = 0;                            ///< bytes of tied gradients, all ranks
  std::vector<pipeline::Statistics> ranks;          ///< seconds alone
};

/// Since the last call. Collective.
template <class T>
PipelineStatistics gather_statistics(pipeline::Pipeline<T>& pipeline) {
  // A rank's record: seconds, tied bytes, then the accounts of each boundary. Counts are exact in double up
  // to 2^53.
  std::vector<int> gathers;
  for (auto& executor : pipeline.executors()) {
    const pipeline::Statistics own = executor->take_statistics();
    std::vector<double> record = {own.seconds_compute, own.seconds_communication, own.seconds_wait,
                                  own.seconds_input, static_cast<double>(own.sent.tied)};
    for (const auto& bytes : own.sent.boundaries) {
      for (const auto count : {bytes.forward, bytes.backward, bytes.sync, bytes.header, bytes.evaluation}) {
        record.push_back(static_cast<double>(count));
      }
    }
    gathers.push_back(executor->transport().start_gather(record));
  }
  std::vector<double> records;
  for (std::size_t i = 0; i < gathers.size(); ++i) {
    auto& transport = pipeline.executors()[i]->transport();
    while (!transport.gather_done(gathers[i], records)) transport.wait();
  }

  PipelineStatistics all;
  const double* next = records.data();
  const auto count = [&next] { return static_cast<std::int64_t>(*next++); };
  const int ranks = pipeline.front().transport().size();
  all.boundaries.resize((records.size() / ranks - 5) / 5);
  for (int rank = 0; rank < ranks; ++rank) {
    all.ranks.push_back({.sent = {},
                         .seconds_compute = next[0],
                         .seconds_communication = next[1],
                         .seconds_wait = next[2],
                         .seconds_input = next[3]});
    next += 4;
    all.tied += count();
    for (auto& bytes : all.boundaries) {
      pipeline::BoundaryBytes more;
      for (auto* account : {&more.forward, &more.backward, &more.sync, &more.header, &more.evaluation}) {
        *account = count();
      }
      bytes += more;
    }
  }
  return all;
}

}  // namespace strait::test
