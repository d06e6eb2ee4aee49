#pragma once
// The files that llama_twin.py wrote.

#include "strait/io/hdf5.hpp"
#include "strait/model/config.hpp"

#include "golden_folder.hpp"

#include <string>

namespace strait::test {

/// A case of llama_twin.py.
struct Golden {
  explicit Golden(const std::string& name) : file(io::File::open(golden_file(name))), root(file.root()) {
    const auto integer = [&](const char* key) { return static_cast<int>(root.attribute<std::int64_t>(key)); };
    config.layers = integer("layers");
    config.hidden = integer("hidden");
    config.heads = integer("heads");
    config.kv_heads = integer("kv_heads");
    config.ffn_hidden = integer("ffn_hidden");
    config.vocab = integer("vocab");
    config.context = integer("context");
    config.rope_theta = root.attribute<double>("rope_theta");
    config.norm_epsilon = root.attribute<double>("norm_epsilon");
    config.tie_embeddings = integer("tie_embeddings") != 0;
    sequences = integer("sequences");
  }

  model::StageSpan whole_model() const { return {0, config.layers, true, true}; }

  io::File file;
  io::Group root;
  model::LlamaConfig config;
  int sequences = 0;
};

}  // namespace strait::test
