// MPI for a program that is to notice damage: linked into an executable, this MPI_Isend comes before the
// library's, which keeps its name PMPI_Isend (MPI 4.0, section 15.2). With STRAIT_DAMAGE=rank,send,byte in
// the environment one bit of that byte of that rank's send (counted from 0) is flipped on its way.

#include <mpi.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>

extern "C" int MPI_Isend(const void* buffer, int count, MPI_Datatype type, int peer, int tag,
                         MPI_Comm communicator, MPI_Request* request) {
  static int sends = 0;
  static std::vector<std::uint8_t> damaged;
  int rank = 0, damaged_rank = -1, damaged_send = -1, byte = 0, size = 0;
  if (const char* const what = std::getenv("STRAIT_DAMAGE")) {
    if (std::sscanf(what, "%d,%d,%d", &damaged_rank, &damaged_send, &byte) != 3) std::abort();
  }
  PMPI_Comm_rank(MPI_COMM_WORLD, &rank);
  if (rank == damaged_rank && sends++ == damaged_send) {
    PMPI_Type_size(type, &size);
    const auto* const bytes = static_cast<const std::uint8_t*>(buffer);
    damaged.assign(bytes, bytes + std::size_t(count) * size);
    damaged.at(byte) ^= 4;
    buffer = damaged.data();
  }
  return PMPI_Isend(buffer, count, type, peer, tag, communicator, request);
}
