#!/bin/sh
# Installs what strait needs on Debian 12 or a derivative. Does nothing where everything is there.
#
#   cmake/install_debian_dependencies.sh [--with-torch] [--list]
#
#   --with-torch   also what the PyTorch twin and perf/compare_pytorch.py need
#   --list         prints the packages and stops
set -eu

build="g++ make cmake ninja-build ccache pkg-config git clang-format"
libraries="mpich libmpich-dev libhdf5-mpich-dev libtrilinos-kokkos-dev libtrilinos-kokkos-kernels-dev
  libopenblas-dev libtomlplusplus-dev libfmt-dev libcli11-dev nlohmann-json3-dev libssl-dev libsentencepiece-dev
  libpcre2-dev"
tests="libgtest-dev libgmock-dev libbenchmark-dev python3 python3-numpy python3-h5py python3-matplotlib"
text="bible-kjv bible-kjv-text"  # what inputs/quickstart.toml learns
torch="python3-torch libopenblas0-openmp"

packages="$build $libraries $tests $text"
list=no
for argument in "$@"; do
  case "$argument" in
    --with-torch) packages="$packages $torch" ;;
    --list) list=yes ;;
    *) echo "install_debian_dependencies: unknown argument $argument" >&2; exit 2 ;;
  esac
done
if [ "$list" = yes ]; then
  printf '%s\n' $packages
  exit 0
fi
if ! command -v dpkg-query > /dev/null || ! command -v apt-get > /dev/null; then
  echo "Not a Debian machine: docs/dependencies.md says what strait needs."
  exit 0
fi

missing=""
for package in $packages; do
  status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2> /dev/null) || status=absent
  [ "$status" = installed ] || missing="$missing $package"
done
if [ -z "$missing" ]; then
  echo "All dependencies are installed."
  exit 0
fi

as_root=""
if [ "$(id -u)" -ne 0 ]; then
  if ! command -v sudo > /dev/null; then
    echo "install_debian_dependencies: as root, run: apt-get install$missing" >&2
    exit 3
  fi
  as_root="sudo"
fi
echo "Installing$missing"
$as_root apt-get -qq update
$as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq install --yes --no-install-recommends $missing
