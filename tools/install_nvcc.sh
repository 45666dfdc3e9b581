#!/usr/bin/env bash
# CUDA's compiler from Python's package index, for a machine that has none and no administrator.
#   tools/install_nvcc.sh FOLDER     afterwards FOLDER/bin/nvcc compiles; put FOLDER/bin on PATH
set -euo pipefail
if (($# != 1)); then
  echo "usage: install_nvcc.sh FOLDER" >&2
  exit 2
fi
python3 -m pip install --quiet --target "$1/packages" 'cuda-toolkit[nvcc,crt,nvvm,cccl,cudart]==13.0.*'
# The layout that nvcc and CMake expect of a toolkit: the packages call lib64 lib.
for name in bin include lib nvvm; do
  ln -sfn "packages/nvidia/cu13/$name" "$1/$name"
done
ln -sfn lib "$1/lib64"
ln -sfn lib "$1/packages/nvidia/cu13/lib64"
"$1/bin/nvcc" --version | tail -2
