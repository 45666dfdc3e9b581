#!/usr/bin/env bash
# On a machine with an NVIDIA GPU: the ablation on the demonstration data, equal steps for all runs.
#   benchmarks/gpu_ablate.sh STEPS DATA [more options of `posemamba ablate`]
# DATA is a folder with train.npz and val_*.npz (`posemamba data pybullet -o DATA`). Nothing is
# installed: PyTorch, NumPy, click and mamba-ssm's CUDA extension must be importable.
# Runs are kept under $RUN (default: out/ablation), so that a second call goes on where the first
# was cut off; the report and a tarball of the runs are copied to $OUT (default: out/gpu).
set -euo pipefail
cd "$(dirname "$0")/.."
if (($# < 2)); then
  echo "usage: benchmarks/gpu_ablate.sh STEPS DATA [options of posemamba ablate]" >&2
  exit 2
fi
steps=$1 data=$2
shift 2
OUT=${OUT:-out/gpu}
RUN=${RUN:-out/ablation}
PYTHON=${PYTHON:-python3}
mkdir -p "$OUT" "$RUN"
export PYTHONUNBUFFERED=1 PYTHONPATH=$PWD:$PWD/export:${PYTHONPATH:-}

vals=()
for set in "$data"/val_*.npz; do vals+=(--val "$set"); done

# What is finished must come back whatever happens: a lent machine keeps nothing.
collect() {
  tar -C "$RUN" -czf "$OUT/ablation_runs.tar.gz" .
  for file in "$RUN"/ablation.* "$RUN"/settings.json; do
    if [[ -f $file ]]; then cp "$file" "$OUT/"; fi
  done
}
trap collect EXIT

# A process a run; each holds a core for its launches, and the GPU is shared.
jobs=$(($(nproc) > 12 ? 10 : $(nproc) / 2 + 1))
"$PYTHON" -m posemamba ablate --data "$data/train.npz" "${vals[@]}" --device cuda \
  --depth 4 --d-model 64 --frames 81 --batch 32 --seeds 3 --jobs "$jobs" \
  --steps "$steps" -o "$RUN" "$@"
