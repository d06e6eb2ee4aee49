// Two ranks of stages in bfloat16 against the same pipeline on one rank, bit for bit.
#include "bfloat16.hpp"
#include "support/mpi_equality.hpp"

namespace strait::test {
namespace {

using Bfloat16MpiEquality = MpiEquality;

TEST_F(Bfloat16MpiEquality, SynchronousSchedulesAreBitwiseTheEmulatedOnes) {
  for (const bool stochastic : {false, true}) {
    for (const bool tied : {false, true}) {
      const PipelineCase plain{.stages = ranks_, .micro_batches = 3, .tied = tied};
      PipelineCase interleaved = plain, split = plain, replicated = plain;
      interleaved.schedule = "interleaved";
      interleaved.chunks = 2;
      split.schedule = "zb-h1";
      replicated.stages = 1;
      replicated.replicas = {ranks_};
      for (const PipelineCase& c : {plain, interleaved, split, replicated}) {
        SCOPED_TRACE(
            fmt::format("{}, {} stages, tied {}, stochastic {}", c.schedule, c.stages, tied, stochastic));
        expect_equal<float>(in_bfloat16(setup_of(c), stochastic), kept_numbers());
      }
    }
  }
}

TEST_F(Bfloat16MpiEquality, EveryCodecIsBitwiseTheEmulatedOne) {
  for (const char* text : every_codec) {
    SCOPED_TRACE(text);
    expect_equal<float>(in_bfloat16(setup_of({.stages = ranks_, .micro_batches = 3})),
                        *codec_of<float>(text));
  }
}

TEST_F(Bfloat16MpiEquality, AsynchronousSchedulesAreTheOracle) {
  for (const AsynchronousCase& c : asynchronous_cases) {
    SCOPED_TRACE(fmt::format("{}, {}", c.schedule, c.versions));
    const auto setup = in_bfloat16(asynchronous_setup(c, ranks_, ranks_ + 4));
    pipeline::Pipeline<float> pipeline(exec_, setup, kept_numbers(), MPI_COMM_WORLD);
    expect_oracle<float>(exec_, pipeline, setup, kept_numbers());
  }
}

}  // namespace
}  // namespace strait::test
