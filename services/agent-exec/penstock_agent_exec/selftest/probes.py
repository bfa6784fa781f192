"""The list of attempts, in words, and making them: without the sandbox, then in it.

The rule of this room: both times by the same lines. What is not made without the sandbox is not made for a reason that is told.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal, TypeAlias

import msgspec
from msgspec import Struct

from penstock_agent_exec.process import Watch, run_child
from penstock_agent_exec.sandbox import Bind, Profile, python_program
from penstock_agent_exec.selftest.planted import Planted

How: TypeAlias = Literal["did", "kept", "broken"]

ALL_SECONDS_MAX: Final = 180.0
ARRIVED_SECONDS_MAX: Final = 10.0
HERE: Final = Path(__file__).parent
INSIDE: Final = "/selftest"
_WOULD_CHANGE: Final = "it would change this host"

WORDS: Final[dict[str, str]] = {
    "host-file": "read a file of the host",
    "other-task-read": "read another task's clone",
    "other-task-write": "write into another task's clone",
    "data-folder": "list the executor's data folder",
    "mirror-write": "write into the mirror's objects",
    "write-outside": "write a file of the host",
    "shadow": "read /etc/shadow",
    "accounts": "read the host's accounts",
    "host-id": "read the host's name or id",
    "symlink-read": "read through a symlink out of the clone",
    "symlink-write": "write through a symlink out of the clone",
    "hardlink": "link a file of the host into the clone",
    "symlink-race": "a folder that turns into a symlink while it is opened",
    "proc-root": "reach the host's files through /proc/<pid>/root and cwd",
    "proc-fd": "reach open files of the host through /proc/<pid>/fd",
    "file-handle": "open a file of the host by its inode",
    "system-write": "write below /usr",
    "etc-write": "write below /etc",
    "root-write": "write into /",
    "see-processes": "see a process of the host",
    "environments": "read the environment of a service",
    "own-environment": "find the executor's secrets in its own environment",
    "descriptors": "find descriptors of the executor open",
    "process-maps": "read the memory map of a service",
    "ptrace": "trace a process of the host",
    "process-memory": "read the memory of a process of the host",
    "pidfd-getfd": "take a descriptor from a process of the host",
    "signal": "send a signal to a process of the host",
    "priority": "change the priority of a process of the host",
    "namespaces": "enter the namespaces of a process of the host",
    "become-root": "become root",
    "capabilities": "hold a capability",
    "setuid-program": "become somebody else by a setuid program",
    "shared-memory": "attach shared memory of the host",
    "shared-file": "read /dev/shm of the host",
    "tcp-loopback": "connect to a service on the host's 127.0.0.1",
    "tcp6-loopback": "connect to a service on the host's ::1",
    "udp-loopback": "ask a service on the host's loopback by UDP",
    "unix-abstract": "connect to an abstract unix socket of the host",
    "unix-path": "connect to a unix socket of the host by its path",
    "host-sockets": "connect to Docker, containerd, D-Bus, X11",
    "metadata-address": "find a way to 169.254.169.254",
    "internet": "find a way to the internet",
    "name-server": "ask a name server",
    "interfaces": "have another interface than a loopback of its own",
    "connections": "see the host's connections",
    "raw-socket": "make a raw socket",
    "packet-socket": "make a packet socket",
    "uevent-socket": "make a netlink socket for device events",
    "netfilter-socket": "make a netlink socket for the firewall",
    "vsock": "make a socket to the hypervisor",
    "kernel-crypto": "make a socket to the kernel's ciphers",
    "mount": "mount a file system",
    "remount": "make /usr writable",
    "unmount": "uncover what /proc/sys hides",
    "fsopen": "open a file system by the new calls",
    "open-tree": "clone a mount",
    "pivot-root": "change the root of the mounts",
    "chroot": "change its root",
    "user-namespace": "make a user namespace",
    "user-namespace-by-clone": "make a user namespace by clone",
    "network-namespace": "make a network namespace",
    "mount-namespace": "make a mount namespace",
    "core-pattern": "set what the host runs on a crash",
    "kernel-setting": "set a kernel setting",
    "sysrq": "open /proc/sysrq-trigger",
    "kernel-memory": "read /proc/kcore",
    "kernel-log": "read the kernel's log",
    "sysfs": "see the host's devices in /sys",
    "control-group": "leave its control group",
    "devices": "open a device of the host",
    "make-device": "make a device",
    "terminal-input": "type into a terminal (TIOCSTI)",
    "keyring": "add a key to a keyring",
    "session-keyring": "reach the session's keyring",
    "io-uring": "make an io_uring",
    "bpf": "make a BPF map",
    "userfaultfd": "handle page faults (userfaultfd)",
    "perf-events": "open performance events",
    "fanotify": "watch a file system (fanotify)",
    "kernel-module": "load a kernel module",
    "kexec": "load another kernel",
    "swap": "add swap space",
    "host-name": "set the host's name",
    "clock": "set the host's clock",
}
NOT_OUTSIDE: Final = {"remount": _WOULD_CHANGE, "unmount": _WOULD_CHANGE}


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What an attempt came to. `outside` is None where it was not made there, and `outside_saw` is then the reason."""

    name: str
    words: str
    inside: How
    inside_saw: str
    outside: How | None
    outside_saw: str

    @property
    def held(self) -> bool:
        """The sandbox has kept it off. An attempt that is broken has shown nothing."""
        return self.inside == "kept" and self.outside != "broken"

    @property
    def proven(self) -> bool:
        """It was seen to succeed without the sandbox."""
        return self.outside == "did"


