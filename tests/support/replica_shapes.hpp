#pragma once
// Ways to give stages replicas.

#include <functional>
#include <vector>

namespace strait::test {

/// All ways to give each of `stages` stages 1 to `most` replicas.
inline void for_each_shape(int stages, int most, const std::function<void(const std::vector<int>&)>& visit) {
  std::vector<int> replicas(stages, 1);
  while (true) {
    visit(replicas);
    int at = 0;
    while (at < stages && replicas[at] == most) replicas[at++] = 1;
    if (at == stages) return;
    ++replicas[at];
  }
}

}  // namespace strait::test
