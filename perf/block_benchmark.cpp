// What a block of LLaMA has beside products and attention: norms, rotary embedding, SwiGLU; and the token
// table.

#include "strait/kernels/embedding.hpp"
#include "strait/kernels/rms_norm.hpp"
#include "strait/kernels/rope.hpp"
#include "strait/kernels/swiglu.hpp"

#include "operands.hpp"
#include "suite.hpp"

namespace strait::kernels {
namespace {

struct Norm {
  Norm(const ExecutionSpace& exec, const perf::Deck& deck)
      : x(perf::normal_matrix(exec, deck.tokens(), deck.model.hidden, 1)),
        y(perf::normal_matrix(exec, deck.tokens(), deck.model.hidden, 2)),
        dy(perf::normal_matrix(exec, deck.tokens(), deck.model.hidden, 3, 1e-20)),
        residual(perf::normal_matrix(exec, deck.tokens(), deck.model.hidden, 4)),
        rstd(perf::normal_vector(exec, deck.tokens(), 5)),
        gain(perf::normal_vector(exec, deck.model.hidden, 6)),
        dgain(perf::normal_vector(exec, deck.model.hidden, 7)) {}

  /// Of so many passes over [tokens, hidden].
  perf::Work passes(int count) const { return {.bytes = perf::bytes_of(count * x.size())}; }

  Matrix<float> x, y, dy, residual;
  Vector<float> rstd, gain, dgain;
};

void list_rms_norm(perf::Suite& suite, const perf::Deck& deck) {
  const auto add = [&](const std::string& what, int passes, void (*run)(const ExecutionSpace&, const Norm&)) {
    suite.add("rms_norm/" + what + "/" + deck.name, [=](const ExecutionSpace& exec) -> perf::Task {
      const Norm n(exec, deck);
      return {.run = [=] { run(exec, n); }, .work = n.passes(passes)};
    });
  };
  add("forward", 2, [](const ExecutionSpace& exec, const Norm& n) {
    rms_norm_forward<float>(exec, n.y, n.rstd, n.x, n.gain, 1e-5);
  });
  add("add_forward", 4, [](const ExecutionSpace& exec, const Norm& n) {
    add_rms_norm_forward<float>(exec, n.y, n.rstd, n.x, n.dy, n.gain, 1e-5);
  });
  add("recompute", 2, [](const ExecutionSpace& exec, const Norm& n) {
    rms_norm_recompute<float>(exec, n.y, n.x, n.rstd, n.gain);
  });
  add("backward_input", 4, [](const ExecutionSpace& exec, const Norm& n) {
    rms_norm_backward_input<float>(exec, n.y, n.dy, n.residual, n.x, n.rstd, n.gain);
  });
  add("backward_weight", 2, [](const ExecutionSpace& exec, const Norm& n) {
    rms_norm_backward_weight<float>(exec, n.dgain, n.dy, n.x, n.rstd);
  });
}

void list_rope(perf::Suite& suite, const perf::Deck& deck) {
  const auto& model = deck.model;
  suite.add("rope/rope/" + deck.name, [=](const ExecutionSpace& exec) -> perf::Task {
    const auto x = perf::normal_matrix(exec, deck.tokens(), model.hidden, 1);
    const Matrix<float> table("strait::perf::table", model.context, model.head_dim());
    rope_table<float>(exec, table, model.rope_theta);
    return {.run =
                [=] {
                  rope<float>(exec, x, table, model.heads, model.head_dim(), model.context,
                              Rotation::forward);
                },
            .work = {.bytes = perf::bytes_of(2 * x.size())}};
  });
  suite.add("rope/rope_table/" + deck.name, [=](const ExecutionSpace& exec) -> perf::Task {
    const Matrix<float> table("strait::perf::table", model.context, model.head_dim());
    return {.run = [=] { rope_table<float>(exec, table, model.rope_theta); },
            .work = {.bytes = perf::bytes_of(table.size())}};
  });
}

void list_swiglu(perf::Suite& suite, const perf::Deck& deck) {
  const std::int64_t tokens = deck.tokens(), ffn = deck.model.ffn_hidden;
  suite.add("swiglu/forward/" + deck.name, [=](const ExecutionSpace& exec) -> perf::Task {
    const auto gate_up = perf::normal_matrix(exec, tokens, 2 * ffn, 1);
    const Matrix<float> y("strait::perf::y", tokens, ffn);
    return {.run = [=] { swiglu_forward<float>(exec, y, gate_up); },
            .work = {.bytes = perf::bytes_of(gate_up.size() + y.size())}};
  });
  suite.add("swiglu/backward/" + deck.name, [=](const ExecutionSpace& exec) -> perf::Task {
    const auto gate_up = perf::normal_matrix(exec, tokens, 2 * ffn, 1);
    const auto dy = perf::normal_matrix(exec, tokens, ffn, 2);
    const Matrix<float> y("strait::perf::y", tokens, ffn),
        dgate_up("strait::perf::dgate_up", tokens, 2 * ffn);
    return {.run = [=] { swiglu_backward<float>(exec, dgate_up, y, gate_up, dy); },
            .work = {.bytes = perf::bytes_of(2 * gate_up.size() + 2 * y.size())}};
  });
}

void list_embedding(perf::Suite& suite, const perf::Deck& deck) {
  const int vocab = deck.model.vocab;
  suite.add("embedding/forward/" + deck.name, [=](const ExecutionSpace& exec) -> perf::Task {
    const auto x = perf::normal_matrix(exec, deck.tokens(), deck.model.hidden, 1);
    const auto table = perf::normal_matrix(exec, vocab, deck.model.hidden, 2);
    const TokenIds ids = perf::uneven_ids(exec, deck.tokens(), vocab);
    return {.run = [=] { embedding_forward<float>(exec, x, table, ids); },
            .work = {.bytes = perf::bytes_of(2 * x.size())}};
  });
  suite.add("embedding/backward/" + deck.name, [=](const ExecutionSpace& exec) -> perf::Task {
    const auto dx = perf::normal_matrix(exec, deck.tokens(), deck.model.hidden, 1);
    const auto dtable = perf::normal_matrix(exec, vocab, deck.model.hidden, 2);
    const TokenIds ids = perf::uneven_ids(exec, deck.tokens(), vocab);
    return {.run = [=] { embedding_backward<float>(exec, dtable, dx, ids); },
            .work = {.bytes = perf::bytes_of(3 * dx.size())}};
  });
}

void list(perf::Suite& suite, const std::vector<perf::Deck>& decks) {
  for (const auto& deck : decks) {
    list_rms_norm(suite, deck);
    list_rope(suite, deck);
    list_swiglu(suite, deck);
    list_embedding(suite, deck);
  }
}
const perf::Registration registration(list);

}  // namespace
}  // namespace strait::kernels
