// Parameters in files.
#include "strait/model/parameter_io.hpp"

#include "support/expect_error.hpp"
#include "support/llama.hpp"
#include "support/temporary_directory.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace strait::model {
namespace {

ParameterLayout small_layout(bool shared_table) {
  ParameterLayout layout;
  layout.add("model.layers.0.input_layernorm.weight", ParameterRole::gain, 1, 4);
  layout.add("model.layers.0.mlp.down_proj.weight", ParameterRole::matrix, 4, 3);
  layout.add("model.embed_tokens.weight", ParameterRole::embedding, 5, 4, shared_table);
  return layout;
}

TEST(ParameterFile, HasHuggingFacesShapesAndReadsBack) {
  const ExecutionSpace exec;
  const test::TemporaryDirectory folder;
  const auto layout = small_layout(false);
  const auto saved = test::lively_weights<float>(exec, layout);
  auto file = io::File::create(folder.file("model.h5"));
  save_parameters(exec, file.root().create_group("parameters"), layout, saved);
  file.close();

  const auto read = io::File::open(folder.file("model.h5"));
  const auto group = read.root().group("parameters");
  EXPECT_EQ(group.dataset("model.layers.0.input_layernorm.weight").shape(), io::Shape{4});
  EXPECT_EQ(group.dataset("model.layers.0.mlp.down_proj.weight").shape(), (io::Shape{4, 3}));
  // On another cut the table may be a copy: it is read all the same.
  const auto other = small_layout(true);
  const Vector<float> loaded("strait::test::loaded", other.size());
  load_parameters(exec, group, other, loaded);
  EXPECT_EQ(test::relative_difference(exec, loaded, saved), 0.0);
}

TEST(ParameterFile, LeavesCopiesOutAndMissesWhatIsNotThere) {
  const ExecutionSpace exec;
  const test::TemporaryDirectory folder;
  const auto layout = small_layout(true);
  const auto weights = test::lively_weights<double>(exec, layout);
  auto file = io::File::create(folder.file("model.h5"));
  save_parameters(exec, file.root(), layout, weights);
  EXPECT_THAT(file.root().children(), testing::SizeIs(2));
  test::expect_error(ExitCode::io, "model.embed_tokens.weight",
                     [&] { load_parameters(exec, file.root(), layout, weights); });
}

TEST(ParameterFile, AnchorsOfANewBoundaryKeepTheirValues) {
  const ExecutionSpace exec;
  const test::TemporaryDirectory folder;
  auto layout = small_layout(false);
  auto file = io::File::create(folder.file("model.h5"));
  save_parameters(exec, file.root(), layout, test::lively_weights<float>(exec, layout));

  layout.add("anchor", ParameterRole::anchor, 2, 2);
  const Vector<float> loaded("strait::test::loaded", layout.size());
  Kokkos::deep_copy(exec, loaded, 3.0f);
  load_parameters(exec, file.root(), layout, loaded);
  const auto values = to_host(exec, loaded);
  for (std::int64_t i = layout.size() - 4; i < layout.size(); ++i) EXPECT_EQ(values(i), 3.0f);
  EXPECT_NE(values(0), 3.0f);
}

}  // namespace
}  // namespace strait::model
