// One micro-batch through a boundary, each way at each end, by every codec, and what is done once a step. A
// middle stage works at both of its ends: all four together are to be compared with stage/layers. Bytes are
// those of the activation and of the message, operations those of products and of the search for codewords;
// `message` is the size of a message in bytes.

#include "strait/codec/none.hpp"
#include "strait/codec/projection.hpp"
#include "strait/codec/quantised.hpp"
#include "strait/codec/subspace.hpp"
#include "strait/codec/top_k.hpp"
#include "strait/model/stage.hpp"
#include "strait/optim/stiefel.hpp"

#include "operands.hpp"
#include "suite.hpp"

#include <algorithm>

namespace strait::codec {
namespace {

/// Operations of one direction per token: products with a projector [hidden, rank], and with one of
/// [rank, width].
struct Products {
  double projector = 0, inner = 0;
};

/// A codec and what its four directions have to do.
struct Kind {
  std::string name;
  std::shared_ptr<Codec<float>> (*make)(const perf::Deck&);
  Products encode = {}, decode = {}, encode_gradient = {}, decode_gradient = {};
  int inner_width = 0;  ///< 0: rank
};

/// Both ends of one boundary, each at a stage of one layer.
struct Boundary {
  Boundary(const ExecutionSpace& space, const perf::Deck& deck, const Codec<float>& codec)
      : exec(space),
        shape{.tokens = deck.tokens(),
              .hidden = deck.model.hidden,
              .vocab = deck.model.vocab,
              .micro_batches = 8},
        sender(codec.sender(exec, shape)),
        receiver(codec.receiver(exec, shape)),
        x(perf::normal_matrix(exec, shape.tokens, shape.hidden, 1)),
        dx(perf::normal_matrix(exec, shape.tokens, shape.hidden, 2)),
        out("strait::perf::out", shape.tokens, shape.hidden) {
    lend(deck, *sender);
    lend(deck, *receiver);
    const auto bounds = codec.bounds(shape);
    forward.bytes = Vector<std::uint8_t>("strait::perf::forward", bounds.forward);
    backward.bytes = Vector<std::uint8_t>("strait::perf::backward", bounds.backward);
    sync.bytes = Vector<std::uint8_t>("strait::perf::sync", std::max(bounds.sync_up, bounds.sync_down));
    context.ids = perf::uneven_ids(exec, shape.tokens, shape.vocab);
    context.micro_batch = -1;  // before the first
  }

  void lend(const perf::Deck& deck, End<float>& end) {
    const auto layout = model::stage_layout(deck.model, {1, 2, false, false},
                                            [&](model::ParameterLayout& own) { end.add_parameters(own); });
    kept.push_back(perf::normal_vector(exec, layout.size(), 3, 0.02));
    kept.push_back(perf::normal_vector(exec, layout.size(), 4, 1e-3));
    end.lend(layout, kept[kept.size() - 2], kept.back());
  }

  void encode() {
    ++context.micro_batch;
    sender->encode(exec, context, x, forward);
  }
  void decode() { receiver->decode(exec, context, forward, out); }
  void encode_gradient() { receiver->encode_gradient(exec, context, dx, backward); }
  void decode_gradient() { sender->decode_gradient(exec, context, backward, out); }
  void pass() {
    encode();
    decode();
    encode_gradient();
    decode_gradient();
  }
  /// The receiver's half of a projector's gradient up and a projector down.
  void exchange() {
    receiver->send_sync_up(exec, sync);
    sender->receive_sync_up(exec, sync);
    sender->send_sync_down(exec, sync);
    receiver->receive_sync_down(exec, sync);
  }

