#include "projection_mpi.hpp"
