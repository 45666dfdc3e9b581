#!/usr/bin/env bash
# Join and unpack ONNX Runtime for a GPU machine that can fetch nothing (benchmarks/machine/pack_ort.py made
# the parts), and see that it loads.
#   benchmarks/machine/unpack_ort.sh PARTS_FOLDER DESTINATION
# Afterwards PYTHONPATH=DESTINATION gives `import onnxruntime` with the CUDA provider.
set -euo pipefail
if (($# != 2)); then
  echo "usage: unpack_ort.sh PARTS_FOLDER DESTINATION" >&2
  exit 2
fi
parts=$1
to=$2
PYTHON=${PYTHON:-python3}
if ! compgen -G "$parts/ort-gpu.part*" >/dev/null; then
  echo "unpack_ort.sh: no ort-gpu.part* in '$parts': write them with benchmarks/machine/pack_ort.py" >&2
  exit 2
fi
(cd "$parts" && sha256sum --quiet -c ort-gpu.sha256)
mkdir -p "$to"
cat $(printf '%s\n' "$parts"/ort-gpu.part* | sort -V) | tar -xJ -C "$to"
PYTHONPATH="$to${PYTHONPATH:+:$PYTHONPATH}" "$PYTHON" -c '
import onnxruntime
print("onnxruntime", onnxruntime.__version__, onnxruntime.__file__, onnxruntime.get_available_providers())'
