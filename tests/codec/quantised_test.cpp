// The codecs int8, int4 and int2.
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

/// x through both ends, there and back; the two must agree.
template <class T>
Matrix<T> through(const ExecutionSpace& exec, const QuantisedOptions& options, ConstMatrix<T> x) {
  const BoundaryShape shape{.tokens = static_cast<std::int64_t>(x.extent(0)),
                            .hidden = static_cast<int>(x.extent(1))};
  CodecEnds<T> ends(exec, QuantisedCodec<T>(options), shape);
  const auto there = zeros<T>(x), back = zeros<T>(x);
  ends.send(x, there);
  ends.send_back(x, back);
  EXPECT_EQ(ends.forward.size, quantised_bytes(options, shape.tokens, shape.hidden));
  EXPECT_EQ(ends.backward.size, ends.forward.size);
  const auto a = to_host(exec, there), b = to_host(exec, back);
  for (std::size_t i = 0; i < a.extent(0); ++i) {
    for (std::size_t j = 0; j < a.extent(1); ++j) {
      EXPECT_TRUE(a(i, j) == b(i, j) || (std::isnan(a(i, j)) && std::isnan(b(i, j))));
    }
  }
  return there;
}

struct Case {
  std::int64_t tokens;
  int hidden;
  int group_size;
};

/// Groups that divide the width, do not, have one column, are wider than a token.
const Case cases[] = {{5, 64, 16}, {7, 200, 64}, {3, 37, 16}, {2, 9, 4}, {4, 16, 64}, {1, 1, 4}};

template <class T>
void expect_plain_definition(int bits, Wire wire) {
  const ExecutionSpace exec;
  for (const Case& c : cases) {
    SCOPED_TRACE(fmt::format("int{}, {} x {}, groups of {}", bits, c.tokens, c.hidden, c.group_size));
    const QuantisedOptions options{.bits = bits, .group_size = c.group_size, .wire = wire};
    const auto x = test::random_matrix<T>(exec, c.tokens, c.hidden, 7, 3.0, 5);
    const auto found = to_host(exec, through<T>(exec, options, x));
    const auto host = to_host(exec, x);
    const test::PlainIntegers<T> wanted(host, options);
    for (std::int64_t i = 0; i < c.tokens; ++i) {
      for (int j = 0; j < c.hidden; ++j) {
        // The last bit of a mean depends on the order of its sum.
        const T allowed = bits == 2 ? 4 * std::numeric_limits<T>::epsilon() * std::abs(wanted(i, j)) : T(0);
        ASSERT_NEAR(found(i, j), wanted(i, j), allowed) << i << ", " << j;
        const T scale = wanted.scales[i][j / c.group_size];
        if (bits == 2 && std::abs(host(i, j)) > 2 * scale) continue;  // cut
        ASSERT_LE(std::abs(found(i, j) - host(i, j)), T(0.501) * scale);
      }
    }
  }
}

TEST(Quantised, IsItsDefinitionToTheBit) {
  for (const int bits : {8, 4, 2}) {
    expect_plain_definition<float>(bits, Wire::float32);
    expect_plain_definition<float>(bits, Wire::bfloat16);
    expect_plain_definition<double>(bits, Wire::float32);
    expect_plain_definition<double>(bits, Wire::bfloat16);
    expect_plain_definition<double>(bits, Wire::float64);
  }
}

template <class T>
void expect_integers_travel(int bits) {
  const ExecutionSpace exec;
  const int limit = bits == 8 ? 127 : 7;
  const int hidden = 2 * limit + 1 + 6;
  const Matrix<T> x("strait::test::x", 1, hidden);
  auto host = to_host(exec, x);
  for (int j = 0; j < hidden; ++j) host(0, j) = static_cast<T>(j % (2 * limit + 1) - limit);
  to_device(exec, x, host);
  const auto found = to_host(exec, through<T>(exec, {.bits = bits, .group_size = 2 * hidden}, x));
  for (int j = 0; j < hidden; ++j) EXPECT_EQ(found(0, j), host(0, j));
}

TEST(Quantised, PackingLosesNothing) {
  for (const int bits : {8, 4}) {
    expect_integers_travel<float>(bits);
    expect_integers_travel<double>(bits);
  }
}

