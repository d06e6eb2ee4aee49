#include "strait/app/batch_feed.hpp"

namespace strait::app {

BatchFeed::BatchFeed(const Settings& settings)
    : micro_batch_(settings.training.micro_batch),
      micro_batches_(settings.training.micro_batches()),
      context_(settings.model.context) {
  train_ = std::make_unique<data::TokenStream>(
      data::TokenStream::open(settings.data, settings.data.train, settings.model.vocab));
  train_sampler_.emplace(*train_, settings.data.order, settings.run.seed,
                         settings.training.sequences_per_step, context_);
  if (settings.training.validation_interval > 0) {
    validation_ = std::make_unique<data::TokenStream>(
        data::TokenStream::open(settings.data, settings.data.validation, settings.model.vocab));
    validation_sampler_ =
        data::validation_sampler(*validation_, settings.training.validation_sequences, context_);
  }
}

pipeline::BatchSource BatchFeed::training(const ExecutionSpace& exec, std::int64_t step) {
  return [=, this](pipeline::BatchRequest request) {
    const std::int64_t of_step = step + request.micro_batch / micro_batches_;
    request.micro_batch %= micro_batches_;
    source(exec, *train_sampler_, of_step)(request);
  };
}

pipeline::BatchSource BatchFeed::validation(const ExecutionSpace& exec) {
  return source(exec, *validation_sampler_, 0);
}

pipeline::BatchSource BatchFeed::source(const ExecutionSpace& exec, const data::Sampler& sampler,
                                        std::int64_t step) {
  return [this, exec, &sampler, step](const pipeline::BatchRequest& request) {
    data::Batch batch;
    try {
      const int first = request.micro_batch * micro_batch_;
      batch = sampler.batch(step, first, first + micro_batch_);
    } catch (const Error& error) {
      if (!error_) error_ = error;
      const std::size_t tokens = static_cast<std::size_t>(micro_batch_) * context_;
      batch.inputs.assign(tokens, 0);
      batch.targets.assign(tokens, 0);
    }
    if (request.ids.extent(0) > 0) uploads_.upload(exec, request.ids, batch.inputs);
    if (request.targets.extent(0) > 0) uploads_.upload(exec, request.targets, batch.targets);
  };
}

}  // namespace strait::app
