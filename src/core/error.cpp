#include "strait/core/error.hpp"

#include <cstdio>
#include <cstdlib>

namespace strait {

void broken_invariant(const char* what, std::source_location where) {
  std::fprintf(stderr, "strait: internal error: %s (%s:%u in %s)\n", what, where.file_name(),
               static_cast<unsigned>(where.line()), where.function_name());
  std::abort();
}

}  // namespace strait
