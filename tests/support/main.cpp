// The main of every test executable: GoogleTest inside MPI and Kokkos. A failure on any rank fails the test,
// since the launcher returns the worst exit code.
#include "strait/core/environment.hpp"

#include <gtest/gtest.h>

int main(int argc, char** argv) {
  const strait::Environment environment(argc, argv);
  ::testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
