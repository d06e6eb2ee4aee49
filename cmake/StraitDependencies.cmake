# Finds what strait needs and wraps it in one target, strait::dependencies. Used by this build and, installed
# beside the package config, by projects that use strait.

include(CMakeFindDependencyMacro)
include("${CMAKE_CURRENT_LIST_DIR}/StraitMpi.cmake")

# Kokkos and Kokkos Kernels. Trilinos' packages (Kokkos 3.4.1 on Debian) export no Kokkos::kokkoskernels
# and compare versions by major number only, so both forms are wrapped and the versions are checked here.
find_package(Kokkos REQUIRED CONFIG)
find_package(KokkosKernels REQUIRED CONFIG HINTS "${Kokkos_DIR}/../KokkosKernels")
if(Kokkos_VERSION VERSION_LESS 3.4 OR Kokkos_VERSION VERSION_GREATER_EQUAL 6)
  message(FATAL_ERROR "strait needs Kokkos 3.4 to 5.x, found ${Kokkos_VERSION} in ${Kokkos_DIR}")
endif()
string(REGEX MATCH "^[0-9]+[.][0-9]+" strait_kokkos_series "${Kokkos_VERSION}")
string(REGEX MATCH "^[0-9]+[.][0-9]+" strait_kernels_series "${KokkosKernels_VERSION}")
if(KokkosKernels_VERSION AND NOT strait_kokkos_series STREQUAL strait_kernels_series)  # Debian states none
  message(FATAL_ERROR "Kokkos ${Kokkos_VERSION} (${Kokkos_DIR}) and Kokkos Kernels ${KokkosKernels_VERSION} "
                      "(${KokkosKernels_DIR}) are of different releases: point Kokkos_ROOT and "
                      "KokkosKernels_ROOT at one prefix")
endif()
cmake_path(GET Kokkos_DIR PARENT_PATH strait_kokkos_prefix)
cmake_path(GET KokkosKernels_DIR PARENT_PATH strait_kernels_prefix)
if(NOT strait_kokkos_prefix STREQUAL strait_kernels_prefix)
  message(FATAL_ERROR "Kokkos is from ${strait_kokkos_prefix}, Kokkos Kernels from ${strait_kernels_prefix}: "
                      "point Kokkos_ROOT and KokkosKernels_ROOT at one prefix")
endif()

# The default execution space is the last of these that Kokkos was built with.
set(STRAIT_BACKEND SERIAL)
foreach(backend OPENMP CUDA HIP SYCL)
  if(backend IN_LIST Kokkos_DEVICES)
    set(STRAIT_BACKEND ${backend})
  endif()
endforeach()
if(STRAIT_EXPECTED_BACKEND AND NOT STRAIT_BACKEND STREQUAL STRAIT_EXPECTED_BACKEND)
  message(FATAL_ERROR "Kokkos in ${Kokkos_DIR} runs on ${STRAIT_BACKEND}, not on ${STRAIT_EXPECTED_BACKEND}: "
                      "point Kokkos_ROOT at a build of Kokkos and Kokkos Kernels for it")
endif()

if(TARGET Kokkos::kokkoskernels)
  set(strait_kokkos_libraries Kokkos::kokkoskernels Kokkos::kokkos)
else()
  set(strait_kokkos_libraries ${KokkosKernels_LIBRARIES} ${KokkosKernels_TPL_LIBRARIES})
endif()

# Eigen-decompositions and Q R: on the device where there is one, else by LAPACK on the host. Products of
# bfloat16 matrices on the device: by cuBLAS.
if(STRAIT_BACKEND STREQUAL CUDA)
  find_dependency(CUDAToolkit)
  set(strait_decompositions CUDA::cusolver CUDA::cublas)
else()
  find_dependency(LAPACK)
  set(strait_decompositions LAPACK::LAPACK)
endif()

find_dependency(HDF5 COMPONENTS C)
strait_check_hdf5_uses_mpi()

find_dependency(PkgConfig)
pkg_check_modules(tomlplusplus REQUIRED IMPORTED_TARGET GLOBAL tomlplusplus)
pkg_check_modules(sentencepiece IMPORTED_TARGET GLOBAL sentencepiece)  # optional, for .model tokenizers
pkg_check_modules(pcre2 IMPORTED_TARGET GLOBAL libpcre2-8>=10.40)  # optional, for most tokenizer.json
find_dependency(OpenSSL COMPONENTS Crypto)
find_dependency(nlohmann_json)
find_dependency(fmt)
find_dependency(CLI11)
find_dependency(Threads)

if(NOT TARGET strait::dependencies)
  add_library(strait::dependencies INTERFACE IMPORTED GLOBAL)
  target_link_libraries(strait::dependencies INTERFACE
    ${strait_kokkos_libraries} ${strait_decompositions} MPI::MPI_CXX ${HDF5_C_LIBRARIES} PkgConfig::tomlplusplus OpenSSL::Crypto
    nlohmann_json::nlohmann_json fmt::fmt CLI11::CLI11 Threads::Threads ${CMAKE_DL_LIBS})
  if(TARGET PkgConfig::sentencepiece)
    target_link_libraries(strait::dependencies INTERFACE PkgConfig::sentencepiece)
  endif()
  if(TARGET PkgConfig::pcre2)
    target_link_libraries(strait::dependencies INTERFACE PkgConfig::pcre2)
  endif()
  target_include_directories(strait::dependencies SYSTEM INTERFACE ${HDF5_INCLUDE_DIRS} ${KokkosKernels_INCLUDE_DIRS})
  if(STRAIT_BACKEND STREQUAL CUDA)
    # fmt 9 takes nvcc's g++ for one without constexpr, and then fails to compile.
    target_compile_definitions(strait::dependencies INTERFACE FMT_USE_CONSTEXPR=1)
  endif()
endif()
