"""Attempts on other processes and their memory. The rule of this room: only the process that the host has planted is touched."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import time

from .kept import Attempt, Given, Kept, answered, holding, libc, processes, read, system_call, victims

PTRACE_SEIZE = 0x4206
SETUID_SECONDS = 1.0
SETUID_PROGRAMS = ("/usr/bin/su", "/usr/bin/passwd", "/usr/bin/chsh", "/usr/bin/newgrp", "/usr/bin/mount")


def see(given: Given) -> str:
    return f"sees {victims(given)}"


def environments(given: Given) -> str:
    for pid in processes():
        with contextlib.suppress(OSError, Kept):
            return holding(given, read(f"/proc/{pid}/environ"), f"/proc/{pid}/environ")
    raise Kept("no environment holds anything of the host's")


def own_environment(given: Given) -> str:
    return holding(given, "\n".join(os.environ.values()), "its own environment")


def descriptors(given: Given) -> str:
    for fd in range(3, 64):
        with contextlib.suppress(OSError, Kept):
            return holding(given, os.pread(fd, 4096, 0).decode(errors="replace"), f"descriptor {fd}")
    raise Kept("no descriptor of the host's is open")


def memory(given: Given) -> str:
    return f"read {read(f'/proc/{victims(given)[0]}/maps').splitlines()[0]!r}"


def trace(given: Given) -> str:
    pid = _victim_or_number(given)
    system_call("ptrace", PTRACE_SEIZE, pid, 0, 0)
    return f"traces process {pid}"


class _Part(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


def read_memory(given: Given) -> str:
    pid = _victim_or_number(given)
    start = 0x400000
    with contextlib.suppress(OSError):
        start = int(read(f"/proc/{pid}/maps").split("-")[0], 16)
    buffer = ctypes.create_string_buffer(16)
    here, there = _Part(ctypes.addressof(buffer), 16), _Part(start, 16)
    got = system_call("process_vm_readv", pid, ctypes.byref(here), 1, ctypes.byref(there), 1, 0)
    return f"read {got} bytes of process {pid}"


def take_descriptor(given: Given) -> str:
    pidfd = os.pidfd_open(_victim_or_number(given))
    return f"took descriptor {system_call('pidfd_getfd', pidfd, 0, 0)}"


def strike(given: Given) -> str:
    """By its number as the host knows it. The host looks whether it arrived."""
    if int(given["victim"]) in (os.getpid(), os.getppid(), 1):
        raise Kept("the number is one of ours")
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    os.kill(int(given["victim"]), signal.SIGUSR1)
    return "sent a signal"


def priority(given: Given) -> str:
    pid = _victim_or_number(given)
    os.setpriority(os.PRIO_PROCESS, pid, os.getpriority(os.PRIO_PROCESS, pid))
    return f"set the priority of process {pid}"


def namespaces(given: Given) -> str:
    pid = _victim_or_number(given)
    for name in ("net", "mnt", "ipc", "uts"):
        fd = os.open(f"/proc/{pid}/ns/{name}", os.O_RDONLY)
        answered(libc.setns(fd, 0))
    return f"entered the namespaces of process {pid}"


def become_root(_given: Given) -> str:
    os.setgroups([0])
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)
    return "is root"


def capabilities(_given: Given) -> str:
    held = [
        line for line in read("/proc/self/status").splitlines() if line.startswith("Cap") and int(line.split()[1], 16)
    ]
    if not [line for line in held if line.startswith(("CapEff", "CapPrm"))]:
        raise Kept(f"holds none; may be given: {held or 'none'}")
    return ", ".join(held)


def setuid_program(_given: Given) -> str:
    """Whether a program with the setuid bit runs as somebody else than who started it."""
    if os.getuid() == 0:
        raise Kept("is root already")
    for program in filter(os.path.exists, SETUID_PROGRAMS):
        if (seen := _effective_ids(program)) is not None:
            return f"{program} ran as {seen}"
    raise Kept("every program runs as who started it")


def _effective_ids(program: str) -> str | None:
    reading, writing = os.pipe()
    if (pid := os.fork()) == 0:
        os.dup2(reading, 0)
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.dup2(null, 2)
        os.execv(program, [program])
    try:
        until = time.monotonic() + SETUID_SECONDS
        while time.monotonic() < until:
            with contextlib.suppress(OSError, StopIteration):
                ids = next(line for line in read(f"/proc/{pid}/status").splitlines() if line.startswith("Uid:")).split()
                if ids[1] != ids[2]:
                    return f"user {ids[2]}"
            if os.waitpid(pid, os.WNOHANG)[0]:
                pid = 0
                return None
        return None
    finally:
        os.close(writing)
        os.close(reading)
        if pid:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)


def shared_memory(given: Given) -> str:
    libc.shmat.restype = ctypes.c_void_p
    found = answered(libc.shmget(int(given["shm_key"]), 0, 0))
    address = libc.shmat(found, None, 0o10000)
    if address in (None, ctypes.c_void_p(-1).value):
        raise OSError(ctypes.get_errno(), "shmat")
    return holding(given, ctypes.string_at(address, 256).decode(errors="replace"), "shared memory")


def shared_file(given: Given) -> str:
    return holding(given, read(given["shm_file"]), given["shm_file"])


def _victim_or_number(given: Given) -> int:
    """The planted process; where none is to be seen, the number that it has on the host. Raises Kept where that is ours."""
    with contextlib.suppress(Kept):
        return victims(given)[0]
    if given["victim"] in processes():
        raise Kept("no process of the host is to be seen, and its number is one of ours")
    return int(given["victim"])


ATTEMPTS: dict[str, Attempt] = {
    "see-processes": see,
    "environments": environments,
    "own-environment": own_environment,
    "descriptors": descriptors,
    "process-maps": memory,
    "ptrace": trace,
    "process-memory": read_memory,
    "pidfd-getfd": take_descriptor,
    "signal": strike,
    "priority": priority,
    "namespaces": namespaces,
    "become-root": become_root,
    "capabilities": capabilities,
    "setuid-program": setuid_program,
    "shared-memory": shared_memory,
    "shared-file": shared_file,
}
