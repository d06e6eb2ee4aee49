# Language standard, warnings, sanitizers and compiler cache: everything that shapes a compile line.

if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "Build type" FORCE)
endif()

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

option(STRAIT_NATIVE "Optimise for the processor of this machine" ON)
option(STRAIT_WERROR "Treat warnings in our own code as errors" OFF)
option(STRAIT_BOUNDS_CHECK "Check every index into a tensor (slow)" OFF)
option(STRAIT_BENCHMARKS "Build perf/strait_benchmark" OFF)
set(STRAIT_SANITIZE "" CACHE STRING "Sanitizers, for example address,undefined")

find_program(STRAIT_CCACHE ccache)
mark_as_advanced(STRAIT_CCACHE)
if(STRAIT_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER "${STRAIT_CCACHE}")
endif()

add_library(strait_options INTERFACE)
add_library(strait::options ALIAS strait_options)
target_compile_features(strait_options INTERFACE cxx_std_20)
target_compile_options(strait_options INTERFACE -Wall -Wextra)
if(STRAIT_WERROR)
  target_compile_options(strait_options INTERFACE -Werror)
endif()
if(STRAIT_NATIVE)
  target_compile_options(strait_options INTERFACE -march=native)
endif()
# No -ffast-math: it would fold NaN checks away. These two change no value of a finite result.
target_compile_options(strait_options INTERFACE -fno-math-errno -fno-trapping-math)
if(STRAIT_BOUNDS_CHECK)
  target_compile_definitions(strait_options INTERFACE KOKKOS_ENABLE_DEBUG_BOUNDS_CHECK)
endif()
if(STRAIT_SANITIZE)
  target_compile_options(strait_options INTERFACE -fsanitize=${STRAIT_SANITIZE} -fno-sanitize-recover=all
                                                  -fno-omit-frame-pointer)
  target_link_options(strait_options INTERFACE -fsanitize=${STRAIT_SANITIZE})
endif()
