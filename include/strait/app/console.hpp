#pragma once
// What a person sees of a run while it goes on, on stdout.

#include "strait/app/metrics.hpp"

#include <cstdint>
#include <optional>
#include <string>

namespace strait::app {

/// The program, the run, what --restart came to (empty without it), and what messages pass through.
void print_header(const std::string& run, const std::string& restart, const std::string& path);

/// After `done` of `steps` updates; `seconds_left` is a guess.
void print_step(const StepRecord& step, std::int64_t done, std::int64_t steps, double seconds_left);

/// `loss_without_codec` where it may differ.
void print_validation(std::int64_t step, double loss, std::optional<double> loss_without_codec);

void print_sample(const std::string& text);

}  // namespace strait::app
