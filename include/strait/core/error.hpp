#pragma once
// Errors that end a run: one clear line for the person and a documented exit code for the script.

#include <fmt/format.h>

#include <source_location>
#include <stdexcept>
#include <string>
#include <utility>

namespace strait {

/// What the process returns; the meaning is part of the stable interface.
enum class ExitCode : int {
  done = 0,
  deck = 2,         ///< deck or command line
  environment = 3,  ///< MPI, GPU, rank count
  io = 4,           ///< data, checkpoint or output file
  numerical = 5,    ///< non-finite loss, codec copies that differ
  stopped = 75,     ///< stopped on a signal or time limit with a good checkpoint: requeue
};

/// An error with its exit code. `what()` is the whole line that the user sees.
class Error : public std::runtime_error {
 public:
  Error(ExitCode code, const std::string& message) : std::runtime_error(message), code_(code) {}
  ExitCode code() const { return code_; }

 private:
  ExitCode code_;
};

/// Throws an Error with a formatted message.
template <class... Args>
[[noreturn]] void fail(ExitCode code, fmt::format_string<Args...> format, Args&&... args) {
  throw Error(code, fmt::format(format, std::forward<Args>(args)...));
}

/// A programming error: reports the place and aborts. Never used for bad input.
[[noreturn]] void broken_invariant(const char* what,
                                   std::source_location where = std::source_location::current());

/// Checks what must hold whatever the input; active in release builds too.
inline void ensure(bool condition, const char* what,
                   std::source_location where = std::source_location::current()) {
  if (!condition) broken_invariant(what, where);
}

}  // namespace strait
