#include "mpi_equality.hpp"
