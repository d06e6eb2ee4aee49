#pragma once
// Both ends of one boundary without a pipeline: what it would do for them, step by step.

#include "strait/codec/codec.hpp"

#include "support/messages.hpp"

#include <memory>
#include <string>
#include <vector>

namespace strait::test {

/// The codec of a model of width 16 that the lines `text` of [codec] ask for, all of them read.
template <class T>
std::unique_ptr<codec::Codec<T>> codec_of(const std::string& text) {
  const Deck deck = Deck::from_string("[codec]\n" + text, "deck");
  auto codec = codec::codec_from_deck<T>(deck.table("codec"), 16);
  deck.finish();
  return codec;
}

/// The parameters that an end adds to its stage.
template <class T>
struct LentParameters {
  explicit LentParameters(codec::End<T>& end) {
    end.add_parameters(layout);
    weights = Vector<T>("strait::test::weights", layout.size());
    gradients = Vector<T>("strait::test::gradients", layout.size());
    end.lend(layout, weights, gradients);
  }

  model::ParameterLayout layout;
  Vector<T> weights, gradients;
};

template <class T>
struct CodecEnds {
  CodecEnds(const ExecutionSpace& execution_space, const codec::Codec<T>& codec,
            const codec::BoundaryShape& shape)
      : exec(execution_space),
        sender(codec.sender(execution_space, shape)),
        receiver(codec.receiver(execution_space, shape)),
        sent(*sender),
        received(*receiver),
        sent_ids("strait::test::ids", shape.tokens),
        received_ids("strait::test::ids", shape.tokens),
        forward(empty_message(codec.bounds(shape).forward)),
        backward(empty_message(codec.bounds(shape).backward)),
        sync_up(empty_message(codec.bounds(shape).sync_up)),
        sync_down(empty_message(codec.bounds(shape).sync_down)) {}

  static codec::Context context(const MutableTokenIds& ids, int slot) {
    codec::Context context;
    context.ids = ids;
    context.slot = slot;
    return context;
  }

  /// x [tokens, hidden] arrives as y.
  void send(ConstMatrix<T> x, const Matrix<T>& y, int slot = 0) {
    sender->encode(exec, context(sent_ids, slot), x, forward);
    receiver->decode(exec, context(received_ids, slot), forward, y);
  }

  /// The gradient dy [tokens, hidden] of y arrives as dx.
  void send_back(ConstMatrix<T> dy, const Matrix<T>& dx, int slot = 0) {
    receiver->encode_gradient(exec, context(received_ids, slot), dy, backward);
    sender->decode_gradient(exec, context(sent_ids, slot), backward, dx);
  }

  void update(std::int64_t step) {
    const bool synchronises = sender->synchronises(step);
    if (synchronises) {
      receiver->send_sync_up(exec, sync_up);
      sender->receive_sync_up(exec, sync_up);
    }
    receiver->update(exec, {.step = step});
    sender->update(exec, {.step = step});
    if (!synchronises) return;
    sender->send_sync_down(exec, sync_down);
    receiver->receive_sync_down(exec, sync_down);
  }

  ExecutionSpace exec;
  std::unique_ptr<codec::Sender<T>> sender;
  std::unique_ptr<codec::Receiver<T>> receiver;
  LentParameters<T> sent, received;  ///< of the two stages
  MutableTokenIds sent_ids, received_ids;
  codec::Message forward, backward, sync_up, sync_down;
};

}  // namespace strait::test
