#!/bin/sh
# What mpiexec takes for ssh: [-OPTION]... HOST COMMAND... runs the command in the namespace of HOST's end of the
# cable.
while [ "${1#-}" != "$1" ]; do shift; done
host=$1
shift
exec ip netns exec "$STRAIT_NAMESPACES$host" sh -c "$*"
