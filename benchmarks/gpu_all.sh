#!/usr/bin/env bash
# Everything that the reports of the kernels show, in one call on a machine with one NVIDIA GPU or more:
#   LIMIT=570 benchmarks/gpu_all.sh
# builds, then times on one GPU (the comparison, the block's parts, cost against frames and batch) while tests,
# sanitizers, conformance and the drift of trained networks run on another. A step that fails or hangs costs
# itself alone. What has been measured so far lies in $OUT/all.tgz (default: out/gpu), with all logs, every 20
# seconds and at the end.
#   LIMIT      seconds until everything is ended and told (570)
#   TIME_GPU, CHECK_GPU   which GPUs (0, the last); where they are one, checks wait for timings
#   ORT_PARTS  folder of machine/pack_ort.py's parts, or ORT_DIR where they are unpacked already
#   MAMBA      folder with mamba_ssm and selective_scan_cuda.so
#   TRAINED    networks whose drift is measured, names or files (demo)
#   BUDGET     seconds in which rows of the comparison begin (240)
#   STEPS      some of: compare block cost train tests ort trt trt-sanitize sanitize drift resources orin (all).
#              In ten minutes there is no time for all; on a machine that is still there the next call builds nothing anew:
#                STEPS="compare block cost tests ort trt" ...; STEPS="train sanitize trt-sanitize drift" ...
# The four first cores are for what is timed, where there are more than eight; all else keeps off them.
set -uo pipefail
cd "$(dirname "$0")/.."
export PYTHON=${PYTHON:-python3} PYTHONUNBUFFERED=1 BUDGET=${BUDGET:-240} MODELS=${MODELS:-$PWD/out/models}
to=${OUT:-out/gpu}
export OUT=$PWD/build/gpu-all # of every step
LIMIT=${LIMIT:-570}
STEPS=${STEPS:-compare block cost train tests ort trt trt-sanitize sanitize drift resources orin}
gpus=$(nvidia-smi -L | wc -l)
TIME_GPU=${TIME_GPU:-0}
CHECK_GPU=${CHECK_GPU:-$((gpus - 1))}
if [[ -n ${ORT_PARTS:-} ]]; then export ORT_DIR=${ORT_DIR:-/tmp/ort}; fi
path=$PWD:$PWD/export:$PWD/deploy/python
rm -rf "$OUT"
mkdir -p "$OUT" "$MODELS" "$to"

cores=$(nproc)
quiet=()
if ((cores > 8)); then
  export QUIET=0,1,2,3
  quiet=(taskset -c "$QUIET")
  taskset -cp "4-$((cores - 1))" $$ >/dev/null
fi

left() { echo $((LIMIT - 20 - SECONDS)); }
tell() { echo "[$SECONDS s] $*"; }
wanted() { [[ " $STEPS " == *" $1 "* ]]; }

# step NAME SECONDS COMMAND...: into its log, ended after so many seconds or when the call's are over.
step() {
  local name=$1 most=$2 rest code=0
  shift 2
  rest=$(left)
  if ((rest < 5)); then
    tell "$name: no time left"
    return
  fi
  timeout -k 5 $((most < rest ? most : rest)) "$@" >"$OUT/$name.log" 2>&1 || code=$?
  tell "$name: $code"
}

# Until a file is there, or the call is over.
await() { while [[ ! -e $OUT/$1 ]] && (($(left) > 0)); do sleep 0.5; done; }

# TensorRT's plugins where its headers are; it links a library again, so nothing is tested before.
builds() {
  step build "$LIMIT" benchmarks/gpu_run.sh build
  if wanted trt || wanted trt-sanitize; then step trt-build 120 env "OUT=$OUT/trt" benchmarks/gpu_trt.sh build; fi
  touch "$OUT/built" # where it has failed, too: the others say what they lack
}

timings() {
  export CUDA_VISIBLE_DEVICES=$TIME_GPU
  local batch
  if wanted compare; then
    PYTHONPATH=$path${MAMBA:+:$MAMBA} AFTER=$OUT/built step compare "$LIMIT" benchmarks/gpu_run.sh prepare compare
  fi
  await built
  if wanted block; then
    for batch in 1 32 8; do
      step "block-$batch" 60 build/gpu/trt_plugins/kernels/cuda/posemamba_block_bench time "$batch"
    done
  fi
  if wanted cost; then step cost 90 "${quiet[@]}" benchmarks/gpu_run.sh cost; fi
  if wanted train; then
    PYTHONPATH=$path${MAMBA:+:$MAMBA} step train "$LIMIT" "${quiet[@]}" benchmarks/gpu_run.sh train
  fi
  touch "$OUT/timed"
}

checks() {
  export CUDA_VISIBLE_DEVICES=$CHECK_GPU
  await built
  if [[ $TIME_GPU == "$CHECK_GPU" ]]; then await timed; fi
  if wanted tests; then step tests "$LIMIT" benchmarks/gpu_run.sh test & fi
  if wanted ort; then step ort "$LIMIT" benchmarks/gpu_ort.sh test & fi
  if wanted drift; then step drift "$LIMIT" benchmarks/gpu_run.sh drift & fi
  if wanted trt; then step trt "$LIMIT" env "OUT=$OUT/trt" benchmarks/gpu_trt.sh test & fi
  if wanted trt-sanitize; then
    step trt-sanitize "$LIMIT" env "OUT=$OUT/trt" nice benchmarks/gpu_trt.sh sanitize &
  fi
  if wanted sanitize; then step sanitize "$LIMIT" nice benchmarks/gpu_run.sh sanitize & fi
  if wanted orin; then step orin "$LIMIT" nice -n 19 benchmarks/gpu_run.sh orin & fi
  if wanted resources; then
    step resources "$LIMIT" nice -n 19 "$PYTHON" -m benchmarks.kernels.resources --jobs "$(nproc)" &
  fi
  wait
}

pack() {
  cp reports/*-kernel-resources.* build/kernel-resources.json "$OUT" 2>/dev/null
  tar -czf "$to/.all.tgz" -C "$OUT" --exclude='*.onnx' --exclude='*.part' . 2>/dev/null
  mv "$to/.all.tgz" "$to/all.tgz"
}

summary() {
  local log
  tail -n 20 "$OUT/tests.log" | cut -c1-160
  for log in ort trt trt-sanitize sanitize drift train resources orin; do
    echo "-- $log"
    tail -n 9 "$OUT/$log.log" | cut -c1-160
  done
  grep -hE '"kernel": "block"|"conv_proj", "d_inner": 512' "$OUT"/block-*.log
  cat "$OUT/compare.md"
} 2>/dev/null

export PYTHONPATH=$path
tell "$gpus GPUs, times on $TIME_GPU, checks on $CHECK_GPU, $cores cores"
if [[ -n ${ORT_PARTS:-} ]]; then step unpack 60 benchmarks/machine/unpack_ort.sh "$ORT_PARTS" "$ORT_DIR"; fi
builds &
timings &
checks &
while [[ -n $(jobs -rp) ]]; do
  sleep 1
  if ((SECONDS % 20 == 0)); then pack; fi
done
summary
pack
tell "end: $to/all.tgz"
