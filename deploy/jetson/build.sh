#!/bin/sh
# On a Jetson, or in a container of its JetPack: build everything that runs a model and install it.
#
#   sh deploy/jetson/build.sh SOURCE PREFIX ARCHITECTURES [CMAKE OPTION]...
#
# ARCHITECTURES: 87-real for an Orin, 110-real for a Thor. Ends with a sentence where CUDA or TensorRT
# is missing or does not fit.
set -eu
source=$1 prefix=$2 architectures=$3
shift 3
build=$(mktemp -d)
trap 'rm -rf "$build"' EXIT
cmake -S "$source" -B "$build/all" -G Ninja \
  -DCMAKE_BUILD_TYPE=Release \
  -DCMAKE_CUDA_ARCHITECTURES="$architectures" \
  -DPOSEMAMBA_CUDA=ON \
  -DPOSEMAMBA_TENSORRT=ON \
  "$@"
cmake --build "$build/all"
cmake --install "$build/all" --prefix "$prefix"
# The example is built as a program of yours would be, against what was just installed.
cmake -S "$source/deploy/cpp/examples/lift_stream" -B "$build/example" -G Ninja \
  -DCMAKE_BUILD_TYPE=Release \
  -DCMAKE_PREFIX_PATH="$prefix"
cmake --build "$build/example"
mkdir -p "$prefix/bin"
cp "$build/example/lift_stream" "$prefix/bin"
