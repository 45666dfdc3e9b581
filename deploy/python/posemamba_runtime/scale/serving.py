"""Servers on Ray Serve: it starts them, looks after their health and replaces those that end."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from types import ModuleType
from typing import Any

from posemamba_runtime.ending import end_at_sigterm
from posemamba_runtime.errors import BackendFailed, BadArgument, Error
from posemamba_runtime.scale import cluster, require
from posemamba_runtime.scale.options import ServeOptions
from posemamba_runtime.scale.server import Server
from posemamba_runtime.text import printable

APPLICATION = "posemamba"
_HEALTH_EVERY_S = 2.0
_LOOK_EVERY_S = 0.5


class Replica:
    """What Ray Serve holds: a server, and an answer to whether it is well."""

    def __init__(self, options: ServeOptions) -> None:
        self._server = Server(options)

    def check_health(self) -> None:
        """Raise where Ray Serve shall replace this replica."""
        self._server.health()

    def health(self) -> dict[str, Any]:
        """As the address ``/health`` tells."""
        return self._server.health()

    def __del__(self) -> None:
        if hasattr(self, "_server"):
            self._server.close()


def serve(
    options: ServeOptions, *, replicas: int, address: str, ready: Callable[[dict[str, Any]], None]
) -> None:
    """Serve until the process is interrupted.

    Args:
        address: of the Ray to run on, as :func:`posemamba_runtime.scale.cluster.connected` takes.
        ready: called once with the health of a replica.

    Raises:
        Missing: Ray is not installed, or none answers.
        BadArgument: more replicas than the cluster has room for.
        BackendFailed: a replica cannot start; its own sentence is told.
    """
    with cluster.connected(address) as ray:
        needs = cluster.needs_of(options.model, options.backend, options.threads or 1)
        room = cluster.room_for(ray, needs)
        if replicas > room:
            raise BadArgument(f"--replicas {replicas}: the cluster has room for {room}")
        api = require.ray("serve")
        logging.getLogger("ray.serve").setLevel(logging.ERROR)
        api.start(proxy_location="Disabled")  # clients reach the replicas themselves
        deployment = api.deployment(
            Replica,
            name=APPLICATION,
            num_replicas=replicas,
            health_check_period_s=_HEALTH_EVERY_S,
            graceful_shutdown_timeout_s=_HEALTH_EVERY_S,
            ray_actor_options=needs,
        )
        try:
            handle = api.run(deployment.bind(options), name=APPLICATION, route_prefix=None)
            ready(handle.health.remote().result())
        except Error:
            raise
        except Exception as error:  # Ray's, with a traceback for a message
            raise BackendFailed(_reason(api, error)) from None
        end_at_sigterm()
        try:
            while True:
                time.sleep(_LOOK_EVERY_S)
        finally:
            with cluster.silence():  # its parts complain of each other's end
                api.shutdown()
                ray.shutdown()


def _reason(api: ModuleType, error: Exception) -> str:
    """The line of ours in what Ray tells of a replica that does not start."""
    told = [str(error)]
    for application in api.status().applications.values():
        told += [deployment.message for deployment in application.deployments.values()]
    lines = [line.strip() for text in told for line in text.splitlines() if line.strip()]
    ours = [line for line in lines if line.startswith("posemamba_runtime.")]
    if ours:
        return printable(ours[-1].partition(": ")[2], 400)
    return f"Ray Serve: {printable(lines[0] if lines else type(error).__name__, 300)}"
