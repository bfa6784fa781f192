"""A service of Penstock as a child process: what it is told by its environment, and what its admin port says of it.

Rule of this room: a service sees the variables that are listed here for it and no others; secrets it gets as file names.
"""

from __future__ import annotations

import json
import signal
import sys
import urllib.error
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from penstock_launcher.child import ChildProcess, ends_with_launcher
from penstock_launcher.loopback import open_loopback

PROBE_SECONDS_MAX: Final = 2.0

ANY_SERVICE_SEES: Final = (
    "PATH",
    "HOME",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "TZ",
    "TMPDIR",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
)
"""What a program needs in order to be at home on this machine."""


class Service(ChildProcess):
    """`python -m <module>` with exactly `environ`."""

    def __init__(self, name: str, module: str, *, environ: Mapping[str, str], admin_port: int, log: Path) -> None:
        super().__init__(log)
        self.name = name
        self.admin_url = f"http://127.0.0.1:{admin_port}"
        self._module = module
        self._environ = {**environ, "PENSTOCK_ADMIN_PORT": str(admin_port)}

    def command(self) -> tuple[Sequence[str], Mapping[str, str]]:
        # SIGKILL when the launcher is gone: a service bears it at any moment, and nothing then holds it up.
        return ends_with_launcher([sys.executable, "-m", self._module], signal.SIGKILL), self._environ

    def problems(self) -> list[str]:
        return admin_problems(self.admin_url)


def admin_problems(admin_url: str) -> list[str]:
    """What the service's `/readyz` says it waits for; empty when it is ready."""
    try:
        with open_loopback(admin_url + "/readyz", PROBE_SECONDS_MAX):
            return []
    except urllib.error.HTTPError as error:
        with error:
            try:
                return [str(problem) for problem in json.load(error)["problems"]] or ["not ready"]
            except (ValueError, KeyError, TypeError):
                return [f"{admin_url}/readyz answers {error.code}"]
    except OSError as error:
        return [f"does not answer ({getattr(error, 'reason', error)})"]


def visible(names: Sequence[str], environ: Mapping[str, str]) -> dict[str, str]:
    """The variables of `names` that are set."""
    return {name: environ[name] for name in names if name in environ}
