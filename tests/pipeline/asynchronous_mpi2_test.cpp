#include "asynchronous_mpi.hpp"