TEST(Quantised, TiesGoToTheEvenInteger) {
  const ExecutionSpace exec;
  const std::vector<float> values = {7, 0.5, 1.5, 2.5, -0.5, -1.5, 0.49, 0};
  const std::vector<float> wanted = {7, 0, 2, 2, 0, -2, 0, 0};
  const Matrix<float> x("strait::test::x", 1, 8);
  auto host = to_host(exec, x);
  for (int j = 0; j < 8; ++j) host(0, j) = values[j];
  to_device(exec, x, host);
  const auto found = to_host(exec, through<float>(exec, {.bits = 4, .group_size = 8}, x));
  for (int j = 0; j < 8; ++j) EXPECT_EQ(found(0, j), wanted[j]);
}

template <class T>
void expect_groups_apart(int bits, T odd, bool survives) {
  const ExecutionSpace exec;
  const auto x = test::random_matrix<T>(exec, 3, 24, 3);
  auto host = to_host(exec, x);
  for (int j = 0; j < 8; ++j) host(2, j) = 0;
  host(1, 9) = odd;
  to_device(exec, x, host);
  const auto found = to_host(exec, through<T>(exec, {.bits = bits, .group_size = 8}, x));
  for (int i = 0; i < 3; ++i) {
    for (int j = 0; j < 24; ++j) {
      const bool beside = i == 1 && j / 8 == 1;
      EXPECT_EQ(std::isfinite(found(i, j)), survives || !beside) << i << ", " << j;
      if (beside) continue;
      EXPECT_NEAR(found(i, j), host(i, j), bits == 8 ? 0.005 : bits == 4 ? 0.08 : 0.7);
    }
  }
  for (int j = 0; j < 8; ++j) EXPECT_EQ(found(2, j), 0);
}

TEST(Quantised, FourLevelsLieEvenlyAboutZero) {
  const ExecutionSpace exec;
  const Matrix<float> x("strait::test::x", 1, 11);
  const std::vector<float> values = {-8, -2, -1.5, -0.5, 0, 0.5, 1.5, 2, 8, -0.2, -1.2};
  const auto host = to_host(exec, x);
  float sum = 0;
  for (int j = 0; j < 11; ++j) sum += std::abs(host(0, j) = values[j]);
  to_device(exec, x, host);
  const float scale = 1.25f * sum / 11;
  const auto found = to_host(exec, through<float>(exec, {.bits = 2, .group_size = 12}, x));
  for (int j = 0; j < 11; ++j) {
    const float magnitude = std::abs(values[j]) < scale ? 0.5f * scale : 1.5f * scale;
    EXPECT_FLOAT_EQ(std::abs(found(0, j)), magnitude) << values[j];
    EXPECT_TRUE(values[j] == 0 || (found(0, j) < 0) == (values[j] < 0)) << values[j];
  }
}

/// Mean squared error of a quantiser of numbers with a normal distribution, of their variance.
double normal_error(const QuantisedOptions& options) {
  const ExecutionSpace exec;
  const Matrix<double> x("strait::test::x", 512, 256);
  const auto host = to_host(exec, x);
  const Philox random(11, 0);
  for (int i = 0; i < 512; ++i) {
    for (int j = 0; j < 256; ++j) host(i, j) = random.normal(i * 256 + j);
  }
  to_device(exec, x, host);
  const auto found = to_host(exec, through<double>(exec, options, x));
  double lost = 0, whole = 0;
  for (std::size_t i = 0; i < host.extent(0); ++i) {
    for (std::size_t j = 0; j < host.extent(1); ++j) {
      lost += std::pow(found(i, j) - host(i, j), 2);
      whole += std::pow(host(i, j), 2);
    }
  }
  return lost / whole;
}

TEST(Quantised, FourLevelsAreNearlyTheBestOfANormalDistribution) {
  // Max 1960, table II: 0.1188 with the best uniform step.
  EXPECT_NEAR(normal_error({.bits = 2, .group_size = 256}), 0.1188, 0.002);
  EXPECT_GT(normal_error({.bits = 2, .group_size = 256}), normal_error({.bits = 4, .group_size = 64}));
}

TEST(Quantised, WhatIsNotFiniteSpoilsItsGroupAndNoOther) {
  for (const int bits : {8, 4, 2}) {
    using Single = std::numeric_limits<float>;
    for (const float odd :
         {Single::quiet_NaN(), -Single::quiet_NaN(), Single::infinity(), -Single::infinity()}) {
      expect_groups_apart<float>(bits, odd, false);
      expect_groups_apart<double>(bits, odd, false);
    }
    expect_groups_apart<float>(bits, Single::max() / 2, true);
    expect_groups_apart<double>(bits, 1e300, false);  // not a number of the wire
    expect_groups_apart<float>(bits, -1e30f, true);
  }
}

