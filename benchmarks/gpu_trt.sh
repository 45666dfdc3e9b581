#!/usr/bin/env bash
# On a machine with an NVIDIA GPU: build the TensorRT plugins, play TensorRT to them, sanitize.
#   benchmarks/gpu_trt.sh [build|test|sanitize]...   (default: all three)
# Needs cmake, nvcc and TensorRT's headers, but no TensorRT. Without network, carry the headers:
#   python tools/trt_headers.py --to .whl/tensorrt-headers
# Results go to $OUT (default: out/gpu-trt).
set -euo pipefail
cd "$(dirname "$0")/.."
OUT=${OUT:-out/gpu-trt}
PYTHON=${PYTHON:-python3}
mkdir -p "$OUT"
export PYTHONUNBUFFERED=1 POSEMAMBA_REQUIRE_GPU=1
export PYTHONPATH=$PWD:$PWD/export:$PWD/deploy/python:${PYTHONPATH:-}
export POSEMAMBA_TRT_LIB=$PWD/build/gpu/trt_plugins/tensorrt/libposemamba_trt.so
export POSEMAMBA_KERNELS_LIB=$PWD/build/gpu/trt_plugins/kernels/libposemamba_kernels.so
export POSEMAMBA_CUDA_LIB=$PWD/build/gpu/trt_plugins/kernels/cuda/libposemamba_cuda.so
CONFORMANCE=build/gpu/trt_conformance

build() {
  cmake -S . -B build/gpu -G Ninja -DPOSEMAMBA_CUDA=ON -DPOSEMAMBA_TENSORRT=ON \
    -DCMAKE_CUDA_ARCHITECTURES=native | grep -i tensorrt | tee "$OUT/build.txt"
  cmake --build build/gpu --target posemamba_trt posemamba_cuda_shared posemamba_kernels | tail -2
  "$PYTHON" -c "
import pathlib, sys
sys.path.insert(0, 'tests/native/tensorrt')
import trt_harness as harness
to = pathlib.Path('$CONFORMANCE')
harness.link(harness.compile_harness(harness.headers(), to.parent), to)"
}

# The protocol (which needs no GPU), then the launches.
run_tests() { "$PYTHON" -m pytest -q -p no:cacheprovider tests/native/tensorrt | tee "$OUT/test.txt"; }

sanitize() {
  local tool filter
  for tool in memcheck racecheck initcheck synccheck; do
    # initcheck must see who initialises the inputs; the others look at our kernels alone.
    filter=(--kernel-name kns=posemamba)
    if [[ $tool == initcheck ]]; then filter=(); fi
    compute-sanitizer --tool "$tool" --error-exitcode 9 "${filter[@]}" \
      "$CONFORMANCE" "$POSEMAMBA_TRT_LIB" "$POSEMAMBA_CUDA_LIB" gpu >"$OUT/$tool.log" 2>&1 || {
      tail -40 "$OUT/$tool.log"
      echo "$tool: FAILED"
      return 1
    }
    echo "$tool: $(grep -E 'ERROR SUMMARY|RACECHECK SUMMARY' "$OUT/$tool.log")" |
      tee -a "$OUT/sanitize.txt"
  done
}

if (($# == 0)); then set -- build test sanitize; fi
for step in "$@"; do
  case $step in
    build) build ;;
    test) run_tests ;;
    sanitize) sanitize ;;
    *)
      echo "gpu_trt.sh: unknown step '$step'; see its first lines" >&2
      exit 2
      ;;
  esac
done
