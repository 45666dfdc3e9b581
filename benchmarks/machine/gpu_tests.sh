# shellcheck shell=bash
# To be sourced: gpu_tests WORKERS WHAT... runs tests that need a GPU, so many at once where pytest-xdist is. A line a
# test: what has failed stands in the log of a run that is cut, too.
gpu_tests() {
  local workers=()
  if "$PYTHON" -c 'import xdist' 2>/dev/null; then workers=(-n "$1"); fi
  shift
  "$PYTHON" -m pytest -v -m gpu -p no:cacheprovider "${workers[@]}" "$@"
}
