"""Who may talk to a server, and where it may listen without a token."""

from __future__ import annotations

import hmac
import ipaddress
from pathlib import Path
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection

from posemamba_runtime.keypoints.errors import InputError

_LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")
_SHORTEST_TOKEN = 16


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def read_token(path: str) -> str:
    """The first line of a file, so that no list of processes shows it.

    Raises:
        InputError: no such file, or a token that is easily guessed.
    """
    try:
        lines = Path(path).read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        raise InputError(f"--token-file '{path}' cannot be read: name a text file") from None
    token = lines[0].strip() if lines else ""
    if len(token) < _SHORTEST_TOKEN or not token.isascii():
        raise InputError(
            f"--token-file '{path}': its first line must have {_SHORTEST_TOKEN} plain characters "
            "or more: python3 -c 'import secrets; print(secrets.token_urlsafe())' writes one"
        )
    return token


def why_refused(connection: HTTPConnection, token: str) -> str:
    """A sentence, or empty for who may come in.

    A browser tells which page a connection comes from: other sites' pages may not use ours. Where
    no token is asked for, a name that was made to point at this machine is refused too.
    """
    host = connection.headers.get("host", "")
    origin = connection.headers.get("origin")
    try:
        site = host if origin is None else urlsplit(origin).netloc
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:  # a bracket that is never closed
        return "the request names no host"
    if site != host:
        return "the request comes from another site's page"
    if not token:
        return "" if name in _LOCAL_NAMES else "the server is reached by another name than its own"
    scheme, _, bearer = connection.headers.get("authorization", "").partition(" ")
    given = bearer if scheme.casefold() == "bearer" else connection.query_params.get("token", "")
    if hmac.compare_digest(given.encode(), token.encode()):
        return ""
    return "the token is missing or wrong: say 'Authorization: Bearer TOKEN', or '?token='"
