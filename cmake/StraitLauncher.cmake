# Writes the launcher that docs and tests use: mpiexec of the MPI that configure chose, with what that MPI
# needs to start more ranks than cores and to run as root in containers. STRAIT_LAUNCHER is its path.

set(strait_launcher_flags "")
if(STRAIT_MPI_FLAVOUR STREQUAL openmpi)
  set(strait_launcher_flags "--allow-run-as-root --oversubscribe --quiet")
endif()
set(STRAIT_LAUNCHER "${PROJECT_BINARY_DIR}/mpiexec")
file(CONFIGURE OUTPUT "${STRAIT_LAUNCHER}" @ONLY CONTENT
"#!/bin/sh
# mpiexec of the MPI that strait was built with.
exec @MPIEXEC_EXECUTABLE@ @strait_launcher_flags@ \"$@\"
")
file(CHMOD "${STRAIT_LAUNCHER}" PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE
     WORLD_READ WORLD_EXECUTE)
