#include "strait/app/memory.hpp"

#include <sys/resource.h>

namespace strait::app {

std::int64_t peak_resident_bytes() {
  rusage usage = {};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<std::int64_t>(usage.ru_maxrss) * 1024;
}

}  // namespace strait::app
