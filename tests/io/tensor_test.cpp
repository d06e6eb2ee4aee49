#include "strait/io/tensor.hpp"

#include "support/expect_error.hpp"
#include "support/temporary_directory.hpp"

#include <gtest/gtest.h>

namespace strait::io {
namespace {

TEST(Tensor, ComesBackFromAFile) {
  const ExecutionSpace exec;
  test::TemporaryDirectory directory;
  Matrix<float> weights("weights", 3, 5);
  auto host = to_host(exec, weights);
  for (int i = 0; i < 15; ++i) host.data()[i] = static_cast<float>(i) / 7;
  to_device(exec, weights, host);

  auto file = File::create(directory.file("model.h5"));
  write_tensor(file.root(), "w", exec, weights);
  write_tensor(file.root(), "columns", exec, columns(weights, 1, 3));

  Matrix<float> same("same", 3, 5);
  Matrix<double> wider("wider", 3, 5);
  Matrix<float> part("part", 3, 2);
  read_tensor(file.root(), "w", exec, same);
  read_tensor(file.root(), "w", exec, wider);
  read_tensor(file.root(), "columns", exec, part);
  const auto same_host = to_host(exec, same);
  const auto wider_host = to_host(exec, wider);
  const auto part_host = to_host(exec, part);
  for (int i = 0; i < 15; ++i) {
    EXPECT_EQ(same_host.data()[i], static_cast<float>(i) / 7);
    EXPECT_EQ(wider_host.data()[i], static_cast<float>(i) / 7);
  }
  EXPECT_EQ(part_host(2, 1), static_cast<float>(12) / 7);

  Matrix<float> turned("turned", 5, 3);
  test::expect_error(ExitCode::io, "/w: has shape [3, 5], expected [5, 3]",
                     [&] { read_tensor(file.root(), "w", exec, turned); });
}

}  // namespace
}  // namespace strait::io