TEST(Quantised, TheSmallestNumbersAreZeros) {
  const ExecutionSpace exec;
  for (const double size : {1e-36, 1e-37, 1e-42, 0.0}) {
    const auto x = test::random_matrix<float>(exec, 2, 8, 4, size);
    const auto found = to_host(exec, through<float>(exec, {.bits = 8, .group_size = 8}, x));
    for (int j = 0; j < 8; ++j) EXPECT_EQ(found(0, j), 0.0f);
  }
}

TEST(Quantised, BytesAreScalesAndIntegers) {
  const BoundaryShape shape{.tokens = 6, .hidden = 100};
  EXPECT_EQ(codec_of<float>("name = 'int8'")->bounds(shape).forward, 6 * (2 * 4 + 100));
  EXPECT_EQ(codec_of<float>("name = 'int8'\nwire = 'bfloat16'")->bounds(shape).backward, 6 * (2 * 2 + 100));
  EXPECT_EQ(codec_of<float>("name = 'int4'\ngroup_size = 32")->bounds(shape).forward, 6 * (4 * 4 + 50));
  EXPECT_EQ(codec_of<double>("name = 'int4'\nwire = 'float64'")->bounds(shape).forward, 6 * (2 * 8 + 50));
  EXPECT_EQ(codec_of<float>("name = 'int4'")->bounds({.tokens = 6, .hidden = 7}).forward, 6 * (4 + 4));
  EXPECT_EQ(codec_of<float>("name = 'int2'\ngroup_size = 32")->bounds(shape).forward, 6 * (4 * 4 + 25));
  EXPECT_EQ(codec_of<float>("name = 'int2'")->bounds({.tokens = 6, .hidden = 7}).backward, 6 * (4 + 2));
  EXPECT_EQ(codec_of<float>("name = 'int8'")->bounds(shape).sync_up, 0);
  EXPECT_EQ(codec_of<float>("name = 'int8'")->bounds(shape).sync_down, 0);
}

TEST(Quantised, DiagnosesTheNewestMicroBatch) {
  const ExecutionSpace exec;
  const QuantisedOptions options{.bits = 4, .group_size = 8};
  const QuantisedCodec<float> codec(options);
  CodecEnds<float> ends(exec, codec, {.tokens = 4, .hidden = 32});
  const auto first = test::random_matrix<float>(exec, 4, 32, 1),
             second = test::random_matrix<float>(exec, 4, 32, 2);
  const auto arrived = zeros<float>(first);
  ends.send(first, arrived);
  ends.send(second, arrived);
  const auto x = to_host(exec, second), found = to_host(exec, arrived);
  double lost = 0, whole = 0;
  for (int i = 0; i < 4; ++i) {
    for (int j = 0; j < 32; ++j) {
      lost += std::pow(x(i, j) - found(i, j), 2);
      whole += std::pow(x(i, j), 2);
    }
  }
  const auto values = ends.sender->diagnose(exec);
  ASSERT_EQ(values.size(), codec.diagnostics().size());
  EXPECT_NEAR(values[0], std::sqrt(lost / whole), 1e-6);
  EXPECT_GT(values[0], 0.01);
}

TEST(QuantisedDeck, RefusesWhatCannotBe) {
  const auto refused = [](const std::string& place, const std::string& text) {
    test::expect_error(ExitCode::deck, place, [&] { codec_of<float>(text); });
  };
  refused("deck:3:1: [codec] group_size: is 0, expected at least 1", "name = 'int8'\ngroup_size = 0");
  refused("[codec] group_size: is 5, expected a multiple of 2", "name = 'int4'\ngroup_size = 5");
  refused("[codec] group_size: is 6, expected a multiple of 4", "name = 'int2'\ngroup_size = 6");
  refused("[codec] rank: is a key of mapl, fixed, unconstrained, ssn; codec int8", "name = 'int8'\nrank = 4");
  refused("[codec] k: is a key of topk; codec int4", "name = 'int4'\nk = 4");
  refused("[codec] group_size: is a key of int8, int4, int2; codec none", "group_size = 64");
  refused("[codec] anchors", "name = 'int8'\nanchors = 'none'");
  EXPECT_NE(codec_of<float>("name = 'int8'\ngroup_size = 5"), nullptr);
}

}  // namespace
}  // namespace strait::codec
