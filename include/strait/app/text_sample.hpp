#pragma once
// Text that the trained model writes, so that a person sees what it learned.

#include "strait/app/crew.hpp"
#include "strait/app/settings.hpp"

#include <string>

namespace strait::app {

/// Continues settings.output.sample_prompt by sample_tokens tokens, or to the end of a document, and returns
/// prompt and continuation as text. Each token is one forward pass through the pipeline. Collective.
template <class T>
std::string sample_text(const ExecutionSpace& exec, Crew<T>& crew, const Settings& settings);

}  // namespace strait::app
