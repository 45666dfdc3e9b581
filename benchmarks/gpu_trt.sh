#!/usr/bin/env bash
# On a machine with an NVIDIA GPU: build the TensorRT plugins, play TensorRT to them, sanitize.
#   benchmarks/gpu_trt.sh [build|test|sanitize|lean]...   (default: build test sanitize)
# Needs cmake, nvcc and TensorRT's headers, but no TensorRT. Without network, carry the headers:
#   python tools/trt_headers.py --to .whl/tensorrt-headers
#   lean       the real lean runtime: the plugins registered, a broken engine refused, from Python and
#              from libposemamba_runtime.so. It is unpacked from .whl/lean, which is git-ignored; carry
#              .whl whole. Where there is a network, once before (17 MB a release, packed):
#                LEAN="10.16.1.11 11.4.0.106" benchmarks/gpu_trt.sh pack_lean
#              LEAN_PYTHON is the Python of the machine with the GPU (3.12).
# One call for it: benchmarks/gpu_trt.sh build lean
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
sys.path[:0] = ['tests/native/tensorrt', 'tests/support']
import trt_harness as harness
to = pathlib.Path('$CONFORMANCE')
harness.link(harness.compile_harness(harness.headers(), to.parent), to)"
}

# The protocol (which needs no GPU), then the launches.
run_tests() { "$PYTHON" -m pytest -q -p no:cacheprovider tests/native/tensorrt | tee "$OUT/test.txt"; }

check_one() {
  local tool=$1 filter=(--kernel-name kns=posemamba)
  # initcheck must see who initialises the inputs; the others look at our kernels alone.
  if [[ $tool == initcheck ]]; then filter=(); fi
  compute-sanitizer --tool "$tool" --error-exitcode 9 "${filter[@]}" \
    "$CONFORMANCE" "$POSEMAMBA_TRT_LIB" "$POSEMAMBA_CUDA_LIB" gpu >"$OUT/$tool.log" 2>&1 || {
    tail -40 "$OUT/$tool.log"
    echo "$tool: FAILED"
    return 1
  }
  echo "$tool: $(grep -E 'ERROR SUMMARY|RACECHECK SUMMARY' "$OUT/$tool.log")" |
    tee -a "$OUT/sanitize.txt"
}

# At once: racecheck takes as long as the other three.
sanitize() {
  local tool job jobs=() failed=0
  for tool in memcheck racecheck initcheck synccheck; do
    check_one "$tool" &
    jobs+=($!)
  done
  for job in "${jobs[@]}"; do wait "$job" || failed=1; done
  return "$failed"
}

pack_lean() {
  local version target
  mkdir -p .whl/lean
  for version in ${LEAN:-10.16.1.11}; do
    target=build/lean-packed/$version
    "$PYTHON" -m pip install --quiet --no-deps --upgrade --target "$target" --only-binary=:all: \
      --implementation cp --python-version "${LEAN_PYTHON:-3.12}" \
      "tensorrt-lean-cu13-libs==$version" "tensorrt-lean-cu13-bindings==$version"
    tar -C "$target" -cf - tensorrt_lean_libs tensorrt_lean_bindings |
      xz -6 -T1 >".whl/lean/$version.tar.xz"
    ls -l ".whl/lean/$version.tar.xz"
  done
}

# Every release, also where one fails. A process holds one release alone.
lean() {
  local archive site failed=0
  if ! compgen -G ".whl/lean/*.tar.xz" >/dev/null; then
    echo "gpu_trt.sh: no .whl/lean/*.tar.xz: the first lines say how they are made" >&2
    return 2
  fi
  for archive in .whl/lean/*.tar.xz; do
    site=build/lean/$(basename "$archive" .tar.xz)
    mkdir -p "$site"
    tar -C "$site" -xJf "$archive"
    echo "lean runtime $(basename "$site")"
    "$PYTHON" -m benchmarks.machine.tensorrt_lean --site "$site" --plugin "$POSEMAMBA_TRT_LIB" |
      tee "$OUT/lean-$(basename "$site").jsonl" || failed=1
  done
  POSEMAMBA_TENSORRT_LIBRARIES=$(ls -d "$PWD"/build/lean/*/tensorrt_lean_libs/libnvinfer_lean.so.* | paste -sd:)
  export POSEMAMBA_TENSORRT_LIBRARIES CMAKE_GENERATOR=Ninja
  "$PYTHON" -m pytest -q -p no:cacheprovider tests/deploy/cpp/test_real_tensorrt.py |
    tee "$OUT/lean-tests.txt" || failed=1
  return "$failed"
}

if (($# == 0)); then set -- build test sanitize; fi
for step in "$@"; do
  case $step in
    build) build ;;
    test) run_tests ;;
    sanitize) sanitize ;;
    pack_lean) pack_lean ;;
    lean) lean ;;
    *)
      echo "gpu_trt.sh: unknown step '$step'; see its first lines" >&2
      exit 2
      ;;
  esac
done
