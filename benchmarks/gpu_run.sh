#!/usr/bin/env bash
# On a machine with an NVIDIA GPU: build the CUDA kernels, test, sanitize, profile and time them.
#   benchmarks/gpu_run.sh [STEP]...   (default: build test sanitize bench forward)
#   build      the libraries and posemamba_block_bench, for this GPU
#   test       tests/gpu; sanitize: the checkers $TOOLS (all four) at once; verify: test and sanitize at once
#   bench      the scans; block: every row of the tail and conv_proj, then their times
#   forward    whole networks, fused; composed: also the composed paths
#   compare    one table: ours in PyTorch and, with $ORT_DIR, in ONNX Runtime, the authors' flow with mamba-ssm,
#              MotionBERT; memory of each. Rows begin for $BUDGET seconds (300), on the cores $QUIET (0,1,2,3),
#              of $NETWORKS (S,B,L,X,MotionBERT).
#              `prepare` before `build` exports, and compiles MotionBERT, beside it; else $AFTER names a file that
#              is there once all is built
#   train      the scans' gradients by size of chunk, then training steps of S and L: clips a second, memory
#   cost       L against batch and frames, and its plot
#   energy     whole calls with their power, through ONNX Runtime too where $MODELS holds S.onnx and so on
#   drift      how far trained networks ($TRAINED: demo) are off on this GPU in each precision: a JSON file each
#   orin       what a Jetson's block is predicted from: its machine code and designs; needs no GPU
#   demo       the demonstration networks: benchmarks.demo.run with the options in $DEMO, into $OUT/demo
#   host       the tests that need no GPU, with this machine's Python
# Everything of a report, within six minutes on an H200 with 16 cores (not yet timed as one):
#   benchmarks/gpu_run.sh build verify forward cost bench block
# Results go to $OUT (default: out/gpu). mamba-ssm is timed where its modules can be imported.
set -euo pipefail
cd "$(dirname "$0")/.."
OUT=${OUT:-out/gpu}
PYTHON=${PYTHON:-python3}
mkdir -p "$OUT"
export PYTHONUNBUFFERED=1 POSEMAMBA_REQUIRE_GPU=1

export POSEMAMBA_KERNELS_LIB=$PWD/build/gpu/trt_plugins/kernels/libposemamba_kernels.so
export POSEMAMBA_CUDA_LIB=$PWD/build/gpu/trt_plugins/kernels/cuda/libposemamba_cuda.so
export POSEMAMBA_ORT_LIB=$PWD/build/gpu/trt_plugins/onnxruntime/libposemamba_ort.so
block=$PWD/build/gpu/trt_plugins/kernels/cuda/posemamba_block_bench
export PYTHONPATH=$PWD:$PWD/export:$PWD/deploy/python:${PYTHONPATH:-}
source benchmarks/machine/gpu_tests.sh

build() {
  cmake -S . -B build/gpu -G Ninja -DPOSEMAMBA_CUDA=ON -DCMAKE_CUDA_ARCHITECTURES=native >/dev/null
  cmake --build build/gpu | tail -2
  cmake --build build/gpu --target posemamba_block_bench | tail -1
}

# Eight at once take 2 minutes on an H200.
run_tests() {
  gpu_tests 8 tests/gpu --ignore=tests/gpu/test_ort_cuda.py --ignore=tests/gpu/test_ort_version_2.py
}

# check_one TOOL NAME COMMAND...: runs it under a checker, and says what that found.
check_one() {
  local tool=$1 log=$OUT/$1-$2.log
  shift 2
  # initcheck must see who initialises the inputs; the others look at our kernels alone.
  local filter=(--kernel-name kns=posemamba)
  if [[ $tool == initcheck ]]; then filter=(); fi
  if ! compute-sanitizer --tool "$tool" --error-exitcode 9 "${filter[@]}" "$@" >"$log" 2>&1; then
    tail -40 "$log"
    echo "$log: FAILED"
    return 1
  fi
  echo "$log: $(grep -E 'ERROR SUMMARY|RACECHECK SUMMARY' "$log")"
}

# A few small problems that reach every kernel, launch phase and tail, under each checker; blocks of a width
# apart, for racecheck takes minutes for each.
sanitize() {
  local tool width job jobs=() failed=0
  for tool in ${TOOLS:-racecheck memcheck initcheck synccheck}; do
    check_one "$tool" smoke "$PYTHON" -m benchmarks.kernels.smoke &
    jobs+=($!)
    for width in 64 128 256; do
      check_one "$tool" "block-$width" "$block" check small "$width" &
      jobs+=($!)
    done
  done
  for job in "${jobs[@]}"; do wait "$job" || failed=1; done
  return "$failed"
}

# Nothing is timed here, so all may share the GPU.
verify() {
  local tests failed=0
  run_tests >"$OUT/tests.log" 2>&1 &
  tests=$!
  sanitize || failed=1
  wait "$tests" || failed=1
  tail -20 "$OUT/tests.log"
  return "$failed"
}

# Every row of both designs against float64, then their times: a JSON object a line.
time_block() {
  "$block" check >"$OUT/block-check.txt" || {
    grep -v '^ok' "$OUT/block-check.txt"
    return 1
  }
  "$block" time >"$OUT/block.jsonl"
}

