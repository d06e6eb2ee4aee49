#include "strait/app/console.hpp"

#include "strait/app/units_text.hpp"
#include "strait/core/version.hpp"

#include <fmt/format.h>

#include <cstdio>

namespace strait::app {

void print_header(const std::string& run, const std::string& restart, const std::string& path) {
  fmt::print("{}\n", version_summary());
  fmt::print("{:<12} {}\n", "run", run);
  if (!restart.empty()) fmt::print("{:<12} {}\n", "restart", restart);
  fmt::print("{:<12} {}\n", "messages", path);
  std::fflush(stdout);
}

void print_step(const StepRecord& step, std::int64_t done, std::int64_t steps, double seconds_left) {
  fmt::print("step {:>6}/{}  loss {:.4f}  norm {:.3f}  rate {:.2e}  {}tokens/s  left {}\n", done, steps,
             step.loss, step.gradient_norm, step.learning_rate, with_prefix(step.tokens_per_second),
             duration_text(seconds_left));
  std::fflush(stdout);
}

void print_validation(std::int64_t step, double loss, std::optional<double> loss_without_codec) {
  fmt::print("validation after {} steps: loss {:.4f} nats per token{}\n", step, loss,
             loss_without_codec ? fmt::format(", {:.4f} without the codec", *loss_without_codec) : "");
  std::fflush(stdout);
}

void print_sample(const std::string& text) {
  fmt::print("\nA sample of what the model writes:\n{}\n\n", text);
  std::fflush(stdout);
}

}  // namespace strait::app
