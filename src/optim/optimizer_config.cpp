#include "strait/optim/optimizer.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace strait::optim {
namespace {

/// The decay rate of a running mean, in [0, 1).
double mean_decay(const Table& table, const char* key, double fallback, const char* help) {
  const double value = table.at_least(key, table.optional<double>(key, fallback, help), 0.0);
  if (!(value < 1.0)) table.reject(key, fmt::format("is {}, expected less than 1", value));
  return value;
}

void read_muon(const Table& table, OptimizerConfig& config) {
  config.momentum = mean_decay(table, "momentum", 0.95, "decay of a matrix's gradient sum, per step (muon)");
  config.nesterov = table.optional<bool>("nesterov", true, "look one step ahead along the momentum (muon)");
  config.matrix_fraction = table.at_least(
      "matrix_fraction",
      table.optional<double>("matrix_fraction", 1.0, "of learning_rate, for hidden matrices (muon)"), 0.0);
  config.vector_fraction = table.at_least(
      "vector_fraction",
      table.optional<double>("vector_fraction", 0.5,
                             "of learning_rate, for token table, gains, head and anchors, which AdamW "
                             "updates (muon)"),
      0.0);
}

void read_delay(const Table& table, OptimizerConfig& config) {
  config.lr_delay_correction =
      table.optional<bool>("lr_delay_correction", false,
                           "divide a stage's rate by its delay tau, tau^(1 - min(step / lr_delay_steps, 1)), "
                           "where tau >= 1 (asynchronous schedules)");
  config.lr_delay_steps =
      table.at_least("lr_delay_steps",
                     table.optional<std::int64_t>("lr_delay_steps", 5 * config.warmup_steps,
                                                  "steps over which lr_delay_correction fades"),
                     0);
  if (config.lr_delay_correction && config.lr_delay_steps == 0) {
    table.reject("lr_delay_steps", "is 0, expected more than 0 with lr_delay_correction");
  }
  config.delay_compensation = table.at_least(
      "delay_compensation",
      table.optional<double>("delay_compensation", 0.0,
                             "lambda in g + lambda g g (w_now - w_then) for a late gradient g (asynchronous "
                             "schedules that keep the weights of it); 0 turns it off"),
      0.0);
}

}  // namespace

OptimizerConfig OptimizerConfig::from_deck(Table table) {
  OptimizerConfig config;
  config.name =
      table.choice("name", {"adamw", "muon"}, "update rule; muon: AdamW for all but hidden matrices");
  const bool muon = config.name == "muon";
  config.learning_rate = table.at_least(
      "learning_rate", table.required<double>("learning_rate", "of a step, at its highest"), 0.0);
  config.beta1 = mean_decay(table, "beta1", 0.9, "decay of the gradient's running mean, per step");
  config.beta2 = mean_decay(table, "beta2", 0.95, "decay of the squared gradient's running mean, per step");
  config.epsilon = table.above(
      "epsilon", table.optional<double>("epsilon", 1e-8, "added to the root of the mean square"), 0.0);
  config.weight_decay = table.at_least(
      "weight_decay",
      table.optional<double>("weight_decay", muon ? 0.01 : 0.1,
                             "decoupled, of matrices and the head; the token table and gains have none"),
      0.0);
  config.clip = table.optional<double>("clip", 1.0, "largest norm of all gradients; <= 0 turns clipping off");
  config.warmup_steps = table.at_least(
      "warmup_steps",
      table.optional<std::int64_t>("warmup_steps", 0, "steps over which the learning rate rises from zero"),
      0);
  config.decay = table.choice("decay", {"cosine", "linear", "constant"},
                              "how the learning rate falls from the warm-up's end to the last step");
  config.final_fraction = table.between(
      "final_fraction", table.optional<double>("final_fraction", 0.1, "of learning_rate, at the last step"),
      0.0, 1.0);
  read_delay(table, config);
  if (muon) {
    read_muon(table, config);
  } else {
    for (const char* key : {"momentum", "nesterov", "matrix_fraction", "vector_fraction"}) {
      if (table.has(key)) table.reject(key, "is a key of name = \"muon\"");
    }
  }
  return config;
}

double OptimizerConfig::rate_at(std::int64_t step, std::int64_t steps) const {
  if (step < warmup_steps) {
    return learning_rate * static_cast<double>(step + 1) / static_cast<double>(warmup_steps);
  }
  if (decay == "constant") return learning_rate;
  const auto decay_steps = std::max<std::int64_t>(steps - 1 - warmup_steps, 1);
  const double progress =
      std::min(1.0, static_cast<double>(step - warmup_steps) / static_cast<double>(decay_steps));
  const double remaining =
      decay == "cosine" ? 0.5 * (1.0 + std::cos(std::numbers::pi * progress)) : 1.0 - progress;
  return learning_rate * (final_fraction + (1.0 - final_fraction) * remaining);
}

double OptimizerConfig::clip_factor(double gradient_norm) const {
  return clip > 0.0 && gradient_norm > clip ? clip / gradient_norm : 1.0;
}

double OptimizerConfig::delay_factor(double delay, std::int64_t step) const {
  if (!lr_delay_correction || !(delay >= 1.0)) return 1.0;
  const double faded = std::min(1.0, static_cast<double>(step) / static_cast<double>(lr_delay_steps));
  return std::pow(delay, faded - 1.0);
}

}  // namespace strait::optim
