#include "bpe_model.hpp"

#include "utf8.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <stdexcept>

namespace strait::data {
namespace {

[[noreturn]] void refuse(const std::string& message) { throw std::runtime_error(message); }

/// The lowest rank first, the leftmost among equals.
constexpr auto later = [](const auto& a, const auto& b) {
  return a.rank != b.rank ? a.rank > b.rank : a.position > b.position;
};

}  // namespace

BpeModel::BpeModel(BpeRules rules) : rules_(std::move(rules)), ranks_(rules_.merges.size()) {
  for (int byte = 0; byte < 256; ++byte) {
    const auto i = static_cast<std::size_t>(byte);
    single_[i] = rules_.bytes || byte < 128 ? id_of(std::string(1, static_cast<char>(byte))) : -1;
    fallback_[i] = rules_.byte_fallback ? id_of(fmt::format("<0x{:02X}>", byte)) : -1;
    if (rules_.byte_fallback && fallback_[i] < 0) {
      refuse(fmt::format("model.byte_fallback without a piece <0x{:02X}>", byte));
    }
    if (rules_.bytes && single_[i] < 0) {
      refuse(fmt::format("no piece for byte {}, which ByteLevel needs", byte));
    }
  }
  if (rules_.unknown) {
    unknown_ = id_of(*rules_.unknown);
    if (unknown_ < 0) refuse(fmt::format("model.unk_token \"{}\" is not in model.vocab", *rules_.unknown));
  }
  if (!rules_.bytes && !rules_.byte_fallback && unknown_ < 0) {
    refuse("neither model.unk_token nor model.byte_fallback: characters without a piece would be lost");
  }
  for (const auto& [left, right] : rules_.merges) {
    const std::int32_t left_id = id_of(left), right_id = id_of(right), id = id_of(left + right);
    if (left_id < 0 || right_id < 0 || id < 0) {
      refuse(fmt::format("merge {} of model.merges has a piece that is not in model.vocab", merged_.size()));
    }
    ranks_.set(left_id, right_id, static_cast<std::uint32_t>(merged_.size()));
    merged_.push_back(id);
  }
}

std::int32_t BpeModel::id_of(std::string_view text) const {
  const auto found = rules_.vocabulary.find(text);
  return found == rules_.vocabulary.end() ? -1 : found->second;
}

bool BpeModel::can_cut_before(std::string_view mark) const {
  if (rules_.ignore_merges || rules_.bytes || id_of(mark) < 0) return false;
  const auto joins = [&](const std::pair<std::string, std::string>& pair) {
    const std::string text = pair.first + pair.second;
    for (std::size_t at = text.find(mark); at != std::string::npos; at = text.find(mark, at + mark.size())) {
      if (at > 0 && !std::string_view(text).substr(0, at).ends_with(mark)) return true;
    }
    return false;
  };
  return std::none_of(rules_.merges.begin(), rules_.merges.end(), joins);
}

void BpeModel::encode(std::string_view word, Workspace& workspace, std::vector<std::int32_t>& tokens) const {
  if (rules_.ignore_merges) {
    if (const std::int32_t id = id_of(word); id >= 0) return tokens.push_back(id);
  }
  if (word.size() >= static_cast<std::size_t>(std::numeric_limits<std::int32_t>::max())) {
    refuse(fmt::format("a word of {} bytes, expected less than 2^31", word.size()));
  }
  workspace.symbols.clear();
  split(word, workspace.symbols);
  if (workspace.symbols.empty()) return;
  merge(workspace);
  for (std::int32_t i = 0; i >= 0; i = workspace.symbols[static_cast<std::size_t>(i)].next) {
    tokens.push_back(workspace.symbols[static_cast<std::size_t>(i)].id);
  }
}

void BpeModel::split(std::string_view word, std::vector<Workspace::Symbol>& symbols) const {
  const auto add = [&](std::int32_t id) {
    const auto position = static_cast<std::int32_t>(symbols.size());
    symbols.push_back({id, position - 1, position + 1});
  };
  bool after_unknown = false;
  for (std::size_t size = 0; !word.empty(); word.remove_prefix(size)) {
    size = rules_.bytes ? 1 : character_size(word);
    const std::string_view character = word.substr(0, size);
    const std::int32_t id = size == 1 ? single_[static_cast<unsigned char>(word[0])] : id_of(character);
    const bool is_unknown = id < 0 && !rules_.byte_fallback;
    if (id >= 0) {
      add(id);
    } else if (rules_.byte_fallback) {
      for (const char byte : character) add(fallback_[static_cast<unsigned char>(byte)]);
    } else if (!after_unknown || !rules_.fuse_unknown) {
      add(unknown_);
    }
    after_unknown = is_unknown;
  }
  if (!symbols.empty()) symbols.back().next = -1;
}

void BpeModel::propose(Workspace& workspace, std::int32_t position) const {
  const auto& left = workspace.symbols[static_cast<std::size_t>(position)];
  if (left.next < 0) return;
  const auto& right = workspace.symbols[static_cast<std::size_t>(left.next)];
  const std::uint32_t rank = ranks_.find(left.id, right.id);
  if (rank != PairTable::none) workspace.queue.push_back({rank, position, left.id, right.id});
}

void BpeModel::merge(Workspace& workspace) const {
  auto& symbols = workspace.symbols;
  auto& queue = workspace.queue;
  queue.clear();
  for (std::size_t i = 0; i + 1 < symbols.size(); ++i) propose(workspace, static_cast<std::int32_t>(i));
  std::make_heap(queue.begin(), queue.end(), later);
  const auto push = [&](std::int32_t position) {
    const std::size_t before = queue.size();
    propose(workspace, position);
    if (queue.size() > before) std::push_heap(queue.begin(), queue.end(), later);
  };
  while (!queue.empty()) {
    std::pop_heap(queue.begin(), queue.end(), later);
    const Workspace::Candidate best = queue.back();
    queue.pop_back();
    auto& left = symbols[static_cast<std::size_t>(best.position)];
    if (left.id != best.left || left.next < 0) continue;
    auto& right = symbols[static_cast<std::size_t>(left.next)];
    if (right.id != best.right) continue;
    left.id = merged_[best.rank];
    left.next = right.next;
    right.id = -1;  // candidates that begin here are no longer true
    if (left.next >= 0) symbols[static_cast<std::size_t>(left.next)].previous = best.position;
    if (left.previous >= 0) push(left.previous);
    push(best.position);
  }
}

}  // namespace strait::data
