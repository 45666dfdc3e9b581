#!/usr/bin/env bash
# On a machine with an NVIDIA GPU: build the libraries, export the models, test ONNX Runtime's CUDA
# provider and time every way of running the network.
#   benchmarks/gpu_ort.sh [build|export|test|run|report|runtime]...   (default: all, in this order)
# ORT_DIR: a folder with onnxruntime's CUDA build (benchmarks/machine/unpack_ort.sh), where it is not installed.
# BUDGET: seconds for `run` (1200; all 216 cells took an H100 700).
# VARIANTS, PRECISIONS: what is exported (S B L X, fp16 fp32).
set -euo pipefail
cd "$(dirname "$0")/.."
OUT=${OUT:-out/gpu}
MODELS=${MODELS:-out/models}
PYTHON=${PYTHON:-python3}
BUILD=${BUILD:-build/gpu}
mkdir -p "$OUT" "$MODELS"
export PYTHONUNBUFFERED=1 POSEMAMBA_REQUIRE_GPU=1
export POSEMAMBA_KERNELS_LIB=$PWD/$BUILD/trt_plugins/kernels/libposemamba_kernels.so
export POSEMAMBA_CUDA_LIB=$PWD/$BUILD/trt_plugins/kernels/cuda/libposemamba_cuda.so
export POSEMAMBA_ORT_LIB=$PWD/$BUILD/trt_plugins/onnxruntime/libposemamba_ort.so
export POSEMAMBA_RUNTIME_LIB=$PWD/$BUILD/deploy/cpp/libposemamba_runtime.so
export POSEMAMBA_LIBRARY_PATH=$PWD/$BUILD/trt_plugins/onnxruntime
export PYTHONPATH=$PWD:$PWD/export:$PWD/deploy/python:${PYTHONPATH:-}
source benchmarks/machine/ort_path.sh
source benchmarks/machine/gpu_tests.sh

build() {
  cmake -S . -B "$BUILD" -G Ninja -DPOSEMAMBA_CUDA=ON -DCMAKE_CUDA_ARCHITECTURES=native >/dev/null
  cmake --build "$BUILD" | tail -2
}

# Every export is one process: they need no GPU and the cores are idle.
export_models() {
  local variant precision pids=() pid failed=0
  for variant in ${VARIANTS:-S B L X}; do
    for precision in ${PRECISIONS:-fp16 fp32}; do
      OMP_NUM_THREADS=2 "$PYTHON" -m benchmarks.networks.ort export --variant "$variant" \
        --precision "$precision" --models "$MODELS" &
      pids+=($!)
    done
  done
  for pid in "${pids[@]}"; do wait "$pid" || failed=1; done
  ls -l "$MODELS"
  return "$failed"
}

for step in "${@:-all}"; do
  case $step in
    all) "$0" build export test run report runtime ;;
    build) build ;;
    export) export_models ;;
    # Four at once, each with sessions of its own: one after another they take five minutes on an H200.
    test) gpu_tests 4 tests/gpu/test_ort_cuda.py tests/gpu/test_ort_version_2.py ;;
    run) "$PYTHON" -m benchmarks.networks.ort run --models "$MODELS" --out "$OUT" --budget "${BUDGET:-1200}" ;;
    report) "$PYTHON" -m benchmarks.networks.ort_report "$OUT/ort.json" --out "$OUT" ;;
    runtime) "$PYTHON" -m benchmarks.networks.live run --models "$MODELS" --out "$OUT" ;;
    *)
      echo "gpu_ort.sh: unknown step '$step'; see its first lines" >&2
      exit 2
      ;;
  esac
done
