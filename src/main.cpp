// strait: reads a deck, trains, returns a documented exit code.

#include "strait/app/agreement.hpp"
#include "strait/app/command_line.hpp"
#include "strait/app/run.hpp"
#include "strait/app/signals.hpp"
#include "strait/core/environment.hpp"

#include <cstdio>

int main(int argc, char** argv) {
  strait::Environment environment(argc, argv);
  strait::app::catch_stop_signals();
  try {
    return static_cast<int>(strait::app::run(argc, argv, environment.communicator()));
  } catch (const strait::app::AgreedError& error) {
    return static_cast<int>(error.code());
  } catch (...) {
    const strait::Error error = strait::app::current_error();
    std::fflush(stdout);
    std::fprintf(stderr, "%s\n", error.what());
    environment.abort(error.code());
  }
}
