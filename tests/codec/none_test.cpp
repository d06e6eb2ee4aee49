// Formats on the wire and the codec none.
#include "strait/codec/none.hpp"

#include "strait/core/bits16.hpp"

#include "support/codec_ends.hpp"
#include "support/expect_error.hpp"
#include "support/tensors.hpp"

#include <gtest/gtest.h>

namespace strait::codec {
namespace {

using test::codec_of;

Message message_of(std::int64_t capacity) {
  Message message;
  message.bytes = Vector<std::uint8_t>("strait::test::message", capacity);
  return message;
}

/// x through encode and decode, and back as a gradient; the two must agree.
template <class T>
Matrix<T> through(const ExecutionSpace& exec, const Codec<T>& codec, const Matrix<T>& x) {
  const BoundaryShape shape{.boundary = 0,
                            .after_layer = 0,
                            .tokens = static_cast<std::int64_t>(x.extent(0)),
                            .hidden = static_cast<int>(x.extent(1))};
  const MessageBounds bounds = codec.bounds(shape);
  Message message = message_of(bounds.forward);
  const Matrix<T> forward("strait::test::forward", x.extent(0), x.extent(1));
  const Matrix<T> back("strait::test::back", x.extent(0), x.extent(1));
  codec.sender(exec, shape)->encode(exec, {}, x, message);
  EXPECT_EQ(message.size, bounds.forward);
  EXPECT_EQ(message.sync_size + message.header_size, 0);
  codec.receiver(exec, shape)->decode(exec, {}, message, forward);
  codec.receiver(exec, shape)->encode_gradient(exec, {}, x, message);
  EXPECT_EQ(message.size, bounds.backward);
  codec.sender(exec, shape)->decode_gradient(exec, {}, message, back);
  EXPECT_EQ(test::relative_difference(exec, forward, back), 0.0);
  return forward;
}

TEST(None, SinglePrecisionIsExact) {
  const ExecutionSpace exec;
  const auto x = test::random_matrix<float>(exec, 5, 37, 1, 1.0, 3);
  EXPECT_EQ(test::relative_difference(exec, through<float>(exec, *codec_of<float>(""), x), x), 0.0);
}

TEST(None, DoublePrecisionIsExactWithItsOwnWire) {
  const ExecutionSpace exec;
  const auto x = test::random_matrix<double>(exec, 5, 37, 1);
  EXPECT_EQ(
      test::relative_difference(exec, through<double>(exec, *codec_of<double>("wire = 'float64'"), x), x),
      0.0);
  const double rounded =
      test::relative_difference(exec, through<double>(exec, *codec_of<double>("wire = 'float32'"), x), x);
  EXPECT_GT(rounded, 0.0);
  EXPECT_LT(rounded, 6e-8);
}

template <class T>
void bfloat16_rounds_to_nearest_even() {
  const ExecutionSpace exec;
  const auto x = test::random_matrix<T>(exec, 3, 41, 2);
  const auto found = to_host(exec, through<T>(exec, *codec_of<T>("wire = 'bfloat16'"), x));
  const auto wanted = to_host(exec, x);
  for (std::size_t i = 0; i < found.extent(0); ++i) {
    for (std::size_t j = 0; j < found.extent(1); ++j) {
      EXPECT_EQ(found(i, j), from_bfloat16(to_bfloat16(static_cast<float>(wanted(i, j)))));
    }
  }
}

TEST(None, Bfloat16RoundsToNearestEven) {
  bfloat16_rounds_to_nearest_even<float>();
  bfloat16_rounds_to_nearest_even<double>();
}

TEST(None, BytesAreTokensTimesHiddenTimesTheWire) {
  const BoundaryShape shape{.tokens = 6, .hidden = 10};
  EXPECT_EQ(codec_of<float>("")->bounds(shape).forward, 6 * 10 * 4);
  EXPECT_EQ(codec_of<float>("wire = 'bfloat16'")->bounds(shape).backward, 6 * 10 * 2);
  EXPECT_EQ(codec_of<double>("wire = 'float64'")->bounds(shape).forward, 6 * 10 * 8);
  EXPECT_EQ(codec_of<float>("")->bounds(shape).sync_up, 0);
  EXPECT_EQ(codec_of<float>("")->bounds(shape).sync_down, 0);
}

TEST(Wire, PartsOfAMessageFollowEachOther) {
  const ExecutionSpace exec;
  const auto a = test::random_matrix<float>(exec, 2, 4, 3);
  const auto b = test::random_matrix<float>(exec, 3, 5, 4);
  const Message message = message_of(2 * 4 * 2 + 3 * 5 * 4);
  const std::int64_t middle = pack<float>(exec, message.bytes, 0, a, Wire::bfloat16);
  EXPECT_EQ(middle, 16);
  EXPECT_EQ(pack<float>(exec, message.bytes, middle, b, Wire::float32), 76);
  const Matrix<float> read("strait::test::read", 3, 5);
  EXPECT_EQ(unpack(exec, read, message.bytes, middle, Wire::float32), 76);
  EXPECT_EQ(test::relative_difference(exec, read, b), 0.0);
}

TEST(CodecDeck, RefusesWhatItDoesNotKnow) {
  test::expect_error(ExitCode::deck, "deck:2:1: [codec] name", [] { codec_of<float>("name = 'zip'"); });
  test::expect_error(ExitCode::deck, "[codec] wire", [] { codec_of<float>("wire = 'float64'"); });
  test::expect_error(ExitCode::deck, "rank", [] { codec_of<float>("rank = 4"); });
}

}  // namespace
}  // namespace strait::codec
