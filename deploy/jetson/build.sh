#!/bin/sh
# On a Jetson, or in a container of its JetPack: build everything that runs a model and install it.
#
#   sh deploy/jetson/build.sh SOURCE PREFIX ARCHITECTURES     (87-real: Orin, 110-real: Thor)
#
# Ends with a sentence where CUDA or TensorRT is missing or does not fit.
set -eu
source=$1 prefix=$2 architectures=$3
build=$(mktemp -d)
trap 'rm -rf "$build"' EXIT
cmake -S "$source" -B "$build" -G Ninja \
  -DCMAKE_BUILD_TYPE=Release \
  -DCMAKE_CUDA_ARCHITECTURES="$architectures" \
  -DPOSEMAMBA_CUDA=ON \
  -DPOSEMAMBA_TENSORRT=ON \
  -DPOSEMAMBA_EXAMPLES=ON
cmake --build "$build"
cmake --install "$build" --prefix "$prefix"
