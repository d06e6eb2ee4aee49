#include "strait/codec/codec.hpp"

#include "strait/codec/none.hpp"
#include "strait/codec/projection.hpp"
#include "strait/codec/quantised.hpp"
#include "strait/codec/subspace.hpp"
#include "strait/codec/top_k.hpp"

#include <algorithm>

namespace strait::codec {
namespace {

/// Keys that not every codec has, and the codecs that have them.
struct OwnKey {
  std::string_view key;
  std::vector<std::string_view> codecs;
};

const std::vector<OwnKey>& own_keys() {
  static const std::vector<OwnKey> keys = {
      {"rank", {"mapl", "fixed", "unconstrained", "ssn"}},
      {"anchors", {"mapl", "fixed", "unconstrained"}},
      {"anchor_init", {"mapl", "fixed", "unconstrained"}},
      {"projector", {"mapl"}},
      {"projector_learning_rate", {"mapl", "unconstrained"}},
      {"projector_interval", {"mapl", "unconstrained"}},
      {"table_deviation", {"ssn"}},
      {"grassmann_interval", {"ssn"}},
      {"grassmann_rate", {"ssn"}},
      {"group_size", {"int8", "int4", "int2"}},
      {"k", {"topk"}},
  };
  return keys;
}

void refuse_keys_of_others(const std::string& name, const Table& table) {
  for (const OwnKey& own : own_keys()) {
    if (!table.has(own.key) || std::find(own.codecs.begin(), own.codecs.end(), name) != own.codecs.end()) {
      continue;
    }
    std::string owners;
    for (const std::string_view codec : own.codecs)
      owners += (owners.empty() ? "" : ", ") + std::string(codec);
    table.reject(own.key, fmt::format("is a key of {}; codec {} has none such", owners, name));
  }
}

template <class T>
std::unique_ptr<Codec<T>> make_codec(const std::string& name, Table table, int hidden,
                                     const RunFacts& facts) {
  if (name == "none") {
    const Wire wire = wire_from_deck<T>(table, facts.bfloat16 ? Wire::bfloat16 : Wire::float32);
    return std::make_unique<NoneCodec<T>>(wire, facts.bfloat16);
  }
  if (name == "int8" || name == "int4" || name == "int2") {
    return std::make_unique<QuantisedCodec<T>>(quantised_from_deck<T>(name, table));
  }
  if (name == "topk") return std::make_unique<TopKCodec<T>>(top_k_from_deck<T>(table, hidden));
  if (name == "ssn") return std::make_unique<SubspaceCodec<T>>(subspace_from_deck<T>(table, hidden, facts));
  const ProjectionOptions options = projection_from_deck<T>(name, table, hidden);
  if (facts.replicated && options.rvq) {
    table.table("rvq").reject("groups",
                              "is given, expected no [codec.rvq] with pipeline.replicas > 1: "
                              "codebooks follow the micro-batches in their order");
  }
  return std::make_unique<ProjectionCodec<T>>(options);
}

}  // namespace

template <class T>
std::unique_ptr<Codec<T>> codec_from_deck(Table table, int hidden, const RunFacts& facts) {
  const std::string name =
      table.choice("name", {"none", "mapl", "fixed", "unconstrained", "ssn", "int8", "int4", "int2", "topk"},
                   "what crosses a boundary between stages: none sends every number, mapl a learned "
                   "orthonormal subspace, fixed a random one, unconstrained a learned one, ssn one that the "
                   "model is held in, int8, int4 and int2 "
                   "groups of small integers, topk the largest entries");
  refuse_keys_of_others(name, table);
  auto codec = make_codec<T>(name, table, hidden, facts);
  codec->set_diagnostics_interval(table.at_least(
      "diagnostics_interval",
      table.optional<std::int64_t>("diagnostics_interval", 100,
                                   "steps between what a codec measures of itself; 0 for never"),
      0));
  return codec;
}

template std::unique_ptr<Codec<float>> codec_from_deck(Table, int, const RunFacts&);
template std::unique_ptr<Codec<double>> codec_from_deck(Table, int, const RunFacts&);

}  // namespace strait::codec
