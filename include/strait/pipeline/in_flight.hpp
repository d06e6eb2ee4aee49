#pragma once
// What a checkpoint of an asynchronous pipeline holds beside weights, optimisers and codecs: all that makes
// the run go on as if it had not stopped. The pipeline does not drain for it.

#include "strait/pipeline/executor.hpp"

namespace strait::pipeline {

/// Adds this rank's part to `group`, which all ranks share: attributes that say which pipeline it is, and
/// below its number kept versions of the weights (`versions/<v>`, at the first replica of a stage alone), the
/// input and ids of each micro-batch in flight, what the codec's ends keep of them, and messages that have
/// arrived but are not read. Once settled.
template <class T>
void save_in_flight(Executor<T>& executor, io::Group group);

/// Puts the executor, whose weights are those of `step`, where another left off; runs the forwards of
/// micro-batches in flight again, with the weights that they had. False, without effect, where `group` is of
/// another pipeline, or of a run whose end left out micro-batches that this one has.
template <class T>
bool load_in_flight(Executor<T>& executor, const io::Group& group, std::int64_t step);

}  // namespace strait::pipeline
