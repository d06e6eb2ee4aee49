#pragma once
// Text that the trained model writes, so that a person sees what it learned.

#include "strait/app/settings.hpp"
#include "strait/pipeline/pipeline.hpp"

#include <string>

namespace strait::app {

/// Continues settings.output.sample_prompt by sample_tokens tokens, or to the end of a document, and returns
/// prompt and continuation as text. Each token is one forward pass through the pipeline. Collective.
template <class T>
std::string sample_text(const ExecutionSpace& exec, pipeline::Pipeline<T>& pipeline,
                        const Settings& settings);

}  // namespace strait::app
