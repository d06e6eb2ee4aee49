#pragma once
// Time by kernel label and in all kernels, from Kokkos' own profiling callbacks. For backends whose kernels
// run as they are launched; elsewhere it would measure launches.

#include "strait/core/kokkos.hpp"

#include "roofline.hpp"

#include <map>
#include <string>
#include <vector>

namespace strait::perf {

/// Counts while it lives. The matrix products that Kokkos Kernels hands to a BLAS, and those that threads
/// divide, are kept as "gemm".
class KernelTimes {
 public:
  KernelTimes() {
    seconds().clear();
    inside_kernels() = 0.0;
    frames() = 0;
    namespace tools = Kokkos::Tools::Experimental;
    const auto begin = [](const char* label, std::uint32_t, std::uint64_t*) { enter(label, true); };
    using Space = Kokkos::Profiling::SpaceHandle;
    const auto begin_copy = [](Space, const char*, const void*, Space, const char*, const void*,
                               std::uint64_t) { enter("copy", true); };
    const auto end = [](std::uint64_t) { leave(); };
    tools::set_begin_parallel_for_callback(begin);
    tools::set_begin_parallel_reduce_callback(begin);
    tools::set_end_parallel_for_callback(end);
    tools::set_end_parallel_reduce_callback(end);
    tools::set_begin_deep_copy_callback(begin_copy);
    tools::set_end_deep_copy_callback([] { leave(); });
    tools::set_push_region_callback([](const char* label) { enter(label, false); });
    tools::set_pop_region_callback([] { leave(); });
  }
  ~KernelTimes() {
    namespace tools = Kokkos::Tools::Experimental;
    tools::set_begin_parallel_for_callback(nullptr);
    tools::set_begin_parallel_reduce_callback(nullptr);
    tools::set_end_parallel_for_callback(nullptr);
    tools::set_end_parallel_reduce_callback(nullptr);
    tools::set_begin_deep_copy_callback(nullptr);
    tools::set_end_deep_copy_callback(nullptr);
    tools::set_push_region_callback(nullptr);
    tools::set_pop_region_callback(nullptr);
  }
  KernelTimes(const KernelTimes&) = delete;
  KernelTimes& operator=(const KernelTimes&) = delete;

  /// Seconds by label, without what other kernels took inside; our own regions hold what no kernel did.
  static std::map<std::string, double>& seconds() {
    static std::map<std::string, double> value;
    return value;
  }
  /// Seconds in kernels, products and copies.
  static double& inside_kernels() {
    static double value = 0.0;
    return value;
  }
  /// Kernels, products, copies and regions.
  static int& frames() {
    static int value = 0;
    return value;
  }

  /// Seconds outside of kernels that counting took: what as many empty frames take.
  static double counting() {
    const int counted = frames();
    const KernelTimes times;
    const double begin = now();
    constexpr int empty_frames = 100000;
    for (int i = 0; i < empty_frames; ++i) {
      enter("strait::perf::nothing", true);
      leave();
    }
    return (now() - begin - inside_kernels()) * counted / empty_frames;
  }

 private:
  struct Frame {
    std::string label;
    bool kernel;
    double start;
    double inside = 0.0;  ///< seconds of frames within
  };
  static std::vector<Frame>& stack() {
    static std::vector<Frame> value;
    return value;
  }
  static void enter(const std::string& label, bool kernel) {
    const bool product =
        label.find("KokkosBlas::gemm") != std::string::npos || label == "strait::matmul::by_threads";
    stack().push_back({product ? "gemm" : label, kernel || product, now()});
  }
  static void leave() {
    ++frames();
    const Frame frame = stack().back();
    stack().pop_back();
    const double total = now() - frame.start;
    seconds()[frame.label] += total - frame.inside;
    if (frame.kernel) inside_kernels() += total - frame.inside;
    if (!stack().empty()) stack().back().inside += total;
  }
};

/// Seconds by label of f(), slower than without this.
template <class F>
std::map<std::string, double> kernel_seconds(const F& f) {
  const KernelTimes times;
  f();
  return KernelTimes::seconds();
}

}  // namespace strait::perf
