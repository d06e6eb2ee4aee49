// Keys, sizes and single ends of the codec ssn.
#include "strait/codec/subspace.hpp"

#include "support/codec_ends.hpp"
#include "support/expect_error.hpp"
#include "support/tensors.hpp"

#include <gtest/gtest.h>

namespace strait::codec {
namespace {

constexpr int hidden = 512;

template <class T = float>
std::unique_ptr<Codec<T>> codec_of(const std::string& text, const RunFacts& facts = {}) {
  const Deck deck = Deck::from_string("[codec]\nname = 'ssn'\n" + text, "deck");
  auto codec = codec_from_deck<T>(deck.table("codec"), hidden, facts);
  deck.finish();
  return codec;
}

TEST(SubspaceDeck, GivesTheBytesOfEveryMessage) {
  const BoundaryShape shape{.tokens = 1024, .hidden = hidden, .vocab = 32000, .micro_batches = 2};
  const MessageBounds bounds = codec_of("rank = 64")->bounds(shape);
  EXPECT_EQ(bounds.forward, 1024 * 64 * 4 + 1024 * 2);
  EXPECT_EQ(bounds.backward, 1024 * 64 * 4);
  EXPECT_EQ(bounds.sync_up + bounds.sync_down, 0);
  const MessageBounds narrow =
      codec_of("rank = 64\nwire = 'bfloat16'\ngrassmann_interval = 500")->bounds(shape);
  EXPECT_EQ(narrow.forward, 1024 * 64 * 2 + 1024 * 2);
  EXPECT_EQ(narrow.backward, 1024 * 64 * 2);
  EXPECT_EQ(narrow.sync_up, hidden * 64 * 4);
  EXPECT_EQ(narrow.sync_down, 0);
}

TEST(SubspaceDeck, RefusesWhatCannotBe) {
  const auto refused = [](const std::string& place, const std::string& text, const RunFacts& facts = {}) {
    test::expect_error(ExitCode::deck, place, [&] { codec_of(text, facts); });
  };
  refused("[codec] rank", "");
  refused("deck:3:1: [codec] rank: is 513, expected 1 to 512", "rank = 513");
  refused("[codec] rank: is 0", "rank = 0");
  refused("[codec] anchors: is a key of mapl, fixed, unconstrained; codec ssn", "rank = 4\nanchors = 'none'");
  refused("[codec] projector_interval", "rank = 4\nprojector_interval = 3");
  refused("[codec] grassmann_interval: is -1", "rank = 4\ngrassmann_interval = -1");
  refused("[codec] grassmann_rate: is given", "rank = 4\ngrassmann_rate = 0.5");
  refused("[codec] table_deviation", "rank = 4\ntable_deviation = -1.0");
  refused("[codec] name: is ssn, expected model.tie_embeddings = false", "rank = 4",
          {.tied_embeddings = true});
  refused("[codec] grassmann_interval: is 5, expected 0 with an asynchronous schedule",
          "rank = 4\ngrassmann_interval = 5", {.synchronous = false});
  codec_of("rank = 4", {.synchronous = false});
  for (const std::string key : {"table_deviation = 0.1", "grassmann_interval = 5", "grassmann_rate = 0.5"}) {
    const Deck deck = Deck::from_string("[codec]\nname = 'mapl'\nrank = 4\n" + key, "deck");
    test::expect_error(ExitCode::deck, "is a key of ssn; codec mapl",
                       [&] { codec_from_deck<float>(deck.table("codec"), hidden); });
  }
}

TEST(SubspaceEnds, KeepWhatLiesInTheSubspaceAndTheFrozenRow) {
  const ExecutionSpace exec;
  const BoundaryShape shape{.tokens = 5, .hidden = 16, .vocab = 9};
  SubspaceOptions options;
  options.rank = 6;
  options.wire = Wire::float64;
  const SubspaceCodec<double> codec(options);
  test::CodecEnds<double> ends(exec, codec, shape);
  auto ids = to_host(exec, ends.sent_ids);
  for (int t = 0; t < 5; ++t) ids(t) = (3 * t) % 9;
  to_device(exec, ends.sent_ids, ids);
  const Matrix<double> once("strait::test::once", 5, 16), twice("strait::test::twice", 5, 16),
      back("strait::test::back", 5, 16), again("strait::test::again", 5, 16);
  const auto x = test::random_matrix<double>(exec, 5, 16, 1);
  ends.send(x, once);
  const auto received = to_host(exec, ends.received_ids);
  for (int t = 0; t < 5; ++t) EXPECT_EQ(received(t), ids(t));
  EXPECT_GT(test::relative_difference(exec, once, x), 0.1);
  ends.send(once, twice);
  EXPECT_LT(test::relative_difference(exec, twice, once), 1e-14);
  ends.send_back(x, back);
  ends.send_back(back, again);
  EXPECT_LT(test::relative_difference(exec, again, back), 1e-14);
  // The backward is the forward's transpose: <y, X'(x) - X'(0)> = <dX(y), x>.
  const auto y = test::random_matrix<double>(exec, 5, 16, 2);
  const Matrix<double> zero("strait::test::zero", 5, 16);
  ends.send(zero, twice);
  ends.send_back(y, back);
  EXPECT_NEAR(test::inner_product(exec, y, once) - test::inner_product(exec, y, twice),
              test::inner_product(exec, back, x), 1e-12);
}

}  // namespace
}  // namespace strait::codec
