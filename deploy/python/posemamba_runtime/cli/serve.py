"""``serve``: many cameras at once."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from posemamba_runtime.cli.demo import check_model, model_path
from posemamba_runtime.cli.opening import open_lifter
from posemamba_runtime.keypoints.errors import InputError
from posemamba_runtime.scale import require


def serve(arguments: argparse.Namespace) -> None:
    """Serve until Ctrl-C.

    Raises:
        Error: one line that names the fix.
    """
    check_model(arguments.model)
    require.ray("serve")
    from posemamba_runtime.scale.access import is_loopback, read_token
    from posemamba_runtime.scale.options import ServeOptions
    from posemamba_runtime.scale.server import listening
    from posemamba_runtime.scale.serving import serve as serve_on_ray

    token = read_token(arguments.token_file) if arguments.token_file else ""
    if not token and not is_loopback(arguments.host):
        raise InputError(
            f"--host {arguments.host} lets other machines in: give --token-file as well"
        )
    model = model_path(arguments.model).resolve()
    if not arguments.ray:  # on this machine: what the replicas would fail with is said at once
        _refuse_taken(arguments.host, arguments.port)
        listening(arguments.host, arguments.port).close()
        with open_lifter(
            model, arguments.backend, arguments.threads, _tell, tf32=arguments.tf32
        ) as lifter:
            model = Path(lifter.info["model"])
    options = ServeOptions(
        model=str(model),
        token=token,
        **{
            name: getattr(arguments, name)
            for name in ServeOptions.__dataclass_fields__
            if name not in ("model", "token")
        },
    )

    def ready(health: dict[str, Any]) -> None:
        poses = arguments.rate / health["hop"]
        _tell(
            f"A window of {health['window']} frames takes {health['window_ms']:.1f} ms on "
            f"{health['backend']}: a pose every {health['hop']} frames, {poses:.2g} a second, for "
            f"{arguments.cameras} cameras at {arguments.rate:g} frames/s"
        )
        shown = f"[{arguments.host}]" if ":" in arguments.host else arguments.host
        where = f"{shown}:{arguments.port}"
        _tell(f"Cameras: ws://{where}/cameras/NAME   Page: http://{where}/   Ctrl-C ends it")

    serve_on_ray(options, replicas=arguments.replicas, address=arguments.ray, ready=ready)


def _refuse_taken(host: str, port: int) -> None:
    """A port that another server has: sharing it is for our own replicas alone."""
    import socket

    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.settimeout(1)
        if probe.connect_ex((host, port)) == 0:
            raise InputError(f"something answers on {host}:{port} already: choose another --port")


def _tell(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
