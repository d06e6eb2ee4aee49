#pragma once
// Initial weights, a function of (seed, parameter name) alone.

#include "strait/model/parameters.hpp"

#include <string_view>

namespace strait::model {

/// The name of the token table.
inline constexpr const char* token_table_name = "model.embed_tokens.weight";

/// Whether the parameter `name` is a projection whose output is added to the residual stream: of attention,
/// or of a feed-forward half.
bool writes_residual_stream(std::string_view name);

/// The random stream of the parameter `name`, whatever the cuts.
std::uint64_t random_stream(std::string_view name);

/// Fills `weights` of `layout` as GPT-2 does (Radford et al. 2019): matrices and tables N(0, 0.02), the two
/// projections back onto the residual stream divided by sqrt(2 layers), gains one, anchors zero. Each
/// parameter has a random stream of its own, a hash of its name, so that cuts change nothing.
template <class T>
void initialise(const ExecutionSpace& exec, const Vector<T>& weights, const ParameterLayout& layout,
                int layers, std::uint64_t seed);

}  // namespace strait::model
