#include "strait/app/signals.hpp"

#include <csignal>
#include <initializer_list>

namespace strait::app {

namespace {

volatile std::sig_atomic_t received = 0;

void remember(int signal) { received = signal; }

}  // namespace

void catch_stop_signals() {
  struct sigaction action = {};
  action.sa_handler = remember;
  sigemptyset(&action.sa_mask);
  for (const int signal : {SIGTERM, SIGINT, SIGUSR1}) sigaction(signal, &action, nullptr);
  // A write past a file-size limit must come back as an error of that write, with its message.
  std::signal(SIGXFSZ, SIG_IGN);
}

int stop_signal() { return received; }

}  // namespace strait::app
