#pragma once
// The labels that Kokkos hands to profilers while something runs.

#include "strait/core/kokkos.hpp"

#include <set>
#include <string>

namespace strait::test {

/// Collects labels while it lives; one at a time.
class LabelRecorder {
 public:
  LabelRecorder() {
    labels() = {};
    namespace tools = Kokkos::Tools::Experimental;
    const auto kernel = [](const char* label, std::uint32_t, std::uint64_t*) {
      labels().kernels.insert(label);
    };
    tools::set_begin_parallel_for_callback(kernel);
    tools::set_begin_parallel_reduce_callback(kernel);
    tools::set_begin_parallel_scan_callback(kernel);
    tools::set_begin_fence_callback(
        [](const char* label, std::uint32_t, std::uint64_t*) { labels().fences.insert(label); });
    tools::set_push_region_callback([](const char* label) { labels().regions.insert(label); });
    tools::set_allocate_data_callback([](Kokkos_Profiling_SpaceHandle, const char* label, const void*,
                                         std::uint64_t) { labels().allocations.insert(label); });
  }
  ~LabelRecorder() {
    namespace tools = Kokkos::Tools::Experimental;
    tools::set_begin_parallel_for_callback(nullptr);
    tools::set_begin_parallel_reduce_callback(nullptr);
    tools::set_begin_parallel_scan_callback(nullptr);
    tools::set_begin_fence_callback(nullptr);
    tools::set_push_region_callback(nullptr);
    tools::set_allocate_data_callback(nullptr);
  }
  LabelRecorder(const LabelRecorder&) = delete;
  LabelRecorder& operator=(const LabelRecorder&) = delete;

  const std::set<std::string>& kernels() const { return labels().kernels; }
  const std::set<std::string>& fences() const { return labels().fences; }  ///< none before Kokkos 3.5
  const std::set<std::string>& regions() const { return labels().regions; }
  const std::set<std::string>& allocations() const { return labels().allocations; }

 private:
  struct Labels {
    std::set<std::string> kernels, fences, regions, allocations;
  };
  // Callbacks are plain functions: what they write to must be reachable without an object.
  static Labels& labels() {
    static Labels labels;
    return labels;
  }
};

}  // namespace strait::test
