#pragma once
// Expectations about the errors that users see.

#include "strait/core/error.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace strait::test {

/// Runs `body`, which must throw an Error with `code` and a single line that contains `part`.
template <class Body>
void expect_error(ExitCode code, const std::string& part, const Body& body) {
  try {
    body();
    ADD_FAILURE() << "no error, expected one with: " << part;
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code) << error.what();
    EXPECT_THAT(error.what(), testing::HasSubstr(part));
    EXPECT_THAT(error.what(), testing::Not(testing::HasSubstr("\n")));
  }
}

}  // namespace strait::test
