#include "llama_parameters.hpp"

#include "strait/kernels/elementwise.hpp"
#include "strait/model/initialisation.hpp"

#include <cmath>
#include <string_view>

namespace strait::model {

LlamaParameters::LlamaParameters(const LlamaConfig& config, const StageSpan& span,
                                 const std::function<void(ParameterLayout&)>& add_parameters) {
  using enum ParameterRole;
  const int hidden = config.hidden;
  const int kv_width = config.kv_heads * config.head_dim();

  if (span.embeds) token_table_ = layout_.add(token_table_name, embedding, config.vocab, hidden);
  for (int layer = span.first_layer; layer < span.last_layer; ++layer) {
    const auto name = [&](const char* what) { return fmt::format("model.layers.{}.{}.weight", layer, what); };
    first_of_layer_.push_back(layout_.add(name("input_layernorm"), gain, 1, hidden));
    layout_.add(name("self_attn.q_proj"), matrix, hidden, hidden);
    layout_.add(name("self_attn.k_proj"), matrix, kv_width, hidden);
    layout_.add(name("self_attn.v_proj"), matrix, kv_width, hidden);
    layout_.add(name("self_attn.o_proj"), matrix, hidden, hidden);
    layout_.add(name("post_attention_layernorm"), gain, 1, hidden);
    layout_.add(name("mlp.gate_proj"), matrix, config.ffn_hidden, hidden);
    layout_.add(name("mlp.up_proj"), matrix, config.ffn_hidden, hidden);
    layout_.add(name("mlp.down_proj"), matrix, hidden, config.ffn_hidden);
  }
  if (span.has_head) {
    final_norm_ = layout_.add("model.norm.weight", gain, 1, hidden);
    if (!config.tie_embeddings) {
      projection_ = layout_.add("lm_head.weight", head, config.vocab, hidden);
    } else if (span.embeds) {
      projection_ = token_table_;
    } else {
      projection_ = layout_.add(token_table_name, embedding, config.vocab, hidden, true);
    }
  }
  if (add_parameters) add_parameters(layout_);
}

/// FNV-1a (Fowler, Noll & Vo), 64 bits.
std::uint64_t random_stream(std::string_view name) {
  std::uint64_t value = 0xcbf29ce484222325ull;
  for (const char c : name) value = (value ^ static_cast<unsigned char>(c)) * 0x100000001b3ull;
  return value;
}

bool writes_residual_stream(std::string_view name) {
  return name.ends_with("self_attn.o_proj.weight") || name.ends_with("mlp.down_proj.weight");
}

template <class T>
void initialise(const ExecutionSpace& exec, const Vector<T>& weights, const ParameterLayout& layout,
                int layers, std::uint64_t seed) {
  constexpr double standard_deviation = 0.02;
  for (const auto& info : layout.entries()) {
    const Vector<T> values(weights.data() + info.offset, info.size());
    if (info.role == ParameterRole::gain) {
      Kokkos::deep_copy(exec, values, T(1));
    } else if (info.role == ParameterRole::anchor) {
      Kokkos::deep_copy(exec, values, T(0));
    } else {
      const double scale = writes_residual_stream(info.name) ? 1.0 / std::sqrt(2.0 * layers) : 1.0;
      kernels::fill_normal<T>(exec, values, scale * standard_deviation, seed, random_stream(info.name));
    }
  }
}

template void initialise<float>(const ExecutionSpace&, const Vector<float>&, const ParameterLayout&, int,
                                std::uint64_t);
template void initialise<double>(const ExecutionSpace&, const Vector<double>&, const ParameterLayout&, int,
                                 std::uint64_t);

}  // namespace strait::model
