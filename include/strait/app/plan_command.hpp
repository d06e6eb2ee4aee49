#pragma once
// strait plan: where to cut the model and how many ranks to give each stage.

#include "strait/app/command_line.hpp"
#include "strait/app/settings.hpp"
#include "strait/codec/codec.hpp"
#include "strait/pipeline/planner.hpp"

namespace strait::app {

/// The plan for the deck on the machine that `line` names, as text.
template <class T>
std::string plan_command(const CommandLine& line, const Deck& deck, const Settings& settings,
                         const codec::Codec<T>& codec);

/// Stages, bottleneck, predictions and the lines for a deck. `tokens` of a step.
std::string plan_text(const pipeline::PlanTask& task, const pipeline::Plan& plan, double tokens);

}  // namespace strait::app
