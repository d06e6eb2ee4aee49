#include "strait/pipeline/reduction.hpp"

#include <array>

namespace strait::pipeline {
namespace {

constexpr std::size_t entries = 4;

}  // namespace

void Reduction::start(const RankRecord& record) {
  const std::array<double, entries> numbers = {record.sum_of_squares, record.loss,
                                               static_cast<double>(record.vote),
                                               static_cast<double>(record.token)};
  transport_.start_gather(numbers);
  started_ = true;
}

std::optional<std::vector<RankRecord>> Reduction::finish() {
  std::vector<double> numbers;
  if (!transport_.gather_done(numbers)) return std::nullopt;
  started_ = false;
  std::vector<RankRecord> records;
  for (std::size_t i = 0; i < numbers.size(); i += entries) {
    records.push_back({numbers[i], numbers[i + 1], static_cast<int>(numbers[i + 2]),
                       static_cast<std::int32_t>(numbers[i + 3])});
  }
  return records;
}

}  // namespace strait::pipeline
