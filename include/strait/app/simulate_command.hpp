#pragma once
// strait simulate: what a step would take on other links, without running it.

#include "strait/app/command_line.hpp"
#include "strait/app/settings.hpp"
#include "strait/codec/codec.hpp"

#include <string>

namespace strait::app {

/// CSV: one line for each of `line.bandwidths`, or one for the machine or the measured link where there are
/// none. Seconds, bit/s and bytes per step.
template <class T>
std::string simulate_command(const CommandLine& line, const Deck& deck, const Settings& settings,
                             const codec::Codec<T>& codec);

}  // namespace strait::app
