#include "timed_stage_mpi.hpp"
