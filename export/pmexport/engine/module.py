"""TensorRT's Python module, whichever is installed, its log, and the plugin registered in it.

TensorRT keeps one registry of plugins and one log per process and module, so each is made once.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass, field
from functools import cache
from types import ModuleType
from typing import Any, TypeAlias

from pmexport.format.environment import has_module
from pmexport.format.failures import reason
from pmexport.format.names import OP_DOMAIN, TENSORRT, TENSORRT_RTX
from posemamba.errors import InputError

Trt: TypeAlias = Any
"""An object of whichever TensorRT is loaded: its modules ship no types, or each its own."""

#: Modules that run engines, by flavour, the first installed one is taken. The lean runtime's
#: bindings are a package of their own, which ``tensorrt_lean`` only names again.
MODULES: dict[str, tuple[str, ...]] = {
    TENSORRT: ("tensorrt", "tensorrt_lean", "tensorrt_lean_bindings"),
    TENSORRT_RTX: ("tensorrt_rtx",),
}
INSTALL: dict[str, str] = {
    TENSORRT: "on a Jetson it comes with JetPack, elsewhere 'pip install tensorrt', or "
    "'pip install tensorrt-lean-cu13-libs tensorrt-lean-cu13-bindings' for engines of "
    "--version-compat",
    TENSORRT_RTX: "pip install '.[tensorrt-rtx]'",
}
#: Logged as errors by TensorRT-RTX wherever there is no GPU, and harmless there.
NOISE = ("Thread context has not been set", "cudaError 35", "cudaError 100")


@dataclass
class Log:
    """What TensorRT complained of.

    Attributes:
        native: the ``ILogger`` to give TensorRT.
        errors: since the last :meth:`begin`.
    """

    native: Trt = None
    errors: list[str] = field(default_factory=list)

    def begin(self) -> None:
        """Forget earlier complaints: they have led to nothing."""
        self.errors.clear()

    @property
    def first(self) -> str:
        """The first thing it complained of that means something."""
        told = [text for text in self.errors if not any(noise in text for noise in NOISE)]
        return told[0] if told else "it does not say why"


def plugin_creators(registry: Trt, library: str, log: Log) -> list[dict[str, str]]:
    """Register a plugin library; the name and version of each creator of ours.

    Raises:
        InputError: it cannot be loaded, or holds no creator of ours.
    """
    try:
        handle = registry.load_library(library)
    except Exception as error:  # pybind raises several classes
        raise InputError(f"the plugin library '{library}' cannot be loaded: {error}") from None
    if handle is None:
        raise InputError(f"the plugin library '{library}' cannot be loaded: {log.first}")
    creators = [
        {"name": str(creator.name), "version": str(creator.plugin_version)}
        for creator in registry.all_creators
        if getattr(creator, "plugin_namespace", "") == OP_DOMAIN
    ]
    if not creators:
        raise InputError(f"'{library}' holds no plugin of namespace '{OP_DOMAIN}'")
    return creators


@dataclass(frozen=True)
class TensorRtModule:
    """A module that runs engines, imported.

    Attributes:
        flavour: ``tensorrt`` or ``tensorrt-rtx``.
        name: of the Python module.
        trt: the module itself.
    """

    flavour: str
    name: str
    trt: ModuleType
    log: Log

    @property
    def version(self) -> str:
        return str(self.trt.__version__)

    @property
    def lean(self) -> bool:
        """Whether it has no builder and so runs version-compatible engines alone."""
        return "lean" in self.name

    @property
    def title(self) -> str:
        """How messages call it."""
        return f"TensorRT's lean runtime ({self.name})" if self.lean else self.flavour

    def plugins(self, library: str) -> list[dict[str, str]]:
        """The plugin's creators; the library is loaded once per process.

        Raises:
            InputError: as :func:`plugin_creators`.
        """
        return _plugins_once(self.name, library)


def module_name(flavour: str) -> str | None:
    """The module of a flavour that is installed; None without one."""
    return next((name for name in MODULES[flavour] if has_module(name)), None)


@cache
def load_module(name: str) -> TensorRtModule:
    """Import a module of :data:`MODULES`.

    Raises:
        InputError: it is there and cannot be imported.
    """
    flavour = next(key for key, names in MODULES.items() if name in names)
    try:
        trt = importlib.import_module(name)
    except Exception as error:  # a missing library is an OSError, or an error of pybind's
        raise InputError(
            f"{name} cannot be imported ({reason(error)}): {INSTALL[flavour]}"
        ) from None
    log = Log()
    log.native = _logger(trt, log)
    return TensorRtModule(flavour, name, trt, log)


def _logger(trt: ModuleType, log: Log) -> Trt:
    class Logger(trt.ILogger):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)

        def log(self, severity: Trt, msg: str) -> None:
            if severity.name in ("ERROR", "INTERNAL_ERROR"):
                log.errors.append(msg)

    return Logger()


@cache
def _plugins_once(name: str, library: str) -> list[dict[str, str]]:
    module = load_module(name)
    module.log.begin()
    return plugin_creators(module.trt.get_plugin_registry(), library, module.log)