  ExecutionSpace exec;
  BoundaryShape shape;
  std::unique_ptr<Sender<float>> sender;
  std::unique_ptr<Receiver<float>> receiver;
  std::vector<Vector<float>> kept;
  Matrix<float> x, dx, out;
  Message forward, backward, sync;
  Context context;
};

/// What happens to a boundary ahead of a direction, in order.
void before(Boundary& boundary, int directions) {
  if (directions > 0) boundary.encode();
  if (directions > 1) boundary.decode();
  if (directions > 2) boundary.encode_gradient();
}

void list_directions(perf::Suite& suite, const perf::Deck& deck, const Kind& kind) {
  using MessageOf = Message Boundary::*;  // named, since nvcc warns of its own spelling of it
  const struct {
    const char* name;
    void (Boundary::*run)();
    Products products;
    MessageOf message;
  } directions[] = {
      {"encode", &Boundary::encode, kind.encode, &Boundary::forward},
      {"decode", &Boundary::decode, kind.decode, &Boundary::forward},
      {"encode_gradient", &Boundary::encode_gradient, kind.encode_gradient, &Boundary::backward},
      {"decode_gradient", &Boundary::decode_gradient, kind.decode_gradient, &Boundary::backward}};
  int ahead = 0;
  for (const auto& direction : directions) {
    suite.add("codec/" + kind.name + "/" + direction.name + "/" + deck.name,
              [=, make = kind.make, width = kind.inner_width](const ExecutionSpace& exec) -> perf::Task {
                const auto boundary = std::make_shared<Boundary>(exec, deck, *make(deck));
                boundary->pass();
                const double tokens = deck.tokens(), hidden = deck.model.hidden, rank = deck.rank();
                const auto& products = direction.products;
                const auto size = static_cast<double>((boundary.get()->*direction.message).size);
                return {.run = [=] { (boundary.get()->*direction.run)(); },
                        .work = {.flops = 2.0 * tokens * rank *
                                          (hidden * products.projector +
                                           (width > 0 ? width : rank) * products.inner),
                                 .bytes = perf::bytes_of(tokens * hidden) + size},
                        .before = [=] { before(*boundary, ahead); },
                        .counters = {{"message", size}}};
              });
    ++ahead;
  }
}

template <class Projection>
std::shared_ptr<Codec<float>> projection(const perf::Deck& deck, const Projection& change) {
  ProjectionOptions options;
  options.interval = 1;
  options.rank = deck.rank();
  options.wire = Wire::bfloat16;
  options.anchors = AnchorKind::factorized;
  options.rule = optim::spel;
  change(options);
  return std::make_shared<ProjectionCodec<float>>(options);
}

std::shared_ptr<Codec<float>> none(const perf::Deck&) {
  return std::make_shared<NoneCodec<float>>(Wire::bfloat16);
}
template <int bits>
std::shared_ptr<Codec<float>> integers(const perf::Deck&) {
  return std::make_shared<QuantisedCodec<float>>(
      QuantisedOptions{.bits = bits, .group_size = 64, .wire = Wire::bfloat16});
}
std::shared_ptr<Codec<float>> top_k(const perf::Deck& deck) {
  return std::make_shared<TopKCodec<float>>(TopKOptions{.k = deck.model.hidden / 8, .wire = Wire::bfloat16});
}
std::shared_ptr<Codec<float>> mapl(const perf::Deck& deck) {
  return projection(deck, [](ProjectionOptions&) {});
}
std::shared_ptr<Codec<float>> mapl_without_anchors(const perf::Deck& deck) {
  return projection(deck, [](ProjectionOptions& options) { options.anchors = AnchorKind::none; });
}
template <GradientFormat backward>
std::shared_ptr<Codec<float>> mapl_rvq(const perf::Deck& deck) {
  return projection(deck, [&](ProjectionOptions& options) {
    RvqOptions rvq;
    rvq.groups = deck.rank() / 16;
    while (deck.rank() % rvq.groups != 0) --rvq.groups;
    rvq.rounds = 2;
    rvq.codewords = 256;
    rvq.backward = backward;
    options.rvq = rvq;
  });
}
std::shared_ptr<Codec<float>> ssn(const perf::Deck& deck) {
  SubspaceOptions options;
  options.rank = deck.rank();
  options.wire = Wire::bfloat16;
  return std::make_shared<SubspaceCodec<float>>(options);
}

constexpr int searched = 2 * 256;  ///< codewords of both rounds

const Kind kinds[] = {
    {"none", none},
    {"int8", integers<8>},
    {"int4", integers<4>},
    {"int2", integers<2>},
    {"topk", top_k},
    {"ssn", ssn, {1}, {1}, {1}, {1}},
    {"mapl", mapl, {1, 1}, {2, 0}, {3, 0}, {2, 2}},
    {"mapl without anchors", mapl_without_anchors, {1}, {1}, {2}, {2}},
    {"mapl, rvq", mapl_rvq<GradientFormat::bfloat16>, {1, 1}, {2, 0}, {3, 0}, {2, 0}, searched},
    {"mapl, rvq, int8 back", mapl_rvq<GradientFormat::int8>, {1, 1}, {2, 0}, {3, 0}, {2, 0}, searched},
    {"mapl, rvq back", mapl_rvq<GradientFormat::rvq>, {1, 1}, {2, 0}, {3, 1}, {2, 0}, searched},
};

/// Once a step: the exchange of a projector, and g <- U U^T g for the confined matrices of a layer.
void list_steps(perf::Suite& suite, const perf::Deck& deck) {
  suite.add("codec/mapl/exchange/" + deck.name, [deck](const ExecutionSpace& exec) -> perf::Task {
    const auto boundary = std::make_shared<Boundary>(exec, deck, *mapl(deck));
    boundary->pass();
    boundary->exchange();
    return {.run = [=] { boundary->exchange(); },
            .work = {.bytes = 10.0 * static_cast<double>(boundary->sync.size)},
            .before = [=] { before(*boundary, 3); },
            .counters = {{"message", 2.0 * static_cast<double>(boundary->sync.size)}}};
  });
  suite.add("codec/ssn/project_gradients/" + deck.name, [deck](const ExecutionSpace& exec) -> perf::Task {
    const auto boundary = std::make_shared<Boundary>(exec, deck, *ssn(deck));
    const double columns = deck.model.hidden + deck.model.ffn_hidden;
    return {.run = [=] { boundary->sender->project_gradients(exec); },
            .work = {.flops = 4.0 * deck.model.hidden * deck.rank() * columns}};
  });
}

void list(perf::Suite& suite, const std::vector<perf::Deck>& decks) {
  for (const auto& deck : decks) {
    for (const auto& kind : kinds) list_directions(suite, deck, kind);
    list_steps(suite, deck);
  }
}
const perf::Registration registration(list);

}  // namespace
}  // namespace strait::codec
