"""What the host plants for the attempts: a secret in every place where one could be got at, and services that give it away.

The rule of this room: everything is made by us, in a folder of its own, under random names, and goes when the selftest ends.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import pwd
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from penstock_agent_exec.folder import DataFolder, hold

VICTIM: Final = (
    "import signal, sys\n"
    "file = open(sys.argv[2])\n"
    "def struck(*_):\n    print('struck', flush=True)\n"
    "signal.signal(signal.SIGUSR1, struck)\n"
    "print('ready', flush=True)\n"
    "while True: signal.pause()\n"
)
SHM_BYTES: Final = 4_096
_IPC_CREAT_EXCL: Final = 0o1000 | 0o2000
_IPC_RMID: Final = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Planted:
    """A host with a service, two tasks and a secret. `given` is told to the attempts; `canary` is the secret."""

    root: Path
    folder: DataFolder
    canary: str
    given: dict[str, str]
    victim: subprocess.Popen[str]
    secret_fd: int
    struck: threading.Event = field(default_factory=threading.Event)

    @property
    def clone(self) -> Path:
        return self.folder.path / "tasks" / "mine" / "repo"

    @property
    def home(self) -> Path:
        return self.folder.path / "tasks" / "mine" / "home"

    @property
    def objects(self) -> Path:
        return self.folder.path / "mirrors" / "repo.git" / "objects"


@contextlib.contextmanager
def planted() -> Iterator[Planted]:
    """All of it, for as long as the attempts take. Raises OSError."""
    with contextlib.ExitStack() as stack:
        root = Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="penstock-selftest-", ignore_cleanup_errors=True))
        )
        folder = hold(root / "data")
        stack.callback(os.close, folder.lock)
        found = _files(root, folder, stack)
        _services(found, stack)
        yield found


def _files(root: Path, folder: DataFolder, stack: contextlib.ExitStack) -> Planted:
    canary, mark = f"canary-{secrets.token_hex(16)}", f"penstock-selftest-{secrets.token_hex(8)}"
    outside, other = root / "outside", folder.path / "tasks" / "other" / "repo"
    tasks = [folder.path / "tasks" / "mine" / name for name in ("repo", "home")]
    for place in (outside, other, *tasks, folder.path / "mirrors" / "repo.git" / "objects"):
        place.mkdir(parents=True)
    for secret in (outside / "secret", other / "secret"):
        secret.write_text(canary)
    secret_fd = os.open(outside / "secret", os.O_RDONLY)
    stack.callback(os.close, secret_fd)
    victim = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", VICTIM, mark, str(outside / "secret")],
        env={"PATH": os.environ.get("PATH", ""), "PENSTOCK_NATS_PASSWORD": canary},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )
    stack.callback(_end, victim)
    # Only one that is up holds the file open and knows the signal: an attempt that comes before would prove nothing.
    assert victim.stdout is not None
    assert victim.stdout.readline() == "ready\n"
    given = {
        "canary": canary,
        "mark": mark,
        "outside": str(outside),
        "secret_file": str(outside / "secret"),
        "other_file": str(other / "secret"),
        "data": str(folder.path),
        "objects": str(folder.path / "mirrors" / "repo.git" / "objects"),
        "victim": str(victim.pid),
        "passwd": Path("/etc/passwd").read_text(),
        "handle": _handle(outside / "secret"),
        "name_servers": " ".join(_name_servers()),
    }
    return Planted(root=root, folder=folder, canary=canary, given=given, victim=victim, secret_fd=secret_fd)


def _services(found: Planted, stack: contextlib.ExitStack) -> None:
    given, canary = found.given, found.canary.encode()
    given["abstract"] = given["mark"]
    given["socket"] = str(found.root / "outside" / "service")
    for name, family, address in (
        ("tcp_port", socket.AF_INET, ("127.0.0.1", 0)),
        ("tcp6_port", socket.AF_INET6, ("::1", 0)),
        ("", socket.AF_UNIX, "\0" + given["abstract"]),
        ("", socket.AF_UNIX, given["socket"]),
    ):
        try:
            server = socket.socket(family)
            server.bind(address)
        except OSError:
            given[name] = ""  # a host without IPv6
            continue
        server.listen(8)
        if name:
            given[name] = str(server.getsockname()[1])
        stack.callback(_shut, server)
        threading.Thread(target=_serve, args=(server, canary), daemon=True).start()
    asked = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    asked.bind(("127.0.0.1", 0))
    given["udp_port"] = str(asked.getsockname()[1])
    stack.callback(_shut, asked)
    threading.Thread(target=_answer, args=(asked, canary), daemon=True).start()
    threading.Thread(target=_listen, args=(found,), daemon=True).start()
    _shared(found, stack)


def _shared(found: Planted, stack: contextlib.ExitStack) -> None:
    path = Path("/dev/shm", found.given["mark"])  # noqa: S108  the host's own, on purpose
    path.write_text(found.canary)
    stack.callback(path.unlink, missing_ok=True)
    found.given["shm_file"] = str(path)
    libc = ctypes.CDLL(None, use_errno=True)
    libc.shmat.restype = ctypes.c_void_p
    key = secrets.randbelow(1 << 30) + 1
    segment = libc.shmget(key, SHM_BYTES, _IPC_CREAT_EXCL | 0o600)
    found.given["shm_key"] = str(key)
    if segment == -1:
        raise OSError(ctypes.get_errno(), "no shared memory can be made")
    stack.callback(libc.shmctl, segment, _IPC_RMID, None)
    address = libc.shmat(segment, None, 0)
    ctypes.memmove(address, found.canary.encode(), len(found.canary))
    libc.shmdt(ctypes.c_void_p(address))


def _serve(server: socket.socket, canary: bytes) -> None:
    with contextlib.suppress(OSError):
        while True:
            with server.accept()[0] as client:
                client.sendall(canary)


def _answer(asked: socket.socket, canary: bytes) -> None:
    with contextlib.suppress(OSError):
        while (address := asked.recvfrom(64)[1]) is not None:  # None once it is shut
            asked.sendto(canary, address)


def _listen(found: Planted) -> None:
    assert found.victim.stdout is not None
    for line in found.victim.stdout:
        if line.strip() == "struck":
            found.struck.set()


def _shut(server: socket.socket) -> None:
    with contextlib.suppress(OSError):
        server.shutdown(socket.SHUT_RDWR)
    server.close()


def _end(victim: subprocess.Popen[str]) -> None:
    victim.send_signal(signal.SIGKILL)
    victim.wait()


def _handle(path: Path) -> str:
    """The file's handle, as hexadecimal digits; empty where the file system has none."""
    handle = ctypes.create_string_buffer(8 + 128)
    ctypes.memmove(handle, (128).to_bytes(4, sys.byteorder), 4)
    mount = ctypes.c_int()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.name_to_handle_at(-100, os.fsencode(path), handle, ctypes.byref(mount), 0) == -1:
        return ""
    return handle.raw.hex()


def _name_servers() -> list[str]:
    with contextlib.suppress(OSError):
        lines = [line.split() for line in Path("/etc/resolv.conf").read_text().splitlines()]
        return [words[1] for words in lines if len(words) > 1 and words[0] == "nameserver"]
    return []


def account() -> str:
    """Whose rights are tried."""
    with contextlib.suppress(KeyError):
        return pwd.getpwuid(os.geteuid()).pw_name
    return str(os.geteuid())
