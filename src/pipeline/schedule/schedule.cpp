#include "strait/pipeline/schedule.hpp"

#include "strait/core/error.hpp"

#include "generators.hpp"

#include <algorithm>
#include <functional>
#include <iterator>
#include <utility>

namespace strait::pipeline {
namespace {

struct Generator {
  std::string_view name;
  void (*write)(ScheduleWriter&);
  bool takes_chunks;
};

constexpr Generator generators[] = {
    {"gpipe", write_gpipe, false},
    {"1f1b", write_one_forward_one_backward, false},
    {"interleaved", write_interleaved, true},
    {"zb-h1", write_zero_bubble_h1, false},
};

/// Null where no such schedule is synchronous.
const Generator* find_generator(std::string_view name) {
  const auto found = std::find_if(std::begin(generators), std::end(generators),
                                  [&](const Generator& one) { return one.name == name; });
  return found == std::end(generators) ? nullptr : found;
}

template <class Write>
Schedule build(std::string_view name, int stages, int micro_batches, const ScheduleOptions& options,
               Write write) {
  ensure(stages >= 1 && micro_batches >= 1, "a schedule needs a stage and a micro-batch");
  const auto& replicas = options.replicas;
  ensure(options.chunks == 1 || (options.chunks > 1 && stages > 1), "chunks go around several stages");
  ensure(replicas.empty() || std::ssize(replicas) == stages, "a number of replicas for each stage");
  const bool alike =
      std::adjacent_find(replicas.begin(), replicas.end(), std::not_equal_to()) == replicas.end();
  ensure(alike || options.chunks == 1, "chunks go around stages with as many replicas");
  ensure(replicas.empty() || !options.tied_embeddings || replicas.front() == replicas.back(),
         "each copy of a tied table has another");
  Schedule out{.name = std::string(name),
               .stages = stages,
               .micro_batches = micro_batches,
               .chunks = options.chunks,
               .replicas = replicas,
               .ranks = {}};
  for (int rank = 0; rank < out.placement().ranks(); ++rank) {
    ScheduleWriter writer(out, rank, options);
    write(writer);
    out.ranks.push_back(writer.take());
  }
  return out;
}

/// The forwards of all micro-batches, in an order in which no rank waits for its own later chunks.
void evaluation_passes(ScheduleWriter& writer, ActionKind head) {
  for (int i = 0; i < interleaved_passes(writer); ++i) {
    const ChunkPass pass = interleaved_forward(writer, i);
    if (pass.micro_batch < writer.micro_batches()) {
      writer.evaluation_pass(head, pass.micro_batch, pass.chunk);
    }
  }
  writer.finish_evaluation();
}

}  // namespace

bool synchronous(std::string_view name) { return find_generator(name) != nullptr; }

bool takes_chunks(std::string_view name) { return synchronous(name) && find_generator(name)->takes_chunks; }

Schedule schedule(std::string_view name, int stages, int micro_batches, const ScheduleOptions& options) {
  ensure(synchronous(name), "a synchronous schedule that exists");
  ensure(options.chunks == 1 || takes_chunks(name), "a schedule with chunks");
  return build(name, stages, micro_batches, options, find_generator(name)->write);
}

Schedule evaluation_schedule(int stages, int micro_batches, const ScheduleOptions& options) {
  return build("evaluation", stages, micro_batches, options,
               [](ScheduleWriter& writer) { evaluation_passes(writer, ActionKind::evaluate); });
}

Schedule next_token_schedule(int stages, const ScheduleOptions& options) {
  return build("next token", stages, 1, options,
               [](ScheduleWriter& writer) { evaluation_passes(writer, ActionKind::logits); });
}

}  // namespace strait::pipeline
