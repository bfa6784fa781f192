"""What all attempts share: the given, the word for being kept from something, and the C library."""

from __future__ import annotations

import ctypes
import errno
import os
import platform
from collections.abc import Callable, Iterator
from typing import TypeAlias

Given: TypeAlias = dict[str, str]
"""What the host has planted, by name."""
Attempt: TypeAlias = Callable[[Given], str]

libc = ctypes.CDLL(None, use_errno=True)

# (x86-64, aarch64)
_NUMBERS = {
    "clone": (56, 220),
    "pivot_root": (155, 41),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "pidfd_getfd": (438, 438),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    "fsopen": (430, 430),
    "open_tree": (428, 428),
    "add_key": (248, 217),
    "keyctl": (250, 219),
    "io_uring_setup": (425, 425),
    "bpf": (321, 280),
    "userfaultfd": (323, 282),
    "perf_event_open": (298, 241),
    "init_module": (175, 105),
    "kexec_file_load": (320, 294),
    "clock_adjtime": (305, 266),
    "swapon": (167, 224),
    "syslog": (103, 116),
    "fanotify_init": (300, 262),
}


class Kept(Exception):
    """Nothing refused, and nothing was there."""


def system_call(name: str, *arguments: object) -> int:
    """Raises OSError."""
    number = _NUMBERS[name][0 if platform.machine() == "x86_64" else 1]
    words = [ctypes.c_long(one) if isinstance(one, int) else one for one in arguments]
    return answered(libc.syscall(ctypes.c_long(number), *words))


def answered(result: int) -> int:
    """Raises OSError where the C library says -1."""
    if result == -1:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return int(result)


def let_through(
    name: str, *arguments: object, refusals: tuple[int, ...] = (errno.EPERM, errno.ENOSYS, errno.EACCES)
) -> str:
    """A call with arguments that cannot work: whether it was refused before anybody looked at them. Raises OSError if it was."""
    try:
        system_call(name, *arguments)
    except OSError as error:
        if error.errno in refusals:
            raise
        return f"only its arguments were wrong: {error.strerror}"
    return "done"


def holding(given: Given, content: str, where: str) -> str:
    """Raises Kept where the secret is not in `content`."""
    if given["canary"] not in content:
        raise Kept(f"{where} holds nothing of the host's")
    return f"read the secret from {where}"


def read(path: str) -> str:
    with open(path, "rb") as file:
        return file.read(1 << 20).decode(errors="replace")


def processes() -> Iterator[str]:
    return (name for name in os.listdir("/proc") if name.isdigit())


def victims(given: Given) -> list[int]:
    """The processes here that are the host's. Raises Kept."""
    found = []
    for pid in processes():
        try:
            if given["mark"] in read(f"/proc/{pid}/cmdline"):
                found.append(int(pid))
        except OSError:
            continue
    if not found:
        raise Kept("no process of the host is to be seen")
    return found
