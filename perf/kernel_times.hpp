#pragma once
// Time by kernel label, from Kokkos' own profiling callbacks. For backends whose kernels run as they are
// launched; elsewhere it would measure launches.

#include "strait/core/kokkos.hpp"

#include "roofline.hpp"

#include <map>
#include <string>
#include <vector>

namespace strait::perf {

/// Counts while it lives. The matrix products that Kokkos Kernels hands to a BLAS are kept as "gemm".
class KernelTimes {
 public:
  KernelTimes() {
    seconds().clear();
    namespace tools = Kokkos::Tools::Experimental;
    const auto begin = [](const char* label, std::uint32_t, std::uint64_t*) { enter(label); };
    const auto end = [](std::uint64_t) { leave(); };
    tools::set_begin_parallel_for_callback(begin);
    tools::set_begin_parallel_reduce_callback(begin);
    tools::set_end_parallel_for_callback(end);
    tools::set_end_parallel_reduce_callback(end);
    tools::set_push_region_callback([](const char* label) { enter(label); });
    tools::set_pop_region_callback([] { leave(); });
  }
  ~KernelTimes() {
    namespace tools = Kokkos::Tools::Experimental;
    tools::set_begin_parallel_for_callback(nullptr);
    tools::set_begin_parallel_reduce_callback(nullptr);
    tools::set_end_parallel_for_callback(nullptr);
    tools::set_end_parallel_reduce_callback(nullptr);
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

 private:
  struct Frame {
    std::string label;
    double start;
    double inside = 0.0;  ///< seconds of frames within
  };
  static std::vector<Frame>& stack() {
    static std::vector<Frame> value;
    return value;
  }
  static void enter(const std::string& label) {
    const bool product = label.find("KokkosBlas::gemm") != std::string::npos;
    stack().push_back({product ? "gemm" : label, now()});
  }
  static void leave() {
    const Frame frame = stack().back();
    stack().pop_back();
    const double total = now() - frame.start;
    seconds()[frame.label] += total - frame.inside;
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
