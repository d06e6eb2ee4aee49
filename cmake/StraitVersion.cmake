# Writes strait_version.h (version and git hash) at every build, but touches it only when it changes. Used
# twice: included, it adds the target; run as a script, it writes the file.

if(CMAKE_SCRIPT_MODE_FILE)
  cmake_minimum_required(VERSION 3.22)
  execute_process(COMMAND git describe --always --dirty --abbrev=40 --exclude=*
    WORKING_DIRECTORY "${SOURCE_DIR}" OUTPUT_VARIABLE hash OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET
    RESULT_VARIABLE failed)
  if(failed)
    set(hash "unknown")
  endif()
  file(CONFIGURE OUTPUT "${HEADER}" @ONLY CONTENT
    "#define STRAIT_VERSION \"@VERSION@\"\n#define STRAIT_GIT_HASH \"@hash@\"\n")
  return()
endif()

set(strait_version_header "${PROJECT_BINARY_DIR}/generated/strait_version.h")
add_custom_target(strait_version
  COMMAND "${CMAKE_COMMAND}" -D "HEADER=${strait_version_header}" -D "VERSION=${PROJECT_VERSION}"
          -D "SOURCE_DIR=${PROJECT_SOURCE_DIR}" -P "${CMAKE_CURRENT_LIST_FILE}"
  BYPRODUCTS "${strait_version_header}"
  COMMENT "Recording the git hash"
  VERBATIM)
target_include_directories(strait_core PRIVATE "${PROJECT_BINARY_DIR}/generated")
add_dependencies(strait_core strait_version)
