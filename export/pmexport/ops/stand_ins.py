"""What imports of mamba-ssm and causal-conv1d give while a network is built for export.

Neither package need be installed: their kernels need a GPU, and cannot be traced. mamba-ssm's
recent releases leave the Mamba-1 kernel out of their builds altogether (unless built with
``MAMBA_KEEP_CUDA_BUILD=TRUE``). Where they are installed, the stand-ins come first.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import NoReturn

from posemamba.errors import InputError
from posemamba.mamba import Mamba, functions, language_model, norms, residual, selective_scan_fn

PACKAGES = ("mamba_ssm", "causal_conv1d")


def refusal(name: str) -> InputError:
    """What is said of a block of another generation."""
    return InputError(
        f"{name} is not Mamba-1: its scan is another function, which SelectiveScan does not "
        "compute; only Mamba-1 blocks can be exported"
    )


def _refused(name: str) -> type:
    """A class that can be imported, and not be made."""

    def refuse(self: object, *_arguments: object, **_options: object) -> NoReturn:
        raise refusal(name)

    return type(name, (), {"__init__": refuse})


def _one_step(name: str) -> Callable[..., NoReturn]:
    """A function that can be imported, and not be called."""

    def refuse(*_arguments: object, **_options: object) -> NoReturn:
        raise InputError(f"{name} takes one step of a sequence: whole sequences are exported")

    refuse.__name__ = name
    return refuse


#: Blocks and functions of Mamba-2 and Mamba-3, by the names their package gives them.
OTHER_GENERATIONS = ("Mamba2", "Mamba2Simple", "Mamba3")


def _no_download(*_arguments: object, **_options: object) -> NoReturn:
    raise InputError("weights are not fetched while a network is built: load them from a file")


_SCAN: dict[str, object] = {
    "selective_scan_fn": selective_scan_fn,
    "selective_scan_ref": selective_scan_fn,
    "mamba_inner_fn": functions.mamba_inner_fn,
    "mamba_inner_ref": functions.mamba_inner_fn,
    "mamba_inner_fn_no_out_proj": functions.mamba_inner_fn_no_out_proj,
}
_NORMS: dict[str, object] = {
    "RMSNorm": norms.RMSNorm,
    "layer_norm_fn": norms.layer_norm_fn,
    "rms_norm_fn": norms.rms_norm_fn,
}
_CONVOLUTION: dict[str, object] = {
    "causal_conv1d_fn": functions.causal_conv1d_fn,
    "causal_conv1d_ref": functions.causal_conv1d_fn,
    "causal_conv1d_update": _one_step("causal_conv1d_update"),
}
_OTHERS: dict[str, object] = {name: _refused(name) for name in OTHER_GENERATIONS}
#: Modules by name, and what can be imported from them.
MODULES: dict[str, dict[str, object]] = {
    "mamba_ssm": {
        "Mamba": Mamba,
        "MambaLMHeadModel": language_model.MambaLMHeadModel,
        **_SCAN,
        **_OTHERS,
    },
    "mamba_ssm.modules": {},
    "mamba_ssm.modules.mamba_simple": {"Mamba": Mamba, "Block": residual.SimpleBlock},
    "mamba_ssm.modules.block": {"Block": residual.Block},
    "mamba_ssm.modules.mlp": {"GatedMLP": language_model.GatedMLP},
    "mamba_ssm.modules.mamba2": {"Mamba2": _OTHERS["Mamba2"]},
    "mamba_ssm.modules.mamba2_simple": {"Mamba2Simple": _OTHERS["Mamba2Simple"]},
    "mamba_ssm.modules.mamba3": {"Mamba3": _OTHERS["Mamba3"]},
    "mamba_ssm.models": {},
    "mamba_ssm.models.config_mamba": {"MambaConfig": language_model.MambaConfig},
    "mamba_ssm.models.mixer_seq_simple": {
        name: getattr(language_model, name)
        for name in ("MambaConfig", "MambaLMHeadModel", "MixerModel", "create_block", "GatedMLP")
    },
    "mamba_ssm.ops": {},
    "mamba_ssm.ops.selective_scan_interface": _SCAN,
    "mamba_ssm.ops.triton": {},
    "mamba_ssm.ops.triton.layernorm": _NORMS,
    "mamba_ssm.ops.triton.layer_norm": _NORMS,
    "mamba_ssm.ops.triton.selective_state_update": {
        "selective_state_update": _one_step("selective_state_update")
    },
    "mamba_ssm.utils": {},
    "mamba_ssm.utils.generation": {"GenerationMixin": type("GenerationMixin", (), {})},
    "mamba_ssm.utils.hf": dict.fromkeys(("load_config_hf", "load_state_dict_hf"), _no_download),
    "causal_conv1d": _CONVOLUTION,
    "causal_conv1d.causal_conv1d_interface": _CONVOLUTION,
}


@contextmanager
def stand_ins() -> Iterator[None]:
    """Within, imports of both packages give the stand-ins; what was imported before comes back."""
    before = {name: sys.modules.pop(name) for name in list(sys.modules) if _is_theirs(name)}
    made = {name: _module(name, held) for name, held in MODULES.items()}
    for name, module in made.items():
        parent, _, child = name.rpartition(".")
        if parent:
            setattr(made[parent], child, module)
    sys.modules.update(made)
    try:
        yield
    finally:
        for name in [name for name in sys.modules if _is_theirs(name)]:
            del sys.modules[name]
        sys.modules.update(before)


def _is_theirs(name: str) -> bool:
    return name.partition(".")[0] in PACKAGES


def _module(name: str, held: dict[str, object]) -> ModuleType:
    module = ModuleType(name, "A stand-in of pmexport: Mamba-1 in plain PyTorch.")
    module.__path__ = []  # a package, so that what it lacks is "no module", not "no package"
    vars(module).update(held)
    return module
