// Keys, sizes and intervals of the codecs that project.
#include "strait/codec/projection.hpp"

#include "support/codec_ends.hpp"
#include "support/expect_error.hpp"
#include "support/tensors.hpp"

#include <gtest/gtest.h>

namespace strait::codec {
namespace {

constexpr int hidden = 512;

template <class T = float>
std::unique_ptr<Codec<T>> codec_of(const std::string& text) {
  const Deck deck = Deck::from_string("[codec]\n" + text, "deck");
  auto codec = codec_from_deck<T>(deck.table("codec"), hidden);
  deck.finish();
  return codec;
}

BoundaryShape shape_of(std::int64_t tokens_per_step, int vocab = 32000) {
  return {.tokens = 1024,
          .hidden = hidden,
          .vocab = vocab,
          .micro_batches = static_cast<int>(tokens_per_step / 1024)};
}

ProjectionOptions narrow() {
  ProjectionOptions options;
  options.rank = hidden / 8;
  options.wire = Wire::bfloat16;
  options.rule = "spel";
  return options;
}

TEST(ProjectionDeck, ReadsWhatTheThreeCodecsHaveInCommon) {
  for (const std::string name : {"mapl", "fixed", "unconstrained"}) {
    for (const std::string anchors : {"factorized", "full", "static", "none"}) {
      const auto codec = codec_of("name = '" + name + "'\nrank = 64\nanchors = '" + anchors + "'");
      const std::int64_t ids = anchors == "none" ? 0 : 2 * 1024;
      const MessageBounds bounds = codec->bounds(shape_of(2048));
      EXPECT_EQ(bounds.forward, 1024 * 64 * 4 + ids);
      EXPECT_EQ(bounds.backward, 1024 * 64 * 4);
      EXPECT_EQ(bounds.sync_up, name == "fixed" ? 0 : hidden * 64 * 4);
      EXPECT_EQ(bounds.sync_down, bounds.sync_up);
    }
  }
}

TEST(ProjectionDeck, RefusesWhatCannotBe) {
  const auto refused = [](const std::string& place, const std::string& text) {
    test::expect_error(ExitCode::deck, place, [&] { codec_of(text); });
  };
  refused("deck:3:1: [codec] rank: is 513, expected 1 to 512", "name = 'mapl'\nrank = 513");
  refused("[codec] rank: is 0", "name = 'mapl'\nrank = 0");
  refused("[codec] rank", "name = 'mapl'");
  refused("[codec] projector: is a key of mapl; codec fixed", "name = 'fixed'\nrank = 4\nprojector = 'spel'");
  refused("[codec] rank: is a key of mapl, fixed, unconstrained, ssn; codec none", "rank = 4");
  refused("[codec] projector_interval", "name = 'mapl'\nrank = 4\nprojector_interval = 0");
  refused("[codec] anchor_init", "name = 'mapl'\nrank = 4\nanchors = 'static'\nanchor_init = 'embedding'");
  refused("[codec] anchors", "name = 'mapl'\nrank = 4\nanchors = 'some'");
}

TEST(ProjectionInterval, IsTheSmallestWithinTwoPercent) {
  for (const std::int64_t tokens : {1024, 2048, 8192, 32768, 1048576}) {
    const BoundaryShape shape = shape_of(tokens);
    const std::int64_t interval = projector_interval(narrow(), shape, 4);
    const ProjectionBytes bytes = projection_bytes(narrow(), shape, 4);
    const auto share = [&](std::int64_t steps) {
      return static_cast<double>(bytes.sync_up + bytes.sync_down) /
             static_cast<double>(steps * shape.micro_batches * (bytes.forward + bytes.backward));
    };
    EXPECT_LE(share(interval), 0.02);
    EXPECT_TRUE(interval == 1 || share(interval - 1) > 0.02);
  }
}

TEST(ProjectionInterval, KeepsTheRatio) {
  // Against `none` on the same bfloat16 wire, ids and exchange included.
  for (const auto& [tokens, ratio] : {std::pair<std::int64_t, double>{32768, 7.5}, {2048, 7.2}}) {
    const BoundaryShape shape = shape_of(tokens);
    const ProjectionBytes bytes = projection_bytes(narrow(), shape, 4);
    const double steps = static_cast<double>(projector_interval(narrow(), shape, 4));
    const double per_step = static_cast<double>(shape.micro_batches * (bytes.forward + bytes.backward)) +
                            static_cast<double>(bytes.sync_up + bytes.sync_down) / steps;
    EXPECT_GE(static_cast<double>(tokens * hidden * 2 * 2) / per_step, ratio);
  }
}

TEST(ProjectionIds, TravelInTwoBytesOrFour) {
  const ExecutionSpace exec;
  for (const int vocab : {65536, 65537}) {
    for (const Wire wire : {Wire::float32, Wire::bfloat16}) {
      ProjectionOptions options = narrow();
      options.rank = 1;  // an odd number of numbers
      options.wire = wire;
      options.anchors = AnchorKind::factorized;
      const BoundaryShape shape{.tokens = 3, .hidden = 4, .vocab = vocab};
      const ProjectionCodec<float> codec(options);
      EXPECT_EQ(codec.bounds(shape).forward, 3 * wire_bytes(wire) + 3 * (vocab == 65536 ? 2 : 4));
      test::CodecEnds<float> ends(exec, codec, shape);
      const std::vector<std::int32_t> wanted = {0, vocab - 1, 7};
      auto host = to_host(exec, ends.sent_ids);
      for (int t = 0; t < 3; ++t) host(t) = wanted[t];
      to_device(exec, ends.sent_ids, host);
      ends.send(test::random_matrix<float>(exec, 3, 4, 1), Matrix<float>("strait::test::x", 3, 4));
      EXPECT_EQ(ends.forward.size, codec.bounds(shape).forward);
      const auto found = to_host(exec, ends.received_ids);
      for (int t = 0; t < 3; ++t) EXPECT_EQ(found(t), wanted[t]);
    }
  }
}

}  // namespace
}  // namespace strait::codec
