# One MPI, chosen by suffix, and the HDF5 that was built with it. Debian's unsuffixed wrappers follow an
# alternative that may point at another MPI than HDF5's. Sets MPI_* as FindMPI does, STRAIT_MPI_FLAVOUR
# (mpich or openmpi, from the headers) and defines strait_check_hdf5_uses_mpi().

set(STRAIT_MPI "mpich" CACHE STRING "MPI by suffix of its wrappers (mpich, openmpi); without such, the default")
if(DEFINED STRAIT_MPI_CONFIGURED AND NOT STRAIT_MPI_CONFIGURED STREQUAL STRAIT_MPI)
  message(FATAL_ERROR "This build folder was configured for STRAIT_MPI=${STRAIT_MPI_CONFIGURED}; "
                      "use a fresh one for ${STRAIT_MPI}")
endif()
set(STRAIT_MPI_CONFIGURED "${STRAIT_MPI}" CACHE INTERNAL "STRAIT_MPI of the first configuration")

find_program(MPI_CXX_COMPILER NAMES mpicxx.${STRAIT_MPI} mpicxx CC)
find_program(MPIEXEC_EXECUTABLE NAMES mpiexec.${STRAIT_MPI} mpiexec srun)
set(MPI_CXX_SKIP_MPICXX ON)
find_dependency(MPI COMPONENTS CXX)

include(CheckCXXSourceCompiles)
set(CMAKE_REQUIRED_LIBRARIES MPI::MPI_CXX)
check_cxx_source_compiles("#include <mpi.h>\n#ifndef OPEN_MPI\n#error\n#endif\nint main() {}" STRAIT_MPI_IS_OPEN_MPI)
unset(CMAKE_REQUIRED_LIBRARIES)
if(STRAIT_MPI_IS_OPEN_MPI)
  set(STRAIT_MPI_FLAVOUR openmpi)
else()
  set(STRAIT_MPI_FLAVOUR mpich)
endif()

find_program(HDF5_C_COMPILER_EXECUTABLE NAMES h5pcc.${STRAIT_MPI_FLAVOUR})
if(HDF5_C_COMPILER_EXECUTABLE)
  set(HDF5_PREFER_PARALLEL ON)
endif()

# The MPI libraries that `library` asks the loader for, or calls itself: libmpich.so.12, libmpi.so.40, ...
function(strait_mpi_libraries result library entry)
  set(names "")
  if(CMAKE_READELF AND library MATCHES "[.]so")
    execute_process(COMMAND "${CMAKE_READELF}" -d "${library}" OUTPUT_VARIABLE dynamic ERROR_QUIET)
    string(REGEX MATCHALL "\\(${entry}\\)[^\n]*\\[libmpi[^]]*\\]" lines "${dynamic}")
    list(TRANSFORM lines REPLACE ".*\\[(.*)\\]" "\\1" OUTPUT_VARIABLE names)
  endif()
  set(${result} "${names}" PARENT_SCOPE)
endfunction()

# Refuses an HDF5 that would load a second MPI into the process. A serial or a static HDF5 passes.
function(strait_check_hdf5_uses_mpi)
  set(ours "")
  foreach(library IN LISTS MPI_CXX_LIBRARIES)
    strait_mpi_libraries(names "${library}" SONAME)
    list(APPEND ours ${names})
  endforeach()
  foreach(library IN LISTS HDF5_C_LIBRARIES)
    strait_mpi_libraries(names "${library}" NEEDED)
    foreach(name IN LISTS names)
      if(ours AND NOT name IN_LIST ours)
        message(FATAL_ERROR "HDF5 (${library}) was built with ${name}, MPI here is ${ours}: install HDF5 for "
                            "this MPI (Debian: libhdf5-mpich-dev, libhdf5-openmpi-dev) or choose with STRAIT_MPI")
      endif()
    endforeach()
  endforeach()
endfunction()