bench() {
  local counters=()
  if command -v ncu >/dev/null; then
    ncu --clock-control none --cache-control none -k "regex:cross_|lane_channel|split_channel|prepare" -f -o "$OUT/scan" \
      --section SpeedOfLight --section ComputeWorkloadAnalysis --section Occupancy \
      --metrics "lts__t_bytes.sum,dram__bytes.sum,sm__inst_executed_pipe_xu.avg.pct_of_peak_sustained_active,sm__inst_executed_pipe_fma.avg.pct_of_peak_sustained_active,sm__inst_issued.avg.pct_of_peak_sustained_active,l1tex__data_pipe_lsu_wavefronts.avg.pct_of_peak_sustained_elapsed" \
      "$PYTHON" -m benchmarks.kernels.scans --profile >"$OUT/ncu.log" 2>&1
    ncu -i "$OUT/scan.ncu-rep" --page raw --csv >"$OUT/ncu.csv"
    counters=(--counters "$OUT/ncu.csv")
  fi
  "$PYTHON" -m benchmarks.kernels.scans --out "$OUT" "${counters[@]}"
  "$PYTHON" -m benchmarks.kernels.version_2 | tee "$OUT/version-2.md"
}

forward() { "$PYTHON" -m benchmarks.networks.forward --fused-only --json "$OUT/forward.json"; }

composed() { "$PYTHON" -m benchmarks.networks.forward --json "$OUT/composed.json"; }

# What needs no library of ours, while those are built: ONNX files on the cores, MotionBERT's kernels on the GPU.
models=${MODELS:-out/models}
exports=()
comparison=
prepare() {
  rm -f "$OUT/ready"
  BUILD=build/gpu MODELS=$models PRECISIONS=fp16 benchmarks/gpu_ort.sh export >"$OUT/export.log" 2>&1 &
  exports+=($!)
  BUILD=build/gpu MODELS=$models PRECISIONS=fp16-sums VARIANTS=L benchmarks/gpu_ort.sh export >"$OUT/export-sums.log" 2>&1 &
  exports+=($!)
  (
    source benchmarks/machine/ort_path.sh
    exec "$PYTHON" -m benchmarks.compare.run --models "$models" --out "$OUT" --after "$OUT/ready" \
      --budget "${BUDGET:-300}" ${QUIET:+--cores "$QUIET"} ${NETWORKS:+--networks "$NETWORKS"}
  ) &
  comparison=$!
}

compare() {
  if [[ -z $comparison ]]; then prepare; fi
  for job in "${exports[@]}"; do wait "$job" || tail -n 3 "$OUT"/export*.log; done
  while [[ -n ${AFTER:-} && ! -e $AFTER ]]; do sleep 0.5; done
  touch "$OUT/ready"
  wait "$comparison"
}

cost() {
  "$PYTHON" -m benchmarks.networks.forward --variants L --batches 1,2,4,8,16,32,64 --frames 5,9,27,81,243 \
    --fused-only --json "$OUT/cost.json"
  "$PYTHON" -m benchmarks.networks.cost_plot "$OUT/cost.json" -o "$OUT/cost.svg"
}

train() {
  "$PYTHON" -m benchmarks.kernels.gradients --json "$OUT/scan-gradients.json" --markdown "$OUT/scan-gradients.md"
  "$PYTHON" -m benchmarks.training.gpu throughput --out "$OUT"
}

energy() { "$PYTHON" -m benchmarks.networks.energy --out "$OUT" ${MODELS:+--models "$MODELS"}; }

drift() (
  source benchmarks/machine/ort_path.sh
  for network in ${TRAINED:-demo}; do
    for precision in fp16 fp16-sums fp32; do
      name=$(basename "$network" .safetensors).$precision
      "$PYTHON" -m pmexport onnx --ckpt "$network" --precision "$precision" --no-check -o "$OUT/$name.onnx" &&
        "$PYTHON" -m pmexport check "$OUT/$name.onnx" --ckpt "$network" --runtime torch-cuda --runtime ort-cuda \
          --json "$OUT/drift-$name.json" || echo "$name: FAILED"
    done
  done
)

# 16 multiprocessors, and the shared memory that a thread block may have there.
orin() {
  cmake -S . -B build/orin -G Ninja -DPOSEMAMBA_CUDA=ON -DPOSEMAMBA_TENSORRT=OFF -DPOSEMAMBA_RUNTIME=OFF \
    "-DCMAKE_CUDA_ARCHITECTURES=87-real;90-real" >/dev/null
  cmake --build build/orin --target posemamba_block_bench posemamba_cuda_shared | tail -1
  local kernels=build/orin/trt_plugins/kernels/cuda
  "$PYTHON" -m benchmarks.block.issue_slots "$kernels/libposemamba_cuda.so" --json "$OUT/issue-slots.json"
  "$kernels/posemamba_block_bench" plan 16 8 166912 >"$OUT/orin-plan.jsonl"
}

# shellcheck disable=SC2086  # several words
demo() { "$PYTHON" -m benchmarks.demo.run --out out/demo_networks --back "$OUT/demo" $DEMO; }

host() { "$PYTHON" -m pytest -q -m "not gpu" -p no:cacheprovider tests/native/kernels tests/posemamba tests/pmexport; }

if (($# == 0)); then set -- build test sanitize bench forward; fi
for step in "$@"; do
  case $step in
    build) build ;;
    test) run_tests ;;
    sanitize) sanitize ;;
    verify) verify ;;
    bench) bench ;;
    forward) forward ;;
    composed) composed ;;
    prepare) prepare ;;
    compare) compare ;;
    block) time_block ;;
    cost) cost ;;
    train) train ;;
    energy) energy ;;
    drift) drift ;;
    orin) orin ;;
    demo) demo ;;
    host) host ;;
    *)
      echo "gpu_run.sh: unknown step '$step'; see its first lines" >&2
      exit 2
      ;;
  esac
done
