#pragma once
// Passes over a batch of independent items, by threads of a host that each have an item of their own.

#include "rows.hpp"

namespace strait::kernels {

/// An item of a batch that one thread of a host works on, beside others on theirs: what passes over the batch
/// take in place of an execution space instance.
struct HostItem {
  int item;
  int items;  ///< of the batch

  /// Calls functor(index) for the item's share of [0, count), in which the indices of an item stand together.
  template <class Functor>
  void share(std::int64_t count, const Functor& functor) const {
    const std::int64_t size = count / items;
    for (std::int64_t index = item * size; index < (item + 1) * size; ++index) functor(index);
  }
};

template <class Body>
void for_each_row(const std::string&, const HostItem& own, std::int64_t rows, const Body& body) {
  own.share(rows, detail::HostRows<Body>{body});
}

}  // namespace strait::kernels
