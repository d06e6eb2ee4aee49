#pragma once
// The generators of training steps, by family. Each writes the list of one rank.

#include "schedule_writer.hpp"

namespace strait::pipeline {

// All micro-batches of a step meet the same weights, and the step ends with their one update. The backwards
// of a stage run in the order of the micro-batches, in all of them alike, so that their gradients are bitwise
// equal.
void write_gpipe(ScheduleWriter&);
void write_one_forward_one_backward(ScheduleWriter&);
void write_interleaved(ScheduleWriter&);
void write_zero_bubble_h1(ScheduleWriter&);

/// Chunk and micro-batch of each forward of an interleaved pipeline, in order: groups of as many
/// micro-batches as there are stages go through one chunk after the other. Micro-batches from
/// `micro_batches()` on fill up the last group and are to be left out.
struct ChunkPass {
  int chunk;
  int micro_batch;
};
ChunkPass interleaved_forward(const ScheduleWriter& writer, int index);
int interleaved_passes(const ScheduleWriter& writer);

}  // namespace strait::pipeline
