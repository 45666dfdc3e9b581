"""Names and secrets taken out of text that is sent to strangers."""

from __future__ import annotations

import getpass
import os
import platform
import re
import socket
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from posemamba.text import Json

HOME, USER, HOST, SECRET, ADDRESS = "~", "<user>", "<host>", "<secret>", "<address>"

_SECRET_NAME = re.compile(
    r"token|secret|passw|passphrase|credential|private|api_?key|access_?key|_key$|^key$|auth|cookie"
    r"|session|signature|webhook|dsn$",
    re.IGNORECASE,
)
_SHORTEST_SECRET = 6  # shorter values are words such as "1" or "yes"
_SHORTEST_NAME = 3
_COMMON = {"root", "user", "admin", "ubuntu", "nvidia", "jetson", "localhost", "runner", "home"}
"""Account and host names that name nobody."""

_IP = r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?![\w.])"  # a version of TensorRT has four numbers too
_PATTERNS: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), put)
    for pattern, put in (
        (r"-----BEGIN [A-Z ]*PRIVATE KEY--[\s\S]*?(?:--END [A-Z ]*PRIVATE KEY-----|\Z)", SECRET),
        (r"(?<=://)[^\s/@]+@", f"{SECRET}@"),  # user and password of an address
        (r"\b(?:gh[pousr]_|github_pat_|glpat-|hf_|sk-|pypi-|npm_|xox[a-z]-|nvapi-)[\w.-]{8,}",
         SECRET),
        (r"\b(?:AKIA|ASIA|AIza)[\w-]{12,}", SECRET),
        (r"\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*", SECRET),  # JSON web tokens
        (r"(?<=\bbearer )[\w.~+/=-]{6,}", SECRET),
        (r"(?<=\bbasic )[\w+/=-]{8,}", SECRET),
        (r"((?:token|secret|passw\w*|api[_-]?key|access[_-]?key|auth\w*)\s*[=:]\s*['\"]?)"
         r"[^\s'\",;&]{4,}", rf"\1{SECRET}"),
        (r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+", ADDRESS),
        (r"\b(?:[0-9a-f]{2}:){5}[0-9a-f]{2}\b", ADDRESS),
        (rf"(?:(?<=@)|(?<=//)){_IP}|{_IP}(?=[:/])", ADDRESS),
        (r"(?<![\w.])(?:192\.168|172\.(?:1[6-9]|2\d|3[01])|169\.254)\.\d+\.\d+(?![\w.])", ADDRESS),
        (r"(?:/home|/Users|/var/users|/export/home)/[^/\s:;,'\"]+", HOME),
        (r"[A-Z]:\\\\?Users\\\\?[^\\\s:;,'\"]+", HOME),
    )
)  # fmt: skip


class Scrubber:
    """Knows what to take out on this machine.

    Args:
        environment: variables; the values of those with secret names go wherever they turn up.
        names: of the account; hosts: of the machine; homes: folders that become ``~``.
    """

    def __init__(
        self,
        environment: Mapping[str, str],
        names: Iterable[str],
        hosts: Iterable[str],
        homes: Iterable[str],
    ) -> None:
        secrets = {
            value.strip()
            for name, value in environment.items()
            if _SECRET_NAME.search(name) and len(value.strip()) >= _SHORTEST_SECRET
        }
        self._literal = [(value, SECRET) for value in secrets]
        self._literal += [(home, HOME) for home in homes if len(home) > 1]
        self._literal.sort(key=lambda pair: -len(pair[0]))  # the longer holds the shorter
        self._words = [
            (re.compile(rf"(?<![A-Za-z0-9]){re.escape(word)}(?![A-Za-z0-9])", re.IGNORECASE), put)
            for words, put in ((hosts, HOST), (names, USER))
            for word in sorted(set(words), key=len, reverse=True)
            if len(word) >= _SHORTEST_NAME and word.casefold() not in _COMMON
        ]

    @staticmethod
    def of_this_machine() -> Scrubber:
        """Of the process's environment, account and host."""
        environment = dict(os.environ)
        names = [environment.get(key, "") for key in ("USER", "LOGNAME", "USERNAME", "SUDO_USER")]
        with suppress(KeyError, OSError, ImportError):  # no such account
            names.append(getpass.getuser())
        hosts = [platform.node(), socket.gethostname(), environment.get("HOSTNAME", "")]
        hosts += [host.partition(".")[0] for host in hosts]
        homes = [environment.get("HOME", ""), environment.get("USERPROFILE", "")]
        with suppress(RuntimeError):  # no such account
            homes.append(str(Path.home()))
        return Scrubber(environment, names, hosts, [home.rstrip("/\\") for home in homes])

    def text(self, text: str) -> str:
        """The text without them."""
        for value, put in self._literal:
            text = text.replace(value, put)
        for pattern, put in (*_PATTERNS, *self._words):
            text = pattern.sub(put, text)
        return text

    def values(self, value: Json) -> Json:
        """The same for every text of a JSON value, names of fields apart."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {key: self.values(inner) for key, inner in value.items()}
        if isinstance(value, list | tuple):
            return [self.values(inner) for inner in value]
        return value
