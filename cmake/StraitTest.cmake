# strait_add_test(<module>/<subject>_test.cpp): builds the file against its module and those above it and
# registers it with CTest; <subject>_mpi<P> runs under the chosen launcher on P ranks.
# strait_add_python_test(<module>/<subject>_test.py): a test from outside, of the executable or the sources.
# Labels: the module; `mpi` where more than one rank runs; `process` for Python tests.

set(STRAIT_TEST_THREADS 1 CACHE STRING "Threads of each rank in tests, where Kokkos has OpenMP")
set(strait_test_environment
  "OMP_NUM_THREADS=${STRAIT_TEST_THREADS}" "OMP_PROC_BIND=false"
  "OMP_WAIT_POLICY=passive"  # there are more threads than cores
  "KOKKOS_DISABLE_WARNINGS=true"  # more ranks than cores is what the tests want; stderr is for our own lines
  "ASAN_OPTIONS=detect_leaks=0"  # MPI and its network layers keep what they allocate at start
  "UBSAN_OPTIONS=print_stacktrace=1"
  "STRAIT_SOURCE_DIR=${PROJECT_SOURCE_DIR}")

function(strait_add_test source)
  get_filename_component(module "${source}" DIRECTORY)
  get_filename_component(subject "${source}" NAME_WE)
  string(REGEX REPLACE "_test$" "" subject "${subject}")
  set(target "test_${module}_${subject}")
  add_executable(${target} ${source})
  if(TARGET strait::${module})
    target_link_libraries(${target} PRIVATE strait::${module})
  else()
    target_link_libraries(${target} PRIVATE ${strait_libraries})
  endif()
  target_link_libraries(${target} PRIVATE strait_test_main strait::options)
  set_target_properties(${target} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/tests")
  set(command $<TARGET_FILE:${target}>)
  set(ranks 1)
  set(labels ${module})
  if(subject MATCHES "_mpi([0-9]+)$")
    set(ranks ${CMAKE_MATCH_1})
    set(command "${STRAIT_LAUNCHER}" -n ${ranks} ${command})
    list(APPEND labels mpi)
  endif()
  add_test(NAME ${module}.${subject} COMMAND ${command})
  set_tests_properties(${module}.${subject} PROPERTIES PROCESSORS ${ranks} LABELS "${labels}" TIMEOUT 300
    ENVIRONMENT "${strait_test_environment}")
endfunction()

function(strait_add_python_test source)
  get_filename_component(module "${source}" DIRECTORY)
  get_filename_component(subject "${source}" NAME_WE)
  string(REGEX REPLACE "_test$" "" subject "${subject}")
  add_test(NAME ${module}.${subject} COMMAND "${STRAIT_PYTHON}" "${CMAKE_CURRENT_SOURCE_DIR}/${source}")
  set_tests_properties(${module}.${subject} PROPERTIES PROCESSORS 2 LABELS "${module};process" TIMEOUT 1200
    ENVIRONMENT "${strait_test_environment};PYTHONDONTWRITEBYTECODE=1;STRAIT_EXECUTABLE=$<TARGET_FILE:strait>;STRAIT_DAMAGED_EXECUTABLE=$<TARGET_FILE:strait_damaged>;STRAIT_MPIEXEC=${STRAIT_LAUNCHER};STRAIT_BACKEND=${STRAIT_BACKEND};STRAIT_BINARY_DIR=${PROJECT_BINARY_DIR};STRAIT_SANITIZE=${STRAIT_SANITIZE}")
endfunction()
