#include "strait/codec/rvq.hpp"

#include "strait/kernels/code_indices.hpp"

#include <algorithm>
#include <array>
#include <cmath>

namespace strait::codec {
namespace {

constexpr std::array<std::string_view, 10> keys = {"groups",   "rounds",           "codewords", "fraction",
                                                   "decay",    "commitment",       "dropout",   "dead",
                                                   "backward", "checksum_interval"};

GradientFormat backward_from_deck(const Table& table) {
  const std::string name = table.choice("backward", {"bfloat16", "int8", "rvq"},
                                        "how gradients come back: as 16 bits, as 8 bits with a scale for "
                                        "every 64 columns, as indices of codewords of their own");
  if (name == "bfloat16") return GradientFormat::bfloat16;
  return name == "int8" ? GradientFormat::int8 : GradientFormat::rvq;
}

}  // namespace

int rvq_published(const RvqOptions& options, int columns, Wire wire, std::int64_t micro_batches,
                  std::int64_t payload) {
  if (options.published) return *options.published;
  const auto in_steps = [&](std::int64_t steps) {
    const std::int64_t messages = steps * micro_batches;
    return (options.codewords + messages - 1) / messages;
  };
  const std::int64_t bytes_of_one = std::int64_t{options.rounds} * columns * wire_bytes(wire);
  const std::int64_t affordable = payload * 3 / 200 / bytes_of_one;  // 1.5 %
  return static_cast<int>(std::clamp(affordable, in_steps(4), in_steps(1)));
}

double rvq_decay(const RvqOptions& options, std::int64_t tokens_of_step) {
  if (options.decay) return *options.decay;
  const double reach = 64.0 * options.codewords;
  return std::clamp(1.0 - static_cast<double>(tokens_of_step) / reach, 0.5, 0.99);
}

std::int64_t rvq_index_bytes(const RvqOptions& options, std::int64_t tokens) {
  return kernels::packed_index_bytes(tokens * options.groups * options.rounds, options.codewords);
}

std::int64_t rvq_most_sync_bytes(const RvqOptions& options, int columns, Wire wire) {
  constexpr std::int64_t checksum = 8;
  return checksum + std::int64_t{options.rounds} * options.codewords * columns * wire_bytes(wire);
}

std::optional<RvqOptions> rvq_from_deck(const Table& codec, int columns) {
  const Table table = codec.table("rvq");
  if (std::none_of(keys.begin(), keys.end(), [&](std::string_view key) { return table.has(key); })) {
    return std::nullopt;
  }
  RvqOptions options;
  options.groups = table.at_least(
      "groups", table.required<int>("groups", "groups of columns that are quantised apart; divides rank"), 1);
  if (columns % options.groups != 0) {
    table.reject("groups",
                 fmt::format("is {}, expected a divisor of codec.rank = {}", options.groups, columns));
  }
  options.rounds = table.between(
      "rounds", table.required<int>("rounds", "codewords that a group of a token is the sum of"), 1, 64);
  options.codewords = table.between(
      "codewords", table.required<int>("codewords", "in the codebook of a group and round"), 2, 65536);
  if (const auto fraction = table.automatic<double>(
          "fraction",
          "of the codewords that every micro-batch's message publishes; auto: all in a step, or 1.5 % of the "
          "payload if that is less, but all in four steps")) {
    table.above("fraction", *fraction, 0.0);
    table.between("fraction", *fraction, 0.0, 1.0);
    options.published = std::max(1, static_cast<int>(std::lround(*fraction * options.codewords)));
  }
  options.decay = table.automatic<double>(
      "decay",
      "of the codewords' moving averages, per step; auto: they reach back over about 64 tokens of each");
  if (options.decay) table.between("decay", *options.decay, 0.0, 1.0);
  options.commitment = table.at_least(
      "commitment",
      table.optional<double>("commitment", 0.0,
                             "weight in the loss of the mean squared quantisation error over rounds, tokens "
                             "and columns, which pulls activations to codewords"),
      0.0);
  options.dropout = table.between(
      "dropout",
      table.optional<double>("dropout", 0.0,
                             "chance that a training micro-batch travels with fewer rounds, 1 to rounds - 1"),
      0.0, 1.0);
  if (options.dropout > 0.0 && options.rounds == 1) {
    table.reject("dropout", fmt::format("is {}, expected 0 where rounds = 1", options.dropout));
  }
  options.dead = table.between(
      "dead",
      table.optional<double>("dead", 0.1,
                             "a codeword that fewer tokens use than this part of the mean is replaced by "
                             "one of the micro-batch's vectors when its turn to be published comes"),
      0.0, 1.0);
  options.backward = backward_from_deck(table);
  options.checksum_interval =
      table.at_least("checksum_interval",
                     table.optional<std::int64_t>("checksum_interval", 100,
                                                  "steps between comparisons of the two ends' codebooks"),
                     1);
  return options;
}

void check_codewords(const RvqOptions& options, std::int64_t tokens) {
  if (options.codewords <= tokens) return;
  fail(ExitCode::deck,
       "strait: codec.rvq.codewords = {} is more than the {} tokens of a micro-batch, of which the first "
       "codewords are made: use fewer codewords or a larger micro_batch",
       options.codewords, tokens);
}

}  // namespace strait::codec
