// Keys, messages and equations of the quantised boundary.
#include "strait/codec/rvq.hpp"

#include "strait/kernels/matmul.hpp"

#include "../../src/codec/projection_receiver.hpp"
#include "../../src/codec/projection_sender.hpp"
#include "support/codec_ends.hpp"
#include "support/expect_error.hpp"
#include "support/llama.hpp"

#include <gtest/gtest.h>

#include <set>

namespace strait::codec {
namespace {

constexpr int hidden = 64;

ProjectionOptions read_deck(const std::string& text) {
  const Deck deck = Deck::from_string("[codec]\nname = 'mapl'\nrank = 32\n" + text, "deck");
  Table table = deck.table("codec");
  const auto options = projection_from_deck<float>("mapl", table, hidden);
  table.choice("name", {"mapl"}, "");
  deck.finish();
  return options;
}

TEST(RvqDeck, IsOnWhereTheTableHasKeys) {
  EXPECT_FALSE(read_deck("").rvq.has_value());
  const auto rvq = read_deck("[codec.rvq]\ngroups = 4\nrounds = 2\ncodewords = 300").rvq;
  ASSERT_TRUE(rvq.has_value());
  EXPECT_FALSE(rvq->published.has_value());
  EXPECT_FALSE(rvq->decay.has_value());
  EXPECT_EQ(rvq->backward, GradientFormat::bfloat16);
  const auto other = read_deck(
      "[codec.rvq]\ngroups = 4\nrounds = 2\ncodewords = 300\nfraction = 0.1\nbackward = 'int8'\n"
      "dropout = 0.5\ncommitment = 0.25\ndead = 0.0\nchecksum_interval = 1\ndecay = 0.97");
  EXPECT_EQ(other.rvq->decay, 0.97);
  EXPECT_EQ(other.rvq->published, 30);
  EXPECT_EQ(other.rvq->backward, GradientFormat::int8);
  EXPECT_EQ(other.rvq->dropout, 0.5);
}

TEST(RvqDeck, RefusesWhatCannotBe) {
  const auto refused = [](const std::string& words, const std::string& text) {
    test::expect_error(ExitCode::deck, words, [&] { read_deck("[codec.rvq]\n" + text); });
  };
  refused("[codec.rvq] groups: is 5, expected a divisor of codec.rank = 32",
          "groups = 5\nrounds = 1\ncodewords = 8");
  refused("[codec.rvq] groups", "groups = 0\nrounds = 1\ncodewords = 8");
  refused("[codec.rvq] rounds", "groups = 4\nrounds = 0\ncodewords = 8");
  for (const char* codewords : {"0", "1", "65537"}) {
    refused("[codec.rvq] codewords", std::string("groups = 4\nrounds = 1\ncodewords = ") + codewords);
  }
  refused("[codec.rvq] groups", "rounds = 1\ncodewords = 8");
  refused("[codec.rvq] fraction", "groups = 4\nrounds = 1\ncodewords = 8\nfraction = 0.0");
  refused("[codec.rvq] dropout", "groups = 4\nrounds = 1\ncodewords = 8\ndropout = 0.5");
  refused("[codec.rvq] backward", "groups = 4\nrounds = 1\ncodewords = 8\nbackward = 'int4'");
}

TEST(RvqDeck, PublishesTheCodebookInAStepWhereItCostsLittle) {
  RvqOptions rvq;
  rvq.rounds = 2;
  rvq.codewords = 256;
  const std::int64_t one = 2 * 128 * 2;  // a codeword of each group and round in bfloat16
  const auto published = [&](std::int64_t micro_batches, std::int64_t payload) {
    return rvq_published(rvq, 128, Wire::bfloat16, micro_batches, payload);
  };
  EXPECT_EQ(published(32, 1 << 30), 8);
  EXPECT_EQ(published(3, 1 << 30), 86);
  EXPECT_EQ(published(512, 1 << 30), 1);
  EXPECT_EQ(published(32, 200 * one), 3);
  EXPECT_EQ(published(32, 200 * one - 1), 2);
  EXPECT_EQ(published(32, 10), 2) << "a quarter of it";
  EXPECT_EQ(published(4, 10), 16);
  rvq.published = 40;
  EXPECT_EQ(published(32, 10), 40);
}

TEST(RvqDeck, AveragesOverAsManyTokensWhateverAStepHas) {
  RvqOptions rvq;
  rvq.codewords = 256;
  EXPECT_EQ(rvq_decay(rvq, 2048), 0.875);
  EXPECT_EQ(rvq_decay(rvq, 32768), 0.5);
  EXPECT_EQ(rvq_decay(rvq, 32), 0.99);
  rvq.decay = 0.3;
  EXPECT_EQ(rvq_decay(rvq, 2048), 0.3);
}

ProjectionOptions options_of(AnchorKind anchors, GradientFormat backward) {
  ProjectionOptions options;
  options.rank = 32;
  options.wire = Wire::float32;
  options.anchors = anchors;
  RvqOptions rvq;
  rvq.groups = 4;
  rvq.rounds = 3;
  rvq.codewords = 20;
  rvq.published = 3;
  rvq.backward = backward;
  rvq.checksum_interval = 2;
  options.rvq = rvq;
  return options;
}

constexpr BoundaryShape shape{.tokens = 50, .hidden = hidden, .vocab = 100, .micro_batches = 2};

/// Both ends with ids, and messages by the number of the micro-batch.
template <class T>
struct Quantised : test::CodecEnds<T> {
  using Base = test::CodecEnds<T>;
  explicit Quantised(const ProjectionOptions& options, const BoundaryShape& s = shape)
      : Base(ExecutionSpace(), ProjectionCodec<T>(options), s),
        y("strait::test::y", s.tokens, s.hidden),
        dx("strait::test::dx", s.tokens, s.hidden) {
    test::fill_ids(Base::exec, Base::sent_ids, s.vocab, 3);
  }
  Context of(const MutableTokenIds& ids, std::int64_t micro_batch, bool training = true) const {
    Context context;
    context.ids = ids;
    context.micro_batch = micro_batch;
    context.training = training;
    return context;
  }
  void encode(std::int64_t micro_batch, ConstMatrix<T> x, bool training = true) {
    Base::forward.sync_size = 0;
    Base::sender->encode(Base::exec, of(Base::sent_ids, micro_batch, training), x, Base::forward);
  }
  void decode(std::int64_t micro_batch, bool training = true) {
    Base::receiver->decode(Base::exec, of(Base::received_ids, micro_batch, training), Base::forward, y);
  }
  void back(std::int64_t micro_batch, ConstMatrix<T> dy) {
    Base::receiver->encode_gradient(Base::exec, of(Base::received_ids, micro_batch), dy, Base::backward);
    Base::sender->decode_gradient(Base::exec, of(Base::sent_ids, micro_batch), Base::backward, dx);
  }
  const ProjectionSender<T>& own_sender() const {
    return dynamic_cast<const ProjectionSender<T>&>(*Base::sender);
  }
  const ProjectionReceiver<T>& own_receiver() const {
    return dynamic_cast<const ProjectionReceiver<T>&>(*Base::receiver);
  }
  Matrix<T> y, dx;
};

TEST(RvqMessages, HaveTheDocumentedBytes) {
  const ExecutionSpace exec;
  for (const AnchorKind anchors : {AnchorKind::factorized, AnchorKind::none}) {
    Quantised<float> ends(options_of(anchors, GradientFormat::bfloat16));
    const std::int64_t ids = anchors == AnchorKind::none ? 0 : 2 * 50;
    const std::int64_t indices = (50 * 4 * 3 * 5 + 7) / 8;
    for (int micro_batch = 0; micro_batch < 9; ++micro_batch) {
      const auto x = test::random_matrix<float>(exec, 50, hidden, 10 + micro_batch);
      ends.encode(micro_batch, x, false);
      EXPECT_EQ(ends.forward.size, ids + indices) << "validation carries no codewords";
      EXPECT_EQ(ends.forward.sync_size, 0);
      ends.decode(micro_batch, false);
      ends.encode(micro_batch, x);
      const std::int64_t words = (micro_batch == 0 ? 20 : 3) * 3 * 32 * 4;
      const std::int64_t checksum = micro_batch % 4 == 0 ? 8 : 0;
      EXPECT_EQ(ends.forward.sync_size, words + checksum);
      EXPECT_EQ(ends.forward.size, ids + indices + words + checksum);
      ends.decode(micro_batch);
      ends.back(micro_batch, x);
      EXPECT_EQ(ends.backward.size, 50 * 32 * 2);
      const auto sent = to_host(exec, ends.sent_ids), received = to_host(exec, ends.received_ids);
      for (int t = 0; ids > 0 && t < 50; ++t) EXPECT_EQ(sent(t), received(t));
      ends.update(0);
    }
  }
}

TEST(RvqMessages, CarryIdsThatAreWiderThanCodewordsNumbers) {
  const ExecutionSpace exec;
  auto options = options_of(AnchorKind::factorized, GradientFormat::bfloat16);
  options.wire = Wire::bfloat16;
  BoundaryShape large = shape;
  large.vocab = 70000;
  Quantised<float> ends(options, large);
  for (int micro_batch = 0; micro_batch < 3; ++micro_batch) {
    ends.encode(micro_batch, test::random_matrix<float>(exec, 50, hidden, 10 + micro_batch));
    EXPECT_EQ(ends.forward.size - ends.forward.sync_size, 4 * 50 + (50 * 4 * 3 * 5 + 7) / 8);
    ends.decode(micro_batch);
    const auto sent = to_host(exec, ends.sent_ids), received = to_host(exec, ends.received_ids);
    for (int t = 0; t < 50; ++t) ASSERT_EQ(sent(t), received(t));
    EXPECT_EQ(ends.own_sender().quantiser()->published().checksum(exec),
              ends.own_receiver().quantiser()->published().checksum(exec));
  }
}

TEST(RvqMessages, DropoutShortensThemAtBothEnds) {
  const ExecutionSpace exec;
  auto options = options_of(AnchorKind::none, GradientFormat::bfloat16);
  options.rvq->dropout = 0.5;
  Quantised<double> ends(options);
  std::set<std::int64_t> sizes;
  double errors[4] = {};
  for (int micro_batch = 0; micro_batch < 60; ++micro_batch) {
    const auto x = test::random_matrix<double>(exec, 50, hidden, 10 + micro_batch);
    ends.encode(micro_batch, x);
    const std::int64_t indices = ends.forward.size - ends.forward.sync_size;
    sizes.insert(indices);
    EXPECT_TRUE(micro_batch > 0 || indices == (50 * 4 * 3 * 5 + 7) / 8);
    ends.decode(micro_batch);
    const int rounds = static_cast<int>((indices * 8) / (50 * 4 * 5));
    const double error = test::relative_difference(exec, ends.y, x);
    errors[rounds] = std::max(errors[rounds], error);
    ends.update(0);
  }
  EXPECT_EQ(sizes, (std::set<std::int64_t>{125, 250, 375}));
}

TEST(RvqCodebooks, AFlippedBitIsDetected) {
  const ExecutionSpace exec;
  for (const int damaged : {0, 1, 3}) {
    Quantised<float> ends(options_of(AnchorKind::factorized, GradientFormat::bfloat16));
    const auto run = [&] {
      for (int micro_batch = 0; micro_batch < 100; ++micro_batch) {
        const auto x = test::random_matrix<float>(exec, 50, hidden, 10 + micro_batch);
        ends.encode(micro_batch, x);
        if (micro_batch == damaged) {
          auto host = to_host(exec, ends.forward.bytes);
          host(8 + 41) ^= 4;  // in a codeword
          to_device(exec, ends.forward.bytes, host);
        }
        ends.decode(micro_batch);
      }
    };
    test::expect_error(ExitCode::numerical, "boundary 0: the codebooks of the activations", run);
  }
}

TEST(RvqCodebooks, ValidationChangesNothing) {
  const ExecutionSpace exec;
  Quantised<float> ends(options_of(AnchorKind::none, GradientFormat::rvq));
  const auto x = test::random_matrix<float>(exec, 50, hidden, 1);
  ends.encode(0, x);
  ends.decode(0);
  const auto before = ends.own_sender().quantiser()->published().checksum(exec);
  ends.encode(0, test::random_matrix<float>(exec, 50, hidden, 2), false);
  ends.decode(0, false);
  EXPECT_EQ(ends.own_sender().quantiser()->published().checksum(exec), before);
  EXPECT_EQ(ends.own_receiver().quantiser()->published().checksum(exec), before);
}

TEST(RvqCodebooks, FollowTheActivations) {
  // Activations from a low-dimensional cloud: after some steps the error has fallen, and every round lessens
  // it.
  const ExecutionSpace exec;
  auto options = options_of(AnchorKind::none, GradientFormat::bfloat16);
  options.rvq->decay = 0.8;
  Quantised<float> ends(options);
  const auto basis = test::random_matrix<float>(exec, 3, hidden, 1);
  const auto cloud = [&](std::uint64_t seed) {
    const Matrix<float> x("strait::test::x", 50, hidden);
    kernels::matmul<float>(exec, x, test::random_matrix<float>(exec, 50, 3, seed), basis);
    return x;
  };
  std::vector<double> first, last;
  for (int step = 0; step < 60; ++step) {
    const auto x = cloud(100 + step);
    ends.encode(step, x);
    ends.decode(step);
    last = ends.sender->diagnose(exec);
    if (step == 1) first = last;
    ends.update(step);
  }
  const std::size_t error = 4 + 2;  // behind those of the projector, perplexity and dead codewords
  ASSERT_EQ(last.size(), error + 3);
  EXPECT_EQ(ProjectionCodec<float>(options).diagnostics().size(), last.size());
  EXPECT_LT(last[error + 2], 0.9 * first[error + 2]);
  EXPECT_LT(last[error], 1.0);
  EXPECT_LT(last[error + 1], last[error]);
  EXPECT_LT(last[error + 2], last[error + 1]);
  EXPECT_GT(last[4], 1.0);
  EXPECT_LE(last[4], 20.0);
}

TEST(RvqGradients, PassStraightThrough) {
  const ExecutionSpace exec;
  Quantised<float> ends(options_of(AnchorKind::none, GradientFormat::bfloat16));
  auto plain_options = options_of(AnchorKind::none, GradientFormat::bfloat16);
  plain_options.rvq.reset();
  Quantised<float> plain(plain_options);
  const auto x = test::random_matrix<float>(exec, 50, hidden, 1);
  const auto dy = test::random_matrix<float>(exec, 50, hidden, 2);
  for (auto* each : {&ends, &plain}) {
    each->encode(0, x);
    each->decode(0);
    each->back(0, dy);
  }
  EXPECT_LT(test::relative_difference(exec, ends.dx, plain.dx), 1e-2);  // bfloat16
  EXPECT_GT(test::relative_difference(exec, ends.y, plain.y), 1e-2);    // quantised
}

TEST(RvqGradients, CommitmentPullsTowardsTheCodewords) {
  const ExecutionSpace exec;
  auto options = options_of(AnchorKind::none, GradientFormat::bfloat16);
  options.rvq->rounds = 1;
  options.rvq->commitment = 0.5;
  Quantised<double> ends(options);
  const auto x = test::random_matrix<double>(exec, 50, hidden, 1);
  ends.encode(0, x);
  ends.decode(0);
  const Matrix<double> zero("strait::test::zero", 50, hidden);
  ends.back(0, zero);
  // The part of x that travels less what arrives, both in the subspace: A A^T x - y = A (z - q).
  auto plain_options = options;
  plain_options.rvq.reset();
  plain_options.wire = Wire::float64;
  Quantised<double> plain(plain_options);
  plain.encode(0, x);
  plain.decode(0);
  const auto kept = to_host(exec, plain.y), arrived = to_host(exec, ends.y), found = to_host(exec, ends.dx);
  const double weight = 2.0 * 0.5 / (50.0 * 2 * 32);
  for (int t = 0; t < 50; ++t) {
    for (int j = 0; j < hidden; ++j) {
      EXPECT_NEAR(found(t, j), weight * (kept(t, j) - arrived(t, j)), 1e-12);
    }
  }
}

TEST(RvqCodebooks, MoreCodewordsThanTokensAreRefused) {
  auto options = options_of(AnchorKind::none, GradientFormat::bfloat16);
  options.rvq->codewords = 51;
  test::expect_error(ExitCode::deck, "codec.rvq.codewords = 51 is more than the 50 tokens",
                     [&] { ProjectionCodec<float>(options).bounds(shape); });
}

TEST(RvqBytes, ReachTheRatioAtFourTimesLessRank) {
  // Of messages as they are made, against `none` on a bfloat16 wire: 32,768 tokens a step in 32
  // micro-batches.
  constexpr BoundaryShape wide{.tokens = 1024, .hidden = 512, .vocab = 32000, .micro_batches = 32};
  const ExecutionSpace exec;
  for (const auto& [backward, ratio] :
       {std::pair<GradientFormat, double>{GradientFormat::bfloat16, 7.2}, {GradientFormat::int8, 12.0}}) {
    ProjectionOptions options;
    options.rank = 128;
    options.wire = Wire::bfloat16;
    options.rule = "spel";
    RvqOptions rvq;
    rvq.groups = 8;
    rvq.rounds = 2;
    rvq.codewords = 256;
    rvq.backward = backward;
    options.rvq = rvq;
    Quantised<float> ends(options, wide);
    const auto x = test::random_matrix<float>(exec, wide.tokens, wide.hidden, 1);
    double bytes = 0.0;
    for (int micro_batch = 0; micro_batch < 5; ++micro_batch) {
      ends.encode(micro_batch, x);
      ends.decode(micro_batch);
      ends.back(micro_batch, x);
      if (micro_batch == 0) continue;  // the whole codebook, once in a run
      bytes += wide.micro_batches / 4.0 * static_cast<double>(ends.forward.size + ends.backward.size);
    }
    const double exchange = 2.0 * 512 * 128 * 4;
    bytes += exchange / static_cast<double>(projector_interval(options, wide, 4)) + 8.0;
    EXPECT_GE(32768.0 * 512 * 2 * 2 / bytes, ratio);
  }
}

}  // namespace
}  // namespace strait::codec
