#pragma once
// Signals ask for an orderly stop: the run agrees on it at the end of a step, writes a checkpoint and
// returns 75.

namespace strait::app {

/// Catches SIGTERM, SIGINT and SIGUSR1 (what batch systems send before a time limit).
void catch_stop_signals();

/// The signal that arrived on this rank, 0 for none.
int stop_signal();

}  // namespace strait::app
