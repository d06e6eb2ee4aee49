// The kernels of codewords on one micro-batch at a quarter of the width: groups of 16 columns, 2 rounds, 256
// codewords. Operations of a search are those of its distances, 2 tokens codewords rank a round.

#include "strait/kernels/code_indices.hpp"
#include "strait/kernels/codeword_statistics.hpp"
#include "strait/kernels/vector_quantisation.hpp"

#include "operands.hpp"
#include "suite.hpp"

namespace strait::kernels {
namespace {

constexpr int rounds = 2;
constexpr int start_searches = 10;  ///< of k-means

/// One direction's operands; kernels of one round work on the first.
struct Quantiser {
  Quantiser(const ExecutionSpace& exec, const perf::Deck& deck)
      : tokens(deck.tokens()),
        shape{.groups = deck.rank() / 16, .codewords = 256, .width = 16},
        z(perf::normal_matrix(exec, tokens, shape.columns(), 1)),
        codewords(perf::normal_matrix(exec, rounds * shape.all_codewords(), shape.width, 2)),
        residuals(make_tiles<float>(tokens, shape.columns())),
        indices("strait::perf::indices", rounds * shape.groups, tokens),
        seen(rounds * shape.all_codewords(), shape.width),
        average(rounds * shape.all_codewords(), shape.width),
        bytes("strait::perf::bytes", packed_index_bytes(tokens * rounds * shape.groups, shape.codewords)) {
    to_tiles<float>(exec, residuals, z);
    for (int round = 0; round < rounds; ++round) {
      nearest_codewords<float>(exec, indices_of(round), residuals, codewords_of(round), shape,
                               Residual::keep);
      add_statistics<float>(exec, statistics_of(seen, round), indices_of(round), residuals,
                            codewords_of(round), shape, Residual::keep);
    }
    pack_indices(exec, bytes, 0, indices, shape);
    update_codewords<float>(exec, codewords, average, seen, shape, 0.9, 1e-5);
  }

  CodeIndices indices_of(int round) const {
    return rows(indices, round * shape.groups, (round + 1) * shape.groups);
  }
  Matrix<float> codewords_of(int round) const {
    return rows(codewords, round * shape.all_codewords(), (round + 1) * shape.all_codewords());
  }
  CodewordStatistics statistics_of(const CodewordStatistics& all, int round) const {
    return all.part(round * shape.all_codewords(), (round + 1) * shape.all_codewords());
  }

  double distance_flops() const { return 2.0 * static_cast<double>(z.size()) * shape.codewords; }
  /// Of so many passes over z.
  double passes(int count) const { return perf::bytes_of(count * z.size()); }
  double statistics_bytes() const { return perf::bytes_of<double>(seen.counts.size() + seen.sums.size()); }

  std::int64_t tokens;
  CodebookShape shape;
  Matrix<float> z, codewords, residuals;
  CodeIndices indices;
  CodewordStatistics seen, average;
  Vector<std::uint8_t> bytes;
};

using Run = void (*)(const ExecutionSpace&, const Quantiser&);

void list_quantisation(perf::Suite& suite, const perf::Deck& deck) {
  const auto add = [&](const std::string& name, Run run, perf::Work (*work)(const Quantiser&)) {
    suite.add(name + "/" + deck.name, [=](const ExecutionSpace& exec) -> perf::Task {
      const Quantiser q(exec, deck);
      return {.run = [=] { run(exec, q); }, .work = work(q)};
    });
  };
  using Exec = const ExecutionSpace&;
  using Q = const Quantiser&;
  using perf::Work;
  add(
      "vector_quantisation/to_tiles", [](Exec exec, Q q) { to_tiles<float>(exec, q.residuals, q.z); },
      [](Q q) -> Work { return {.bytes = q.passes(2)}; });
  add(
      "vector_quantisation/from_tiles", [](Exec exec, Q q) { from_tiles<float>(exec, q.z, q.residuals); },
      [](Q q) -> Work { return {.bytes = q.passes(2)}; });
  add(
      "vector_quantisation/nearest_codewords",
      [](Exec exec, Q q) {
        nearest_codewords<float>(exec, q.indices_of(0), q.residuals, q.codewords_of(0), q.shape,
                                 Residual::keep);
      },
      [](Q q) -> Work { return {.flops = q.distance_flops()}; });
  add(
      "vector_quantisation/add_codewords",
      [](Exec exec, Q q) {
        add_codewords<float>(exec, q.residuals, q.indices_of(0), q.codewords_of(0), q.shape);
      },
      [](Q q) -> Work { return {.bytes = q.passes(3)}; });
  add(
      "codeword_statistics/add_statistics",
      [](Exec exec, Q q) {
        add_statistics<float>(exec, q.statistics_of(q.seen, 0), q.indices_of(0), q.residuals,
                              q.codewords_of(0), q.shape, Residual::keep);
      },
      [](Q q) -> Work { return {.bytes = q.passes(1) + q.statistics_bytes() / rounds}; });
  add(
      "codeword_statistics/clear", [](Exec exec, Q q) { q.seen.clear(exec); },
      [](Q q) -> Work { return {.bytes = q.statistics_bytes()}; });
  add(
      "codeword_statistics/update_codewords",
      [](Exec exec, Q q) {
        update_codewords<float>(exec, q.codewords, q.average, q.seen, q.shape, 0.9, 1e-5);
      },
      [](Q q) -> Work { return {.bytes = 3 * q.statistics_bytes() + perf::bytes_of(q.codewords.size())}; });
  add(
      "codeword_statistics/start_codewords",
      [](Exec exec, Q q) {
        start_codewords<float>(exec, q.codewords_of(0), q.statistics_of(q.seen, 0), q.indices_of(0),
                               q.residuals, q.shape, {.seed = 1});
      },
      [](Q q) -> Work { return {.flops = start_searches * q.distance_flops()}; });
  add(
      "codeword_statistics/replace_dead_codewords",
      [](Exec exec, Q q) {
        replace_dead_codewords<float>(exec, q.codewords_of(0), q.statistics_of(q.average, 0),
                                      q.statistics_of(q.seen, 0), q.residuals, q.tokens, q.shape,
                                      {.first = 0, .count = q.shape.codewords}, 0.1, {.seed = 1});
      },
      [](Q q) -> Work { return {.bytes = perf::bytes_of<double>(q.shape.all_codewords())}; });
  add(
      "code_indices/pack_indices", [](Exec exec, Q q) { pack_indices(exec, q.bytes, 0, q.indices, q.shape); },
      [](Q q) -> Work { return {.bytes = 2.0 * q.indices.size() + q.bytes.size()}; });
  add(
      "code_indices/gather_codewords",
      [](Exec exec, Q q) { gather_codewords<float>(exec, q.z, q.bytes, 0, q.codewords, q.shape, rounds); },
      [](Q q) -> Work { return {.bytes = q.passes(1 + rounds) + q.bytes.size()}; });
}

void list(perf::Suite& suite, const std::vector<perf::Deck>& decks) {
  for (const auto& deck : decks) list_quantisation(suite, deck);
}
const perf::Registration registration(list);

}  // namespace
}  // namespace strait::kernels
