// The codec topk.
#include "strait/codec/none.hpp"

#include "support/codec_ends.hpp"
#include "support/entry_codecs.hpp"
#include "support/expect_error.hpp"
#include "support/tensors.hpp"

#include <gtest/gtest.h>

namespace strait::codec {
namespace {

using test::codec_of;
using test::CodecEnds;
using test::zeros;

template <class T>
BoundaryShape shape_of(const ConstMatrix<T>& x, int slots = 1) {
  return {.tokens = static_cast<std::int64_t>(x.extent(0)),
          .hidden = static_cast<int>(x.extent(1)),
          .slots = slots};
}

/// x as rounded on the wire at `columns`, zero elsewhere.
template <class T, class HostMatrix>
void expect_only(const HostMatrix& found, const HostMatrix& x, const std::vector<std::vector<int>>& columns,
                 Wire wire) {
  for (std::size_t i = 0; i < x.extent(0); ++i) {
    for (int j = 0; j < static_cast<int>(x.extent(1)); ++j) {
      const bool kept = std::binary_search(columns[i].begin(), columns[i].end(), j);
      ASSERT_EQ(found(i, j), kept ? test::as_on_wire<T>(x(i, j), wire) : T(0)) << i << ", " << j;
    }
  }
}

template <class T>
void expect_plain_definition(std::int64_t tokens, int hidden, int k, Wire wire) {
  SCOPED_TRACE(fmt::format("{} x {}, k {}, {} bytes", tokens, hidden, k, wire_bytes(wire)));
  const ExecutionSpace exec;
  const auto x = test::random_matrix<T>(exec, tokens, hidden, 7, 3.0, 5);
  const auto dy = test::random_matrix<T>(exec, tokens, hidden, 8, 1e-3, 5);
  const TopKCodec<T> codec({.k = k, .wire = wire});
  CodecEnds<T> ends(exec, codec, shape_of<T>(x));
  const auto y = zeros<T>(x), dx = zeros<T>(x);
  Kokkos::deep_copy(exec, y, T(5));  // what is left of another micro-batch
  Kokkos::deep_copy(exec, dx, T(5));
  ends.send(x, y);
  ends.send_back(dy, dx);
  EXPECT_EQ(ends.forward.size, tokens * k * (wire_bytes(wire) + (hidden <= 65536 ? 2 : 4)));
  EXPECT_EQ(ends.backward.size, tokens * k * wire_bytes(wire));
  const auto host = to_host(exec, x);
  const auto columns = test::plain_top_k(host, k);
  expect_only<T>(to_host(exec, y), host, columns, wire);
  expect_only<T>(to_host(exec, dx), to_host(exec, dy), columns, wire);
}

TEST(TopK, IsItsDefinitionThereAndBack) {
  for (const int k : {1, 2, 8, 36, 37}) {
    for (const Wire wire : {Wire::float32, Wire::bfloat16}) {
      expect_plain_definition<float>(5, 37, k, wire);
      expect_plain_definition<double>(5, 37, k, wire);
    }
    expect_plain_definition<double>(5, 37, k, Wire::float64);
  }
  expect_plain_definition<float>(9, 512, 64, Wire::bfloat16);
}

TEST(TopK, ColumnsTravelInTwoBytesOrFour) {
  for (const int hidden : {65536, 65537}) {
    expect_plain_definition<float>(1, hidden, 3, Wire::bfloat16);
    expect_plain_definition<float>(1, hidden, 3, Wire::float32);
  }
}

TEST(TopK, OfAllColumnsIsNone) {
  const ExecutionSpace exec;
  const auto x = test::random_matrix<float>(exec, 4, 33, 3);
  for (const Wire wire : {Wire::float32, Wire::bfloat16}) {
    CodecEnds<float> all(exec, TopKCodec<float>({.k = 33, .wire = wire}), shape_of<float>(x));
    CodecEnds<float> none(exec, NoneCodec<float>(wire), shape_of<float>(x));
    const auto found = zeros<float>(x), wanted = zeros<float>(x);
    all.send(x, found);
    none.send(x, wanted);
    EXPECT_EQ(test::relative_difference(exec, found, wanted), 0.0);
    all.send_back(x, found);
    none.send_back(x, wanted);
    EXPECT_EQ(test::relative_difference(exec, found, wanted), 0.0);
  }
}

/// What arrives of one token.
template <class T>
std::vector<T> arrived(const std::vector<T>& values, int k) {
  const ExecutionSpace exec;
  const Matrix<T> x("strait::test::x", 1, values.size());
  auto host = to_host(exec, x);
  for (std::size_t j = 0; j < values.size(); ++j) host(0, j) = values[j];
  to_device(exec, x, host);
  CodecEnds<T> ends(exec, TopKCodec<T>({.k = k, .wire = exact_wire<T>}), shape_of<T>(x));
  const auto y = zeros<T>(x);
  ends.send(x, y);
  const auto found = to_host(exec, y);
  return std::vector<T>(&found(0, 0), &found(0, 0) + values.size());
}

template <class T>
void expect_ties_and_odd_numbers() {
  struct Row {
    std::vector<T> sent;
    int k;
    std::vector<T> wanted;
  };
  using Limits = std::numeric_limits<T>;
  constexpr T least = Limits::denorm_min(), most = Limits::max(), infinity = Limits::infinity();
  const std::vector<Row> rows = {
      {{1, -2, 2, 1, -2, 3}, 3, {0, -2, 2, 0, 0, 3}},
      {{2, 1, 2, 2, 2}, 2, {2, 0, 2, 0, 0}},
      {{0, 0, 5, 0}, 2, {0, 0, 5, 0}},
      {{0, 0, 0}, 1, {0, 0, 0}},
      {{0, least, -3 * least, 0}, 1, {0, 0, -3 * least, 0}},
      {{most / 2, -most, most}, 2, {0, -most, most}},
      {{most, -infinity, 1}, 1, {0, -infinity, 0}},
  };
  for (const Row& row : rows) EXPECT_EQ(arrived<T>(row.sent, row.k), row.wanted);

  constexpr T nan = Limits::quiet_NaN();
  const std::vector<T> one = arrived<T>({infinity, 1, -nan, 2}, 1);
  EXPECT_TRUE(std::isnan(one[2]) && one[0] == 0);
  const std::vector<T> many = arrived<T>({nan, nan, nan}, 2);
  EXPECT_TRUE(std::isnan(many[0]) && std::isnan(many[1]) && many[2] == 0);
}

TEST(TopK, KeepsTheLowerOfEqualsAndNeverLosesNaN) {
  expect_ties_and_odd_numbers<float>();
  expect_ties_and_odd_numbers<double>();
}

TEST(TopK, ColumnsBelongToTheirMicroBatch) {
  const ExecutionSpace exec;
  const auto a = test::random_matrix<float>(exec, 3, 20, 1), b = test::random_matrix<float>(exec, 3, 20, 2);
  const auto dy = test::random_matrix<float>(exec, 3, 20, 3);
  CodecEnds<float> ends(exec, TopKCodec<float>({.k = 4}), shape_of<float>(a, 2));
  const auto y = zeros<float>(a), dx = zeros<float>(a);
  ends.send(a, y, 0);
  ends.send(b, y, 1);
  // Evaluation in between takes nobody's place.
  Context evaluation;
  evaluation.training = false;
  ends.sender->encode(exec, evaluation, dy, ends.forward);
  ends.receiver->decode(exec, evaluation, ends.forward, y);
  expect_only<float>(to_host(exec, y), to_host(exec, dy), test::plain_top_k(to_host(exec, dy), 4),
                     Wire::float32);
  const auto columns_of_a = test::plain_top_k(to_host(exec, a), 4);
  const auto columns_of_b = test::plain_top_k(to_host(exec, b), 4);
  ASSERT_NE(columns_of_a, columns_of_b);
  ends.send_back(dy, dx, 0);
  expect_only<float>(to_host(exec, dx), to_host(exec, dy), columns_of_a, Wire::float32);
  ends.send_back(dy, dx, 1);
  expect_only<float>(to_host(exec, dx), to_host(exec, dy), columns_of_b, Wire::float32);
  EXPECT_EQ(ends.sender->state_bytes(), (3 * 3 * 4 + 3 * 4) * 4);
}

TEST(TopK, DiagnosesTheNewestMicroBatch) {
  const ExecutionSpace exec;
  const auto x = test::random_matrix<float>(exec, 4, 32, 2);
  const TopKCodec<float> codec({.k = 8, .wire = Wire::bfloat16});
  CodecEnds<float> ends(exec, codec, shape_of<float>(x));
  const auto y = zeros<float>(x);
  ends.send(x, y);
  const double whole = test::inner_product(exec, x, x);
  const double lost = whole - 2 * test::inner_product(exec, x, y) + test::inner_product(exec, y, y);
  const auto values = ends.sender->diagnose(exec);
  ASSERT_EQ(values.size(), codec.diagnostics().size());
  EXPECT_NEAR(values[0], std::sqrt(lost / whole), 1e-6);
  EXPECT_GT(values[0], 0.1);
}

TEST(TopKDeck, RefusesWhatCannotBe) {
  const auto refused = [](const std::string& place, const std::string& text) {
    test::expect_error(ExitCode::deck, place, [&] { codec_of<float>(text); });
  };
  refused("deck:3:1: [codec] k: is 17, expected 1 to 16", "name = 'topk'\nk = 17");
  refused("[codec] k: is 0", "name = 'topk'\nk = 0");
  refused("[codec] k", "name = 'topk'");
  refused("[codec] group_size: is a key of int8, int4, int2; codec topk",
          "name = 'topk'\nk = 4\ngroup_size = 8");
  refused("[codec] rank", "name = 'topk'\nk = 4\nrank = 4");
  refused("[codec] k: is a key of topk; codec none", "k = 4");
  EXPECT_EQ(codec_of<double>("name = 'topk'\nk = 16\nwire = 'float64'")
                ->bounds({.tokens = 3, .hidden = 16})
                .forward,
            3 * 16 * (8 + 2));
}

}  // namespace
}  // namespace strait::codec
