#pragma once
// Pipelines whose boundaries project, and access to their ends.

#include "../../src/codec/projection_receiver.hpp"
#include "../../src/codec/projection_sender.hpp"
#include "support/pipelines.hpp"

namespace strait::test {

/// What the tests use of [codec]: rank 6 of tiny_llama's 16.
template <class T>
codec::ProjectionOptions projection(codec::AnchorKind anchors, const std::string& rule = optim::spel,
                                    std::optional<std::int64_t> interval = 1) {
  codec::ProjectionOptions options;
  options.rank = 6;
  options.wire = codec::exact_wire<T>;
  options.anchors = anchors;
  options.rule = rule;
  options.learning_rate = 2e-2;
  options.interval = interval;
  return options;
}

inline const codec::AnchorKind all_anchors[] = {codec::AnchorKind::factorized, codec::AnchorKind::full,
                                                codec::AnchorKind::fixed, codec::AnchorKind::none};

template <class T>
codec::ProjectionSender<T>& sender(pipeline::Pipeline<T>& pipeline, int boundary) {
  return dynamic_cast<codec::ProjectionSender<T>&>(*pipeline.executors()[boundary]->units()[0].sender());
}

template <class T>
codec::ProjectionReceiver<T>& receiver(pipeline::Pipeline<T>& pipeline, int boundary) {
  return dynamic_cast<codec::ProjectionReceiver<T>&>(
      *pipeline.executors()[boundary + 1]->units()[0].receiver());
}

/// Whether the receiver's A is the sender's, bit for bit.
template <class T>
bool same_projector(const ExecutionSpace& exec, pipeline::Pipeline<T>& pipeline, int boundary) {
  const auto sent = to_host(exec, sender(pipeline, boundary).projector());
  const auto kept = to_host(exec, receiver(pipeline, boundary).projector_transposed());
  for (std::size_t i = 0; i < sent.extent(0); ++i) {
    for (std::size_t j = 0; j < sent.extent(1); ++j) {
      if (sent(i, j) != kept(j, i)) return false;
    }
  }
  return true;
}

}  // namespace strait::test
