"""The data folder: everything this installation has on disk. Its lock, secrets, ports, and what runs from it right now.

Rule of this room: nothing here is readable for others, a secret is drawn once and kept, and whoever does not hold the lock
only reads.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import fcntl
import json
import os
import secrets
import socket
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Final

import msgspec
from msgspec import Struct

from penstock_launcher.servers import free_port, write_private

FIRST_TOKEN: Final = "first-token"  # noqa: S105 - the name of a file
PORT_NAMES: Final = ("nats", "nats-monitor", "postgresql", "orchestrator", "agent-exec", "notifier", "api")
HTTP_PORT_PREFERRED: Final = 7433
LOCK_SECONDS_MAX: Final = 2.0
LOCK_PAUSE_SECONDS: Final = 0.01


class FolderInUse(RuntimeError):
    """Somebody else runs from this data folder. `pid` is None where it could not be read."""

    def __init__(self, path: Path, pid: int | None) -> None:
        super().__init__(f"a Penstock runs from {path} already (pid {pid or 'unknown'})")
        self.pid = pid


class PortTaken(RuntimeError):
    """The port that was asked for is somebody else's."""


class Running(Struct, frozen=True, kw_only=True):
    """What the launcher that holds the folder says about itself. `parts`: the pid of each, null while it does not run."""

    pid: int
    http_url: str
    nats_url: str
    nats_monitor_url: str
    postgres_port: int
    admin_urls: dict[str, str]
    parts: dict[str, int | None]


class DataFolder:
    """One folder on disk; made where it is missing."""

    def __init__(self, path: Path) -> None:
        self.path = path.expanduser().absolute()
        self.secrets = self.path / "secrets"
        self.logs = self.path / "logs"

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder. Raises FolderInUse. The lock ends with the process, however it ends."""
        self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.secrets.mkdir(exist_ok=True, mode=0o700)
        self.logs.mkdir(exist_ok=True, mode=0o700)
        with (self.path / "lock").open("a+") as file:
            self._lock(file)
            file.truncate(0)
            file.write(f"{os.getpid()}\n")
            file.flush()
            try:
                yield
            finally:
                (self.path / "running.json").unlink(missing_ok=True)
                file.truncate(0)

    def _lock(self, file: IO[str]) -> None:
        """Raises FolderInUse. Whoever only looks (`holder`) has the lock too, for an instant: that is waited out."""
        deadline = time.monotonic() + LOCK_SECONDS_MAX
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                if (pid := self.holder()) is not None or time.monotonic() > deadline:
                    raise FolderInUse(self.path, pid) from error
                time.sleep(LOCK_PAUSE_SECONDS)
            else:
                return

    def holder(self) -> int | None:
        """The pid of the launcher that holds the folder now, None where nobody does."""
        try:
            with (self.path / "lock").open() as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
                except BlockingIOError:
                    return int(file.read().strip() or 0) or None
        except (FileNotFoundError, ValueError):
            pass
        return None

    def secret(self, name: str) -> str:
        """The secret of that name; drawn at the first call. 43 characters, base64url."""
        path = self.secret_file(name)
        if not path.exists():
            write_private(path, secrets.token_urlsafe(32))
        return path.read_text().strip()

    def first_token(self) -> str:
        """The token of the api that this installation begins with: `penstock_<id>_<secret>`."""
        path = self.secret_file(FIRST_TOKEN)
        if not path.exists():
            write_private(path, f"penstock_{secrets.token_hex(8)}_{secrets.token_urlsafe(32)}")
        return path.read_text().strip()

    def secret_file(self, name: str) -> Path:
        return self.secrets / name

    def ports(self) -> dict[str, int]:
        """A free port for each of PORT_NAMES; the ones of the last time where they are still free."""
        path = self.path / "ports.json"
        kept: dict[str, int] = json.loads(path.read_text()) if path.exists() else {}
        chosen: dict[str, int] = {}
        for name in PORT_NAMES:
            port = kept.get(name, 0)
            while port == 0 or port in chosen.values() or not is_free(port):
                port = free_port()
            chosen[name] = port
        write_private(path, json.dumps(chosen))
        return chosen

    def http_port_known(self) -> int:
        """The port that clients of this installation know, or will."""
        path = self.path / "http-port"
        return int(path.read_text()) if path.exists() else HTTP_PORT_PREFERRED

    def http_port(self, asked: int | None) -> int:
        """The port of the HTTP API: the one asked for, the one of the last time, the preferred one, or any free one.

        Raises PortTaken when the one asked for is not free."""
        path = self.path / "http-port"
        if asked is not None:
            if (reason := port_problem(asked)) is not None:
                raise PortTaken(f"port {asked} of 127.0.0.1 {reason}: choose another with --port")
            port = asked
        else:
            port = self.http_port_known()
            if not is_free(port):
                port = free_port()
                if path.exists():
                    # For this once: the address that clients know is not given up because a stranger has it today.
                    return port
        write_private(path, str(port))
        return port

    def say_running(self, running: Running) -> None:
        """Leave word for `status` and for clients."""
        write_private(self.path / "running.json", msgspec.json.encode(running).decode())

    def running(self) -> Running | None:
        """What the holder says of itself, None where nobody holds the folder or it has not said yet."""
        if self.holder() is None:
            return None
        try:
            return msgspec.json.decode((self.path / "running.json").read_bytes(), type=Running)
        except FileNotFoundError:
            return None


def data_path(text: str) -> Path:
    """What `--data` says. Raises ArgumentTypeError where that is nothing: it would be whatever folder one stands in."""
    if not text.strip():
        raise argparse.ArgumentTypeError("it names no folder (a variable that is not set?)")
    return Path(text)


def default_path(environ: Mapping[str, str]) -> Path:
    """`$XDG_DATA_HOME/penstock`, by default `~/.local/share/penstock`."""
    home = Path(environ.get("XDG_DATA_HOME", ""))
    return (home if home.is_absolute() else Path("~/.local/share").expanduser()) / "penstock"


def is_free(port: int) -> bool:
    """Whether a server could listen on that port of 127.0.0.1 now."""
    return port_problem(port) is None


def port_problem(port: int) -> str | None:
    """Why no server of this account could listen on that port of 127.0.0.1 now; None where one could."""
    with socket.socket() as probe:
        # As servers do it: connections of an earlier server that still fade away do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            if error.errno == errno.EACCES:
                return "is not for ordinary accounts"
            return (
                "is in use by another program"
                if error.errno == errno.EADDRINUSE
                else f"cannot be had ({error.strerror})"
            )
        return None
