# What was configured, on one screen.

execute_process(COMMAND git describe --always --dirty --exclude=* WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}"
  OUTPUT_VARIABLE strait_hash OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)

# The BLAS below Kokkos Kernels, with symbolic links resolved: which library Debian's alternative means.
set(strait_blas "none")
set(strait_blas_libraries ${KokkosKernels_TPL_LIBRARIES})
if(TARGET Kokkos::BLAS)
  get_target_property(strait_blas_libraries Kokkos::BLAS INTERFACE_LINK_LIBRARIES)
endif()
foreach(library IN LISTS strait_blas_libraries)
  if(library MATCHES "blas")
    file(REAL_PATH "${library}" strait_blas)
  endif()
endforeach()

function(strait_summary_line name)
  string(LENGTH "${name}" length)
  math(EXPR padding "16 - ${length}")
  string(REPEAT " " ${padding} spaces)
  string(JOIN "" value ${ARGN})
  message(STATUS "  ${name}${spaces}${value}")
endfunction()

message(STATUS "strait ${PROJECT_VERSION} (${strait_hash})")
strait_summary_line("Build type" "${CMAKE_BUILD_TYPE}")
strait_summary_line("Compiler" "${CMAKE_CXX_COMPILER_ID} ${CMAKE_CXX_COMPILER_VERSION}")
strait_summary_line("Kokkos" "${Kokkos_VERSION}, ${STRAIT_BACKEND} (${strait_kokkos_prefix})")
strait_summary_line("Kokkos Kernels" "${KokkosKernels_VERSION} (${strait_kernels_prefix})")
strait_summary_line("BLAS" "${strait_blas}")
strait_summary_line("MPI" "${STRAIT_MPI_FLAVOUR} ${MPI_CXX_VERSION} (${MPI_CXX_COMPILER})")
strait_summary_line("Launcher" "${STRAIT_LAUNCHER}")
strait_summary_line("HDF5" "${HDF5_VERSION} (${HDF5_C_LIBRARY_hdf5})")
strait_summary_line("SentencePiece" "${sentencepiece_VERSION}")
strait_summary_line("Native code" "${STRAIT_NATIVE}")
strait_summary_line("Sanitizers" "${STRAIT_SANITIZE}")
strait_summary_line("Bounds checks" "${STRAIT_BOUNDS_CHECK}")
strait_summary_line("Warnings fail" "${STRAIT_WERROR}")
