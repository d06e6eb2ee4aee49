#include "asynchronous_replicas_mpi.hpp"
