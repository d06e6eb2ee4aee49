#pragma once
// A value that changes while earlier ones are still in use.

#include "strait/io/hdf5.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace strait::codec {

/// The newest value and those that micro-batches in flight were encoded with. A value that nobody else holds
/// is changed in place, so that as many exist as are needed at once.
template <class Value>
class Versions {
 public:
  using Handle = std::shared_ptr<Value>;

  explicit Versions(Value first) { kept_.push_back(current_ = std::make_shared<Value>(std::move(first))); }

  /// Held as long as the value is needed.
  const Handle& current() const { return current_; }

  /// Has room for `count` values from the beginning.
  template <class Allocate>
  void reserve(std::size_t count, const Allocate& allocate) {
    while (kept_.size() < count) kept_.push_back(std::make_shared<Value>(allocate()));
  }

  /// An earlier value, to be assigned and held.
  template <class Allocate>
  Handle earlier(const Allocate& allocate) {
    Handle found = unused();
    if (!found) kept_.push_back(found = std::make_shared<Value>(allocate()));
    return found;
  }

  /// Makes a value current that nobody holds, and returns it: the current one, or another that
  /// `assign(to, from)` made equal to it, after `allocate()` where there is none.
  template <class Allocate, class Assign>
  Value& change(const Allocate& allocate, const Assign& assign) {
    constexpr long here = 2;  // in kept_ and as current_
    if (current_.use_count() == here) return *current_;
    const Handle next = earlier(allocate);
    assign(*next, *current_);
    current_ = next;
    return *current_;
  }

  std::size_t count() const { return kept_.size(); }

 private:
  Handle unused() const {
    for (const Handle& handle : kept_) {
      if (handle.use_count() == 1) return handle;
    }
    return nullptr;
  }

  std::vector<Handle> kept_;
  Handle current_;
};

/// Saves which value each of `handles` holds: attribute `version` of group <i>, and under versions/<k> each
/// that is not current, by save(group, value).
template <class Value, class Save>
void save_held(io::Group group, const Versions<Value>& versions,
               const std::vector<std::shared_ptr<Value>>& handles, const Save& save) {
  std::vector<const Value*> saved;
  for (std::size_t i = 0; i < handles.size(); ++i) {
    std::int64_t version = -1;
    if (handles[i] != versions.current()) {
      const auto found = std::find(saved.begin(), saved.end(), handles[i].get());
      version = found - saved.begin();
      if (found == saved.end()) {
        saved.push_back(handles[i].get());
        save(group.create_group(fmt::format("versions/{}", version)), *handles[i]);
      }
    }
    group.require_group(std::to_string(i)).set_attribute("version", version);
  }
}

/// The handles that save_held saw, values read by load(group, value).
template <class Value, class Allocate, class Load>
std::vector<std::shared_ptr<Value>> load_held(const io::Group& group, Versions<Value>& versions,
                                              std::size_t count, const Allocate& allocate, const Load& load) {
  std::vector<std::shared_ptr<Value>> read, handles;
  for (std::size_t i = 0; i < count; ++i) {
    const auto version = group.group(std::to_string(i)).template attribute<std::int64_t>("version");
    if (version == static_cast<std::int64_t>(read.size())) {
      read.push_back(versions.earlier(allocate));
      load(group.group(fmt::format("versions/{}", version)), *read.back());
    }
    handles.push_back(version < 0 ? versions.current() : read.at(version));
  }
  return handles;
}

}  // namespace strait::codec
