#include "strait/optim/optimizer.hpp"

#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <initializer_list>
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

void read_refresh(const Table& table, OptimizerConfig& config) {
  config.refresh =
      table.at_least("refresh",
                     table.optional<std::int64_t>(
                         "refresh", 10, "updates between refreshes of a basis (basis-rotation, soap)"),
                     1);
}

void read_rotation(const Table& table, OptimizerConfig& config) {
  config.source = table.choice("source", {"second", "first"},
                               "of the bases: the gradients' second moments, or their running mean, which "
                               "needs half the memory (basis-rotation)");
  config.two_sided = table.optional<bool>(
      "two_sided", true, "bases on both sides of a matrix, or on the shorter alone (basis-rotation)");
  read_refresh(table, config);
  config.stage_refresh =
      table
          .automatic<std::vector<int>>("stage_refresh",
                                       "refresh, stage by stage, or \"auto\": refresh times mean delay over "
                                       "the stage's delay, from 1 to 10 refresh (basis-rotation)")
          .value_or(std::vector<int>());
  for (const int interval : config.stage_refresh) table.at_least("stage_refresh", interval, 1);
  config.stagger = table.optional<bool>(
      "stagger", true, "refresh the matrices of a stage in different updates (basis-rotation)");
}

/// What an optimiser's keys are by default.
struct Defaults {
  double beta1 = 0.9, beta2 = 0.95, weight_decay = 0.1;
};

Defaults defaults_of(const std::string& name) {
  if (name == "muon") return {.weight_decay = 0.01};
  if (name == "basis-rotation") return {.beta2 = 0.999, .weight_decay = 0.01};
  if (name == "soap") return {.beta1 = 0.95, .weight_decay = 0.01};
  if (name == "nadam") return {.beta1 = 0.99, .beta2 = 0.999};
  return {};
}

/// The keys of `owners` are refused with another optimiser.
void refuse_keys(const Table& table, const std::string& name, std::initializer_list<const char*> keys,
                 std::initializer_list<const char*> owners) {
  if (std::find(owners.begin(), owners.end(), name) != owners.end()) return;
  for (const char* key : keys) {
    if (table.has(key)) {
      table.reject(key, fmt::format("is a key of name = \"{}\"", fmt::join(owners, "\" and \"")));
    }
  }
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
  config.name = table.choice("name", {"adamw", "muon", "basis-rotation", "soap", "nadam"},
                             "update rule; muon, basis-rotation and soap leave all but hidden matrices to "
                             "AdamW");
  const Defaults defaults = defaults_of(config.name);
  config.learning_rate = table.at_least(
      "learning_rate", table.required<double>("learning_rate", "of a step, at its highest"), 0.0);
  config.beta1 = mean_decay(table, "beta1", defaults.beta1, "decay of the gradient's running mean, per step");
  config.beta2 =
      mean_decay(table, "beta2", defaults.beta2, "decay of the squared gradient's running mean, per step");
  config.epsilon = table.above(
      "epsilon", table.optional<double>("epsilon", 1e-8, "added to the root of the mean square"), 0.0);
  config.weight_decay = table.at_least(
      "weight_decay",
      table.optional<double>("weight_decay", defaults.weight_decay,
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
  if (config.name == "muon") read_muon(table, config);
  if (config.name == "basis-rotation") read_rotation(table, config);
  if (config.name == "soap") read_refresh(table, config);
  refuse_keys(table, config.name, {"momentum", "nesterov", "matrix_fraction", "vector_fraction"}, {"muon"});
  refuse_keys(table, config.name, {"source", "two_sided", "stage_refresh", "stagger"}, {"basis-rotation"});
  refuse_keys(table, config.name, {"refresh"}, {"basis-rotation", "soap"});
  return config;
}

double OptimizerConfig::rate_at(std::int64_t step, std::int64_t steps, int update, int updates) const {
  const std::int64_t at = step * updates + update, warmup = warmup_steps * updates;
  if (at < warmup) return learning_rate * static_cast<double>(at + 1) / static_cast<double>(warmup);
  if (decay == "constant") return learning_rate;
  const auto decaying = std::max<std::int64_t>(steps * updates - 1 - warmup, 1);
  const double progress = std::min(1.0, static_cast<double>(at - warmup) / static_cast<double>(decaying));
  const double remaining =
      decay == "cosine" ? 0.5 * (1.0 + std::cos(std::numbers::pi * progress)) : 1.0 - progress;
  return learning_rate * (final_fraction + (1.0 - final_fraction) * remaining);
}

double OptimizerConfig::clip_factor(double gradient_norm) const {
  return clip > 0.0 && gradient_norm > clip ? clip / gradient_norm : 1.0;
}

std::int64_t OptimizerConfig::refresh_interval(const StageDelay& delay) const {
  if (!stage_refresh.empty()) return stage_refresh.at(static_cast<std::size_t>(delay.stage));
  if (!(delay.mean > 0.0)) return refresh;
  const double longest = 10.0 * static_cast<double>(refresh);
  if (!(delay.updates > 0.0)) return 10 * refresh;
  const double wanted = std::round(static_cast<double>(refresh) * delay.mean / delay.updates);
  return static_cast<std::int64_t>(std::clamp(wanted, 1.0, longest));
}

double OptimizerConfig::delay_factor(double delay, std::int64_t step) const {
  if (!lr_delay_correction || !(delay >= 1.0)) return 1.0;
  const double faded = std::min(1.0, static_cast<double>(step) / static_cast<double>(lr_delay_steps));
  return std::pow(delay, faded - 1.0);
}

}  // namespace strait::optim
