// Logits, loss and every gradient against PyTorch's (tests/reference/llama_twin.py).
#include "strait/model/parameter_io.hpp"
#include "strait/model/stage.hpp"

#include "reference/golden.hpp"
#include "support/llama.hpp"

#include <gtest/gtest.h>

#include <string>

namespace strait::model {
namespace {

template <class T>
constexpr double tolerance = std::is_same_v<T, float> ? 1e-5 : 1e-10;  ///< of a tensor's largest value

/// Host values of a golden dataset as a device vector.
template <class T>
Vector<T> golden_vector(const ExecutionSpace& exec, const io::Group& group, const std::string& name,
                        std::int64_t offset, std::int64_t size) {
  const auto values = group.read<T>(name);
  const Vector<T> result("strait::test::golden", size);
  auto host = to_host(exec, result);
  for (std::int64_t i = 0; i < size; ++i) host(i) = values.at(offset + i);
  to_device(exec, result, host);
  return result;
}

void read_ids(const ExecutionSpace& exec, const io::Group& group, const std::string& name,
              const MutableTokenIds& ids) {
  const auto values = group.read<std::int32_t>(name);
  auto host = to_host(exec, ids);
  ASSERT_EQ(values.size(), host.size());
  std::copy(values.begin(), values.end(), host.data());
  to_device(exec, ids, host);
}

template <class T>
void compare(const std::string& name) {
  SCOPED_TRACE(name);
  const ExecutionSpace exec;
  const test::Golden golden(name);
  Stage<T> stage(exec, golden.config, golden.whole_model(), {.sequences = golden.sequences});
  const Vector<T> weights("strait::test::weights", stage.layout().size());
  load_parameters<T>(exec, golden.root.group("parameters"), stage.layout(), weights);
  read_ids(exec, golden.root, "tokens", stage.ids(0));
  read_ids(exec, golden.root, "targets", stage.targets(0));

  stage.forward(0, weights);
  const std::int64_t vocab = golden.config.vocab;
  for (std::int64_t position = 0; position < golden.config.context; ++position) {
    const auto logits = stage.logits(0, position, weights);
    const Vector<T> row(logits.data(), vocab);
    EXPECT_LT(test::relative_difference(
                  exec, row, golden_vector<T>(exec, golden.root, "logits", position * vocab, vocab)),
              tolerance<T>)
        << "position " << position;
  }

  const auto tokens = static_cast<double>(stage.tokens());
  const double loss = golden.root.read<double>("loss").at(0);
  EXPECT_NEAR(stage.evaluate(0, weights) / tokens, loss, tolerance<T> * loss);
  stage.backward(0, weights, 1.0 / tokens);
  EXPECT_NEAR(stage.take_loss() / tokens, loss, tolerance<T> * loss);
  for (const auto& info : stage.layout().entries()) {
    const Vector<T> gradient(stage.gradients().data() + info.offset, info.size());
    const auto expected = golden_vector<T>(exec, golden.root.group("gradients"), info.name, 0, info.size());
    EXPECT_LT(test::relative_difference(exec, gradient, expected), tolerance<T>) << info.name;
  }
  EXPECT_EQ(golden.root.group("gradients").children().size(), stage.layout().entries().size());
}

template <class T>
class Twin : public ::testing::Test {};
using Scalars = ::testing::Types<float, double>;
TYPED_TEST_SUITE(Twin, Scalars);

TYPED_TEST(Twin, WithOneKeyPerQueryAndOwnHead) { compare<TypeParam>("mha_untied"); }
TYPED_TEST(Twin, WithGroupedQueriesAndTiedHead) { compare<TypeParam>("gqa_tied"); }

}  // namespace
}  // namespace strait::model
