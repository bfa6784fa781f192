"""The system calls a child may not make: a seccomp filter as the kernel takes it, assembled here.

The rule of this room: what is denied answers as an older or a smaller kernel would, so that programs fall back. EPERM for what
a program may do elsewhere and not here, ENOSYS for an interface that has an older one beside it (clone3, io_uring, the new
mount calls), EAFNOSUPPORT for a family of sockets.

The namespaces already keep a child away from the host; this takes away the parts of the kernel that no build and no agent
needs, which is where holes in namespaces have been. ptrace stays: it reaches no further than the child's own processes, and
LeakSanitizer and every debugger live by it.
"""

from __future__ import annotations

import errno
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

# struct seccomp_data: nr at 0, arch at 4, instruction pointer at 8, six arguments of 64 bits from 16 on.
_NUMBER: Final = 0
_ARCH: Final = 4
_ARGUMENTS: Final = 16

_LOAD: Final = 0x20  # BPF_LD | BPF_W | BPF_ABS
_EQUAL: Final = 0x15  # BPF_JMP | BPF_JEQ | BPF_K
_AT_LEAST: Final = 0x35  # BPF_JMP | BPF_JGE | BPF_K
_ANY_BIT: Final = 0x45  # BPF_JMP | BPF_JSET | BPF_K
_RETURN: Final = 0x06  # BPF_RET | BPF_K

_ALLOW: Final = 0x7FFF0000
_ERRNO: Final = 0x00050000

_X32: Final = 0x40000000
"""On x86-64 a second set of numbers for the same calls begins here."""

_NAMESPACES: Final = (
    0x00000080 | 0x00020000 | 0x02000000 | 0x04000000 | 0x08000000 | 0x10000000 | 0x20000000 | 0x40000000
)
"""CLONE_NEWTIME, NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET."""
_NAMESPACES_OF_CLONE: Final = _NAMESPACES & ~0x80
"""Of clone, the lowest byte is a signal."""

_TERMINAL_INPUT: Final = (0x5412, 0x541C)
"""TIOCSTI and TIOCLINUX put characters where a person's would be."""

_FAMILIES: Final = (1, 2, 10)
"""AF_UNIX, AF_INET, AF_INET6."""
_NETLINK: Final = 16
_NETLINK_ROUTE: Final = 0
"""What getifaddrs asks, and with it os.networkInterfaces() of node, which throws where it may not."""

# name: (x86-64, aarch64); None where the call does not exist there.
_EPERM: Final[dict[str, tuple[int | None, int | None]]] = {
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "setns": (308, 268),
    "bpf": (321, 280),
    "userfaultfd": (323, 282),
    "perf_event_open": (298, 241),
    "keyctl": (250, 219),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "kcmp": (312, 272),
    "pidfd_getfd": (438, 438),
    "open_by_handle_at": (304, 265),
    "fanotify_init": (300, 262),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "reboot": (169, 142),
    "swapon": (167, 224),
    "swapoff": (168, 225),
    "acct": (163, 89),
    "quotactl": (179, 60),
    "quotactl_fd": (443, 443),
    "syslog": (103, 116),
    "settimeofday": (164, 170),
    "clock_settime": (227, 112),
    "clock_adjtime": (305, 266),
    "adjtimex": (159, 171),
    "sethostname": (170, 161),
    "setdomainname": (171, 162),
    "vhangup": (153, 58),
    "iopl": (172, None),
    "ioperm": (173, None),
}
_ENOSYS: Final[dict[str, tuple[int | None, int | None]]] = {
    "clone3": (435, 435),  # its flags are behind a pointer, where no filter can look
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
    "open_tree_attr": (467, 467),
    "lookup_dcookie": (212, 18),
    "nfsservctl": (180, 42),
    "uselib": (134, None),
    "_sysctl": (156, None),
}


@dataclass(frozen=True, slots=True)
class _Machine:
    """What differs between kinds of processors: the kernel's word for it, and numbers."""

    arch: int
    column: int
    clone: int
    unshare: int
    ioctl: int
    socket: int


_MACHINES: Final = {
    "x86_64": _Machine(arch=0xC000003E, column=0, clone=56, unshare=272, ioctl=16, socket=41),
    "aarch64": _Machine(arch=0xC00000B7, column=1, clone=220, unshare=97, ioctl=29, socket=198),
}


def filter_for(machine: str) -> bytes | None:
    """The filter for `platform.machine()`, as bubblewrap's `--seccomp` takes it; None for a processor that is not known here."""
    found = _MACHINES.get(machine)
    return None if found is None else b"".join(_assemble(found))


def _assemble(machine: _Machine) -> Iterator[bytes]:
    yield _op(_LOAD, _ARCH)
    # Another set of calls than this processor's own (32 bit programs on x86-64) would be another list of numbers.
    yield _op(_EQUAL, machine.arch, 1, 0)
    yield _deny(errno.ENOSYS)
    yield _op(_LOAD, _NUMBER)
    if machine.column == 0:
        yield _op(_AT_LEAST, _X32, 0, 1)
        yield _deny(errno.ENOSYS)
    for numbers, code in ((_EPERM, errno.EPERM), (_ENOSYS, errno.ENOSYS)):
        for pair in numbers.values():
            if (number := pair[machine.column]) is not None:
                yield from _when(number, [_deny(code)])
    yield from _when(machine.clone, _if_any_bit(0, _NAMESPACES_OF_CLONE))
    yield from _when(machine.unshare, _if_any_bit(0, _NAMESPACES))
    yield from _when(machine.ioctl, _if_one_of(1, _TERMINAL_INPUT))
    yield from _when(machine.socket, _sockets())
    yield _op(_RETURN, _ALLOW)


def _when(number: int, then: list[bytes]) -> Iterator[bytes]:
    """`then` where this call was made; it ends in a return."""
    yield _op(_EQUAL, number, 0, len(then))
    yield from then


def _if_any_bit(argument: int, bits: int) -> list[bytes]:
    return [_argument(argument), _op(_ANY_BIT, bits, 0, 1), _deny(errno.EPERM), _op(_RETURN, _ALLOW)]


def _if_one_of(argument: int, values: tuple[int, ...]) -> list[bytes]:
    compared = [op for value in values for op in (_op(_EQUAL, value, 0, 1), _deny(errno.EPERM))]
    return [_argument(argument), *compared, _op(_RETURN, _ALLOW)]


def _sockets() -> list[bytes]:
    allowed = [op for family in _FAMILIES for op in (_op(_EQUAL, family, 0, 1), _op(_RETURN, _ALLOW))]
    netlink = [
        _op(_EQUAL, _NETLINK, 0, 3),
        _argument(2),
        _op(_EQUAL, _NETLINK_ROUTE, 0, 1),
        _op(_RETURN, _ALLOW),
    ]
    return [_argument(0), *allowed, *netlink, _deny(errno.EAFNOSUPPORT)]


def _argument(index: int) -> bytes:
    """The lower half, which is what the kernel looks at in every call here: both processors are little-endian."""
    return _op(_LOAD, _ARGUMENTS + 8 * index)


def _deny(code: int) -> bytes:
    return _op(_RETURN, _ERRNO | code)


def _op(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)
