#include "strait/pipeline/reduction.hpp"

namespace strait::pipeline {

void Reduction::start(const RankRecord& record) {
  std::vector<double> numbers = {record.loss, static_cast<double>(record.vote),
                                 static_cast<double>(record.token)};
  numbers.insert(numbers.end(), record.sums_of_squares.begin(), record.sums_of_squares.end());
  gathers_.push_back(transport_.start_gather(numbers));
}

std::optional<std::vector<RankRecord>> Reduction::finish() {
  std::vector<double> numbers;
  if (!transport_.gather_done(gathers_.front(), numbers)) return std::nullopt;
  gathers_.pop_front();
  const std::size_t length = numbers.size() / transport_.size();
  std::vector<RankRecord> records;
  for (auto entry = numbers.begin(); entry != numbers.end(); entry += length) {
    records.push_back({entry[0], static_cast<int>(entry[1]), static_cast<std::int32_t>(entry[2]),
                       std::vector<double>(entry + 3, entry + length)});
  }
  return records;
}

}  // namespace strait::pipeline
