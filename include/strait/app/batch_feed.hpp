#pragma once
// Token batches for the stages that need them: ids on the first, targets on the last.

#include "strait/app/settings.hpp"
#include "strait/core/pinned.hpp"
#include "strait/data/sampler.hpp"
#include "strait/pipeline/executor.hpp"

#include <memory>
#include <optional>

namespace strait::app {

/// Data that turns out to be bad in the middle of a step must not leave the other ranks waiting: the step
/// goes on with zeros, and `error` is voted on at its end.
class BatchFeed {
 public:
  /// Opens the token files: Error(ExitCode::io) where one is missing, empty or damaged.
  explicit BatchFeed(const Settings& settings);

  /// Counts micro-batches on into the steps after `step`.
  pipeline::BatchSource training(const ExecutionSpace& exec, std::int64_t step);
  pipeline::BatchSource validation(const ExecutionSpace& exec);

  const std::optional<Error>& error() const { return error_; }

 private:
  pipeline::BatchSource source(const ExecutionSpace& exec, const data::Sampler& sampler, std::int64_t step);

  int micro_batch_;    ///< sequences
  int micro_batches_;  ///< per step
  int context_;
  std::unique_ptr<data::TokenStream> train_;
  std::unique_ptr<data::TokenStream> validation_;
  std::optional<data::Sampler> train_sampler_;
  std::optional<data::Sampler> validation_sampler_;
  Uploads<std::int32_t> uploads_;
  std::optional<Error> error_;
};

}  // namespace strait::app
