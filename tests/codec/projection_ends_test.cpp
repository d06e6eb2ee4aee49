// The two ends of a projecting boundary by themselves: their equations, and thousands of updates.
#include "strait/io/tensor.hpp"
#include "strait/kernels/elementwise.hpp"

#include "../../src/codec/projection_receiver.hpp"
#include "../../src/codec/projection_sender.hpp"
#include "support/codec_ends.hpp"
#include "support/llama.hpp"
#include "support/spectral.hpp"
#include "support/temporary_directory.hpp"

#include <gtest/gtest.h>

namespace strait::codec {
namespace {

using HostMatrix = std::vector<std::vector<double>>;

template <class View>
HostMatrix on_host(const ExecutionSpace& exec, const View& view) {
  const auto host = to_host(exec, view);
  HostMatrix m(host.extent(0), std::vector<double>(host.extent(1)));
  for (std::size_t i = 0; i < m.size(); ++i) {
    for (std::size_t j = 0; j < m[i].size(); ++j) m[i][j] = host(i, j);
  }
  return m;
}

HostMatrix product(const HostMatrix& a, const HostMatrix& b) {
  HostMatrix c(a.size(), std::vector<double>(b.at(0).size()));
  for (std::size_t i = 0; i < a.size(); ++i) {
    for (std::size_t k = 0; k < b.size(); ++k) {
      for (std::size_t j = 0; j < c[i].size(); ++j) c[i][j] += a[i][k] * b[k][j];
    }
  }
  return c;
}

HostMatrix transposed(const HostMatrix& a) {
  HostMatrix c(a.at(0).size(), std::vector<double>(a.size()));
  for (std::size_t i = 0; i < a.size(); ++i) {
    for (std::size_t j = 0; j < a[i].size(); ++j) c[j][i] = a[i][j];
  }
  return c;
}

HostMatrix combined(const HostMatrix& a, double factor, const HostMatrix& b) {
  HostMatrix c = a;
  for (std::size_t i = 0; i < a.size(); ++i) {
    for (std::size_t j = 0; j < a[i].size(); ++j) c[i][j] += factor * b[i][j];
  }
  return c;
}

void expect_equal(const HostMatrix& found, const HostMatrix& wanted, double tolerance, const char* what) {
  ASSERT_EQ(found.size(), wanted.size()) << what;
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    for (std::size_t j = 0; j < wanted[i].size(); ++j) {
      ASSERT_NEAR(found[i][j], wanted[i][j], tolerance) << what << " " << i << " " << j;
    }
  }
}

constexpr BoundaryShape shape{.tokens = 12, .hidden = 16, .vocab = 11};
constexpr int rank = 6;

ProjectionOptions options_of(AnchorKind anchors, const std::string& rule, Wire wire) {
  return {.rank = rank,
          .wire = wire,
          .anchors = anchors,
          .anchors_from_table = false,
          .rule = rule,
          .learning_rate = 2e-3,
          .interval = 1};
}

/// A stage's anchors, row by token: E P, E or nothing. P is read as a checkpoint has it.
template <class T>
HostMatrix anchors_of_tokens(const ExecutionSpace& exec, AnchorKind kind, const End<T>& end,
                             const test::LentParameters<T>& lent, const MutableTokenIds& ids) {
  HostMatrix out(shape.tokens, std::vector<double>(shape.hidden));
  if (kind == AnchorKind::none) return out;
  HostMatrix table = on_host(exec, lent.layout.view(lent.weights, 0));
  if (kind == AnchorKind::factorized) {
    const test::TemporaryDirectory folder;
    auto file = io::File::create(folder.file("anchors.h5"));
    end.save_anchors(exec, file.root());
    const Matrix<T> p("strait::test::p", rank, shape.hidden);
    io::read_tensor(file.root(), "P", exec, p);
    table = product(table, on_host(exec, p));
  }
  const auto host_ids = to_host(exec, ids);
  for (std::size_t t = 0; t < out.size(); ++t) out[t] = table[host_ids(t)];
  return out;
}

/// Every equation of one micro-batch, in double on the host.
template <class T>
void expect_equations(AnchorKind kind, double tolerance) {
  const ExecutionSpace exec;
  const ProjectionCodec<T> codec(options_of(kind, optim::spel, exact_wire<T>));
  test::CodecEnds<T> ends(exec, codec, shape);
  for (const auto* lent : {&ends.sent, &ends.received}) {
    kernels::fill_normal<T>(exec, lent->weights, 0.5, 3, lent == &ends.sent ? 1 : 2);
  }
  test::fill_ids(exec, ends.sent_ids, shape.vocab, 4);
  const auto x = test::random_matrix<T>(exec, shape.tokens, shape.hidden, 5);
  const auto dy = test::random_matrix<T>(exec, shape.tokens, shape.hidden, 6);
  const Matrix<T> y("strait::test::y", shape.tokens, shape.hidden);
  const Matrix<T> dx("strait::test::dx", shape.tokens, shape.hidden);
  ends.send(x, y);
  ends.send_back(dy, dx);

  const auto a = on_host(exec, dynamic_cast<ProjectionSender<T>&>(*ends.sender).projector());
  const auto sent_anchors = anchors_of_tokens<T>(exec, kind, *ends.sender, ends.sent, ends.sent_ids);
  const auto received_anchors =
      anchors_of_tokens<T>(exec, kind, *ends.receiver, ends.received, ends.sent_ids);
  const auto residual = combined(on_host(exec, x), -1.0, sent_anchors);
  const Matrix<T> numbers("strait::test::numbers", shape.tokens, rank);
  unpack<T>(exec, numbers, ends.forward.bytes, 0, exact_wire<T>);
  const auto z = on_host(exec, numbers);
  expect_equal(z, product(residual, a), tolerance, "Z = (X - anchors) A");
  expect_equal(on_host(exec, y), combined(product(z, transposed(a)), 1.0, received_anchors), tolerance,
               "X' = Z A^T + anchors");
  unpack<T>(exec, numbers, ends.backward.bytes, 0, exact_wire<T>);
  const auto dz = on_host(exec, numbers);
  expect_equal(dz, product(on_host(exec, dy), a), tolerance, "dZ = dX' A");
  expect_equal(on_host(exec, dx), product(dz, transposed(a)), tolerance, "dX = dZ A^T");

  ends.receiver->send_sync_up(exec, ends.sync_up);
  ends.sender->receive_sync_up(exec, ends.sync_up);
  const auto da = on_host(exec, dynamic_cast<ProjectionSender<T>&>(*ends.sender).take_gradient(exec));
  expect_equal(da,
               combined(product(transposed(residual), dz), 1.0, product(transposed(on_host(exec, dy)), z)),
               10 * tolerance, "dA = (X - anchors)^T dZ + dX'^T Z");
}

TEST(ProjectionEnds, ComputeTheEquations) {
  for (const AnchorKind kind : {AnchorKind::factorized, AnchorKind::full, AnchorKind::none}) {
    expect_equations<double>(kind, 1e-13);
    expect_equations<float>(kind, 5e-6);
  }
}

TEST(ProjectionEnds, StayOnTheManifoldAndAlikeForThousandsOfSteps) {
  const ExecutionSpace exec;
  constexpr int steps = 5000;
  for (const char* rule : {optim::spel, optim::manifold_muon}) {
    const ProjectionCodec<float> codec(options_of(AnchorKind::factorized, rule, Wire::float32));
    test::CodecEnds<float> ends(exec, codec, shape);
    const auto& sender = dynamic_cast<ProjectionSender<float>&>(*ends.sender);
    const auto& receiver = dynamic_cast<ProjectionReceiver<float>&>(*ends.receiver);
    const auto first = on_host(exec, sender.projector());
    const Matrix<float> x("strait::test::x", shape.tokens, shape.hidden);
    const Matrix<float> dy("strait::test::dy", shape.tokens, shape.hidden);
    const Matrix<float> out("strait::test::out", shape.tokens, shape.hidden);
    double worst = 0.0;
    for (int step = 0; step < steps; ++step) {
      kernels::fill_normal<float>(exec, Vector<float>(x.data(), x.size()), 1.0, 8, step);
      kernels::fill_normal<float>(exec, Vector<float>(dy.data(), dy.size()), 1e-3, 9, step);
      test::fill_ids(exec, ends.sent_ids, shape.vocab, step);
      ends.send(x, out);
      ends.send_back(dy, out);
      ends.update(step);
      const auto a = to_host(exec, sender.projector());
      const auto copy = to_host(exec, receiver.projector_transposed());
      for (int i = 0; i < shape.hidden; ++i) {
        for (int j = 0; j < rank; ++j) ASSERT_EQ(a(i, j), copy(j, i)) << rule << " step " << step;
      }
      if (step % 100 == 99) worst = std::max(worst, test::orthonormality_error(exec, sender.projector()));
    }
    EXPECT_LT(worst, 1e-5) << rule;
    EXPECT_GT(worst, 0.0) << rule << ": single precision rounds";
    const auto moved = combined(on_host(exec, sender.projector()), -1.0, first);
    double distance = 0.0;
    for (const auto& row : moved) {
      for (const double entry : row) distance = std::max(distance, std::abs(entry));
    }
    EXPECT_GT(distance, 0.1) << rule;
  }
}

}  // namespace
}  // namespace strait::codec