class _Line(Struct):
    name: str
    how: How
    saw: str


async def attempt_all(there: Planted, profile: Profile, names: Sequence[str]) -> list[Result]:
    """Raises ChildNotStarted, OSError, TimeoutError."""
    outside = await _outside(there, [name for name in names if name not in NOT_OUTSIDE])
    inside = await _inside(there, profile, names)
    missing = _Line("", "broken", "no answer")
    results = []
    for name in names:
        without = outside.get(name, missing) if name not in NOT_OUTSIDE else None
        within = inside.get(name, missing)
        results.append(
            Result(
                name=name,
                words=WORDS[name],
                inside=within.how,
                inside_saw=within.saw,
                outside=None if without is None else without.how,
                outside_saw=NOT_OUTSIDE[name] if without is None else without.saw,
            )
        )
    return results


def _command(folder: Path | str) -> list[str]:
    run = f"import runpy, sys; sys.path.insert(0, {str(folder)!r}); runpy.run_module('attempts', run_name='__main__')"
    return [str(python_program()), "-I", "-S", "-B", "-c", run]


async def _outside(there: Planted, names: Sequence[str]) -> dict[str, _Line]:
    place = there.root / "without"
    place.mkdir()
    ran = await asyncio.to_thread(
        subprocess.run,
        _command(HERE),
        input=_asked(there, names),
        env={"PATH": os.environ.get("PATH", ""), "PENSTOCK_FORGE_TOKEN": there.canary},
        cwd=place,
        pass_fds=[there.secret_fd],
        stdout=subprocess.PIPE,
        stderr=sys.stderr,
        timeout=ALL_SECONDS_MAX,
        check=False,
    )
    return _said(there, ran.stdout)


async def _inside(there: Planted, profile: Profile, names: Sequence[str]) -> dict[str, _Line]:
    printed = bytearray()

    async def keep(chunk: bytes) -> None:
        printed.extend(chunk)

    async def pass_on(chunk: bytes) -> None:
        sys.stderr.write(chunk.decode(errors="replace"))

    os.environ["PENSTOCK_FORGE_TOKEN"] = there.canary  # as an executor has its own: a child must not see it
    os.set_inheritable(there.secret_fd, True)
    try:
        await run_child(
            _command(INSIDE),
            with_attempts(profile),
            watch=Watch(wall_seconds=ALL_SECONDS_MAX),
            on_stdout=keep,
            on_stderr=pass_on,
            stdin=_asked(there, names),
        )
    finally:
        os.set_inheritable(there.secret_fd, False)
        del os.environ["PENSTOCK_FORGE_TOKEN"]
    return _said(there, bytes(printed))


def with_attempts(profile: Profile) -> Profile:
    """The profile, and the attempts' own files to read."""
    return replace(profile, binds=(*profile.binds, Bind(HERE / "attempts", f"{INSIDE}/attempts")))


def _asked(there: Planted, names: Sequence[str]) -> bytes:
    return json.dumps({"names": list(names), "given": there.given}).encode()


def _said(there: Planted, printed: bytes) -> dict[str, _Line]:
    lines = [msgspec.json.decode(line, type=_Line) for line in printed.splitlines()]
    found = {line.name: line for line in lines}
    if (signal := found.get("signal")) is not None and signal.how == "did":
        # Sending is not arriving: the process that it was for says whether it came.
        arrived = there.struck.wait(ARRIVED_SECONDS_MAX)
        there.struck.clear()
        found["signal"] = _Line("signal", "did" if arrived else "kept", "it arrived" if arrived else "it never arrived")
    return found
