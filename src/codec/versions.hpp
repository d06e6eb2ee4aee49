#pragma once
// A value that changes while earlier ones are still in use.

#include <memory>
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

  /// Makes a value current that nobody holds, and returns it: the current one, or another that
  /// `assign(to, from)` made equal to it, after `allocate()` where there is none.
  template <class Allocate, class Assign>
  Value& change(const Allocate& allocate, const Assign& assign) {
    constexpr long here = 2;  // in kept_ and as current_
    if (current_.use_count() == here) return *current_;
    Handle next;
    for (const Handle& handle : kept_) {
      if (handle.use_count() == 1) next = handle;
    }
    if (!next) kept_.push_back(next = std::make_shared<Value>(allocate()));
    assign(*next, *current_);
    current_ = next;
    return *current_;
  }

  std::size_t count() const { return kept_.size(); }

 private:
  std::vector<Handle> kept_;
  Handle current_;
};

}  // namespace strait::codec
