#include "strait/app/agreement.hpp"

#include "strait/core/communicator.hpp"

#include <cstdio>
#include <new>
#include <optional>
#include <string>
#include <system_error>

namespace strait::app {

Error current_error() {
  try {
    throw;
  } catch (const Error& error) {
    return error;
  } catch (const std::bad_alloc&) {
    return Error(ExitCode::environment, "strait: out of memory");
  } catch (const std::system_error& error) {
    return Error(ExitCode::io, std::string("strait: ") + error.what());
  } catch (const std::exception& error) {
    const std::string text = error.what();  // Kokkos appends a traceback
    return Error(ExitCode::environment, "strait: " + text.substr(0, text.find('\n')));
  }
}

void agree(MPI_Comm communicator, const std::function<void()>& body) {
  std::optional<Error> error;
  try {
    body();
  } catch (...) {
    error = current_error();
  }

  const int rank = rank_of(communicator);
  const int size = size_of(communicator);
  const int mine = error ? rank : size;
  int first = size;
  MPI_Allreduce(&mine, &first, 1, MPI_INT, MPI_MIN, communicator);
  if (first == size) return;

  int code = error ? static_cast<int>(error->code()) : 0;
  MPI_Bcast(&code, 1, MPI_INT, first, communicator);
  if (rank == first) {
    std::fflush(stdout);
    std::fprintf(stderr, "%s\n", error->what());
    std::fflush(stderr);
  }
  throw AgreedError(static_cast<ExitCode>(code));
}

}  // namespace strait::app
