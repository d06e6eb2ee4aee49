#include "strait/data/sampler.hpp"

#include "strait/core/error.hpp"
#include "strait/core/random.hpp"
#include "strait/data/permutation.hpp"

namespace strait::data {
namespace {

/// Philox streams of this module, apart from those of initial weights.
constexpr std::uint64_t order_stream = 0x6f72646572;     // "order"
constexpr std::uint64_t offset_stream = 0x6f6666736574;  // "offset"

}  // namespace

Sampler::Sampler(const TokenStream& stream, Order order, std::uint64_t seed, int sequences_per_step,
                 int context)
    : stream_(&stream),
      order_(order),
      seed_(seed),
      sequences_per_step_(sequences_per_step),
      context_(context),
      windows_(stream.size() / context) {
  if (stream.size() < context + std::int64_t{1}) {
    fail(ExitCode::io, "{}: {} tokens, expected at least {} (model.context + 1)", stream.name(),
         stream.size(), context + std::int64_t{1});
  }
}

std::int64_t Sampler::start(std::int64_t sequence) const {
  const std::int64_t size = stream_->size();
  if (order_ == Order::sequential) return sequence % size * context_ % size;
  const std::int64_t epoch = sequence / windows_;
  const auto index = static_cast<std::uint64_t>(epoch);
  const Permutation order(windows_, Philox(seed_, order_stream).bits(index));
  const std::uint64_t random = Philox(seed_, offset_stream).bits(index);
  const auto offset = static_cast<std::int64_t>(random % static_cast<std::uint64_t>(size));
  return (offset + order(sequence % windows_) * context_) % size;
}

Batch Sampler::batch(std::int64_t step, int first, int last) const {
  ensure(step >= 0 && 0 <= first && first <= last && last <= sequences_per_step_, "Sampler::batch in range");
  const auto context = static_cast<std::size_t>(context_);
  Batch batch;
  batch.inputs.reserve(static_cast<std::size_t>(last - first) * context);
  batch.targets.reserve(static_cast<std::size_t>(last - first) * context);
  std::vector<std::int32_t> window(context + 1);
  for (int b = first; b < last; ++b) {
    stream_->read(start(step * sequences_per_step_ + b), window);
    batch.inputs.insert(batch.inputs.end(), window.begin(), window.end() - 1);
    batch.targets.insert(batch.targets.end(), window.begin() + 1, window.end());
  }
  return batch;
}

Sampler validation_sampler(const TokenStream& stream, int sequences, int context) {
  return {stream, Order::sequential, 0, sequences, context};
}

}  // namespace strait::data
