#include "strait/core/version.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace strait {
namespace {

using ::testing::HasSubstr;
using ::testing::MatchesRegex;
using ::testing::Not;

TEST(Version, NamesEveryPart) {
  EXPECT_THAT(version(), MatchesRegex("[0-9]+\\.[0-9]+\\.[0-9]+"));
  EXPECT_THAT(git_hash(), MatchesRegex("[0-9a-f]{40}(-dirty)?|unknown"));
  EXPECT_THAT(kokkos_summary(), MatchesRegex("[0-9]+\\.[0-9]+\\.[0-9]+ [A-Za-z]+"));
  EXPECT_THAT(mpi_summary(), HasSubstr("MPI"));
  for (const std::string& part : {version(), git_hash(), kokkos_summary(), mpi_summary()}) {
    EXPECT_THAT(version_summary(), HasSubstr(part));
  }
  EXPECT_THAT(version_summary(), Not(HasSubstr("\n")));
}

}  // namespace
}  // namespace strait
