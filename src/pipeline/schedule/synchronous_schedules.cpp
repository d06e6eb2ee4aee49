#include "generators.hpp"

#include <algorithm>

namespace strait::pipeline {

/// Huang et al. 2019: all forwards, all backwards.
void write_gpipe(ScheduleWriter& writer) {
  for (int b = 0; b < writer.micro_batches(); ++b) writer.forward_pass(b);
  for (int b = 0; b < writer.micro_batches(); ++b) writer.backward_pass(b);
  writer.finish_step();
}

/// PipeDream-flush, Narayanan et al. 2021: stage s of P warms up with P - 1 - s forwards, then one forward,
/// one backward.
void write_one_forward_one_backward(ScheduleWriter& writer) {
  const int micro_batches = writer.micro_batches();
  const int warm_up = writer.warm_up();
  for (int b = 0; b < warm_up; ++b) writer.forward_pass(b);
  for (int b = warm_up; b < micro_batches; ++b) {
    writer.forward_pass(b);
    writer.backward_pass(b - warm_up);
  }
  for (int b = micro_batches - warm_up; b < micro_batches; ++b) writer.backward_pass(b);
  writer.finish_step();
}

int interleaved_passes(const ScheduleWriter& writer) {
  const int groups = (writer.micro_batches() + writer.stages() - 1) / writer.stages();
  return groups * writer.stages() * writer.chunks();
}

ChunkPass interleaved_forward(const ScheduleWriter& writer, int index) {
  const int stages = writer.stages(), per_group = stages * writer.chunks();
  return {.chunk = index % per_group / stages, .micro_batch = index / per_group * stages + index % stages};
}

/// Narayanan et al. 2021, section 2.2, with the warm-up of Megatron-LM. A number of micro-batches that stages
/// do not divide is filled up to the next that they do, and what was filled in is left out of the lists: what
/// is left keeps its order, so that it waits in no circle.
void write_interleaved(ScheduleWriter& writer) {
  const int chunks = writer.chunks(), passes = interleaved_passes(writer);
  if (chunks == 1) return write_one_forward_one_backward(writer);
  const auto forward = [&](int index) {
    const ChunkPass pass = interleaved_forward(writer, index);
    if (pass.micro_batch < writer.micro_batches()) writer.forward_pass(pass.micro_batch, pass.chunk);
  };
  const auto backward = [&](int index) {
    const ChunkPass pass = interleaved_forward(writer, index);
    if (pass.micro_batch < writer.micro_batches()) {
      writer.backward_pass(pass.micro_batch, chunks - 1 - pass.chunk);
    }
  };
  const int stages = writer.stages();
  const int warm_up = std::min(2 * (stages - 1 - writer.stage()) + (chunks - 1) * stages, passes);
  for (int i = 0; i < warm_up; ++i) forward(i);
  for (int i = warm_up; i < passes; ++i) {
    forward(i);
    backward(i - warm_up);
  }
  for (int i = passes - warm_up; i < passes; ++i) backward(i);
  writer.finish_step();
}

/// ZB-H1, Qi et al. 2023: 1F1B whose backwards come in two halves. Stage s starts its weights' halves s
/// backwards late, which makes up for its shorter warm-up: as many micro-batches are in flight as on the
/// first stage, and the halves left over fill the time in which 1F1B drains.
void write_zero_bubble_h1(ScheduleWriter& writer) {
  const int micro_batches = writer.micro_batches(), delay = writer.delay(), warm_up = writer.warm_up();
  for (int b = 0; b < warm_up; ++b) writer.forward_pass(b);
  for (int b = 0; b < micro_batches; ++b) {
    if (b + warm_up < micro_batches) writer.forward_pass(b + warm_up);
    writer.backward_input_pass(b);
    if (b >= delay) writer.backward_weight(b - delay);
  }
  for (int b = std::max(micro_batches - delay, 0); b < micro_batches; ++b) writer.backward_weight(b);
  writer.finish_step();
}

}  // namespace strait::pipeline
