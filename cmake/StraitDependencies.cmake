# Finds what strait needs and wraps it in one interface target, strait::dependencies.

# Kokkos and Kokkos Kernels. Trilinos' packages (Kokkos 3.4.1 on Debian) export no Kokkos::kokkoskernels
# and compare versions by major number only, so both forms are wrapped and the range is checked here.
find_package(Kokkos REQUIRED CONFIG)
find_package(KokkosKernels REQUIRED CONFIG)
if(Kokkos_VERSION VERSION_LESS 3.4 OR Kokkos_VERSION VERSION_GREATER_EQUAL 6)
  message(FATAL_ERROR "strait needs Kokkos 3.4 to 5.x, found ${Kokkos_VERSION} in ${Kokkos_DIR}")
endif()
add_library(strait_kokkos INTERFACE)
if(TARGET Kokkos::kokkoskernels)
  target_link_libraries(strait_kokkos INTERFACE Kokkos::kokkoskernels Kokkos::kokkos)
else()
  target_include_directories(strait_kokkos SYSTEM INTERFACE ${KokkosKernels_INCLUDE_DIRS})
  target_link_libraries(strait_kokkos INTERFACE ${KokkosKernels_LIBRARIES} ${KokkosKernels_TPL_LIBRARIES})
endif()

# One MPI, chosen by suffix: Debian's unsuffixed wrappers follow an alternative that may point elsewhere.
set(STRAIT_MPI "mpich" CACHE STRING "MPI flavour by wrapper suffix (mpich, openmpi), or empty for the default")
if(STRAIT_MPI)
  find_program(MPI_CXX_COMPILER NAMES mpicxx.${STRAIT_MPI} mpicxx)
  find_program(MPIEXEC_EXECUTABLE NAMES mpiexec.${STRAIT_MPI} mpiexec)
endif()
set(MPI_CXX_SKIP_MPICXX ON)
find_package(MPI REQUIRED COMPONENTS CXX)

# HDF5, the parallel flavour of the same MPI where Debian has one.
if(STRAIT_MPI AND EXISTS "/usr/include/hdf5/${STRAIT_MPI}")
  find_program(HDF5_C_COMPILER_EXECUTABLE NAMES h5pcc.${STRAIT_MPI})
  set(HDF5_PREFER_PARALLEL ON)
endif()
enable_language(C)
find_package(HDF5 REQUIRED COMPONENTS C)

find_package(PkgConfig REQUIRED)
pkg_check_modules(tomlplusplus REQUIRED IMPORTED_TARGET tomlplusplus)
pkg_check_modules(sentencepiece IMPORTED_TARGET sentencepiece)  # optional, for .model tokenizers
find_package(fmt REQUIRED)
find_package(CLI11 REQUIRED)
find_package(Threads REQUIRED)

add_library(strait_dependencies INTERFACE)
add_library(strait::dependencies ALIAS strait_dependencies)
target_link_libraries(strait_dependencies INTERFACE strait_kokkos MPI::MPI_CXX PkgConfig::tomlplusplus fmt::fmt
                                                    CLI11::CLI11 Threads::Threads)
target_include_directories(strait_dependencies SYSTEM INTERFACE ${HDF5_INCLUDE_DIRS})
target_link_libraries(strait_dependencies INTERFACE ${HDF5_C_LIBRARIES})
