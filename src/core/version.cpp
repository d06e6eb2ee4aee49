#include "strait/core/version.hpp"

#include "strait/core/kokkos.hpp"

#include "strait_version.h"

#include <fmt/format.h>
#include <mpi.h>

#include <algorithm>
#include <array>

namespace strait {

std::string version() { return STRAIT_VERSION; }

std::string git_hash() { return STRAIT_GIT_HASH; }

std::string kokkos_summary() { return fmt::format("{} {}", kokkos_version(), ExecutionSpace::name()); }

std::string mpi_summary() {
  std::array<char, MPI_MAX_LIBRARY_VERSION_STRING> buffer{};
  int length = 0;
  MPI_Get_library_version(buffer.data(), &length);
  std::string text(buffer.data(), static_cast<std::size_t>(length));
  text.resize(std::min(text.size(), text.find_first_of("\r\n")));
  std::replace(text.begin(), text.end(), '\t', ' ');
  return text;
}

std::string version_summary() {
  return fmt::format("strait {} ({}), Kokkos {}, {}", version(), git_hash(), kokkos_summary(), mpi_summary());
}

}  // namespace strait
