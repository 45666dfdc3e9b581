# shellcheck shell=bash
# To be sourced: what `import onnxruntime` and its CUDA provider need, from $ORT_DIR if that is set (a folder of
# benchmarks/machine/unpack_ort.sh) and from PyTorch's packages.
export CUDA_MODULE_LOADING=LAZY
# CUDA and cuDNN of the Python packages, which onnxruntime looks for by name alone.
packages=$("$PYTHON" -c 'import glob, importlib.util
found = importlib.util.find_spec("nvidia")
roots = list(found.submodule_search_locations) if found else []
print(":".join(path for root in roots for path in sorted(glob.glob(f"{root}/*/lib"))))')
export LD_LIBRARY_PATH=${packages:+$packages:}${LD_LIBRARY_PATH:-}
export PYTHONPATH=${ORT_DIR:+$ORT_DIR:}$PYTHONPATH
