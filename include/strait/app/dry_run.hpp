#pragma once
// What a run would need, without running it.

#include "strait/app/settings.hpp"
#include "strait/codec/codec.hpp"

#include <string>

namespace strait::app {

/// Partition, parameters, FLOPs, memory per stage and bytes per boundary and step, as text. Allocates
/// nothing.
template <class T>
std::string describe_run(const Settings& settings, const codec::Codec<T>& codec);

}  // namespace strait::app
