"""Attempts on the kernel: mounts, namespaces, settings, devices, and the calls that nobody needs. The rule of this room: what is
set is set to what it was, and what is mounted is unmounted at once."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import signal
import stat
import struct
import termios

from .kept import Attempt, Given, Kept, answered, let_through, libc, read, system_call

AT_FDCWD = -100
NEW_USER, NEW_NET, NEW_NS = 0x10000000, 0x40000000, 0x00020000
MS_REMOUNT_BIND, MS_RDONLY = 32 | 4096, 1
ADJ_STATUS = 0x10
_DEVICES = (
    "/dev/mem",
    "/dev/kmsg",
    "/dev/sda",
    "/dev/vda",
    "/dev/nvme0n1",
    "/dev/kvm",
    "/dev/fuse",
    "/dev/net/tun",
    "/dev/loop0",
)


def mount(_given: Given) -> str:
    os.makedirs("mounted", exist_ok=True)
    answered(libc.mount(b"none", b"mounted", b"tmpfs", 0, None))
    answered(libc.umount2(b"mounted", 2))
    return "mounted a file system"


def remount(_given: Given) -> str:
    answered(libc.mount(b"none", b"/usr", b"none", MS_REMOUNT_BIND, None))
    return "made /usr writable"


def unmount(_given: Given) -> str:
    answered(libc.umount2(b"/proc/sys", 2))
    return "uncovered /proc/sys"


def new_mount(_given: Given) -> str:
    os.close(system_call("fsopen", b"tmpfs", 0))
    return "opened a file system"


def open_tree(_given: Given) -> str:
    os.close(system_call("open_tree", AT_FDCWD, b"/", 1))
    return "cloned the root's mount"


def pivot_root(_given: Given) -> str:
    return let_through("pivot_root", b".", b".")


def chroot(_given: Given) -> str:
    os.chroot(".")
    return "has another root"


def user_namespace(_given: Given) -> str:
    answered(libc.unshare(NEW_USER))
    return "has a user namespace of its own"


def user_namespace_by_clone(_given: Given) -> str:
    pid = system_call("clone", NEW_USER | signal.SIGCHLD, 0, 0, 0, 0)
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    return "has a child in a user namespace"


def network_namespace(_given: Given) -> str:
    answered(libc.unshare(NEW_NET))
    return "has a network of its own"


def mount_namespace(_given: Given) -> str:
    answered(libc.unshare(NEW_NS))
    return "has mounts of its own"


def core_pattern(_given: Given) -> str:
    return _write_back("/proc/sys/kernel/core_pattern")


def kernel_setting(_given: Given) -> str:
    return _write_back("/proc/sys/vm/swappiness")


def sysrq(_given: Given) -> str:
    os.close(os.open("/proc/sysrq-trigger", os.O_WRONLY))
    return "could write /proc/sysrq-trigger"


def kernel_memory(_given: Given) -> str:
    with open("/proc/kcore", "rb") as file:
        return f"read {len(file.read(64))} bytes of /proc/kcore"


def kernel_log(_given: Given) -> str:
    return f"has read {system_call('syslog', 3, ctypes.create_string_buffer(64), 64)} bytes of the kernel's log"


def sysfs(_given: Given) -> str:
    return f"sees {len(os.listdir('/sys/class'))} classes of devices"


def control_group(_given: Given) -> str:
    """Into another group, by whatever hierarchy is there. It goes where it is already."""
    for line in read("/proc/self/mountinfo").splitlines():
        if " - cgroup" not in line:
            continue
        mounted = line.split()[4]
        with contextlib.suppress(OSError):
            _write(f"{mounted}/{_own_group(mounted)}/cgroup.procs", "0")
            return f"could choose a group in {mounted}"
    raise Kept("no hierarchy of control groups can be written")


def _own_group(mounted: str) -> str:
    for line in read("/proc/self/cgroup").splitlines():
        _, controllers, home = line.split(":", 2)
        if controllers and mounted.endswith("/" + controllers.removeprefix("name=")):
            return home.lstrip("/")
    return next((line[3:].lstrip("/") for line in read("/proc/self/cgroup").splitlines() if line.startswith("0::")), "")


def devices(_given: Given) -> str:
    opened = []
    for path in _DEVICES:
        with contextlib.suppress(OSError):
            os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK))
            opened.append(path)
    if not opened:
        raise Kept("there are no devices but harmless ones")
    return f"opened {', '.join(opened)}"


def make_device(_given: Given) -> str:
    os.mknod("device", 0o600 | stat.S_IFBLK, os.makedev(7, 0))
    os.unlink("device")
    return "made a block device"


def terminal_input(_given: Given) -> str:
    """As if somebody had typed it, into a terminal of its own."""
    _, inner = os.openpty()
    os.setsid()
    fcntl.ioctl(inner, termios.TIOCSCTTY, 0)
    fcntl.ioctl(inner, termios.TIOCSTI, b"x")
    return "typed a character"


def keyring(_given: Given) -> str:
    return f"has key {system_call('add_key', b'user', b'penstock-selftest', b'x', 1, -1)} in its keyring"  # of its thread only


def session_keyring(_given: Given) -> str:
    return f"has keyring {system_call('keyctl', 0, -4, 0)}"


def io_uring(_given: Given) -> str:
    os.close(system_call("io_uring_setup", 1, ctypes.create_string_buffer(120)))
    return "has a ring"


def bpf(_given: Given) -> str:
    asked = ctypes.create_string_buffer(struct.pack("=IIII", 2, 4, 4, 1).ljust(128, b"\0"))
    os.close(system_call("bpf", 0, asked, 128))
    return "has a map"


def userfaultfd(_given: Given) -> str:
    os.close(system_call("userfaultfd", 1))
    return "handles its own page faults"


def perf(_given: Given) -> str:
    asked = ctypes.create_string_buffer(
        struct.pack("=IIQ", 1, 112, 0).ljust(40, b"\0") + struct.pack("=Q", 0x60).ljust(72, b"\0")
    )
    os.close(system_call("perf_event_open", asked, 0, -1, -1, 0))
    return "counts events"


def fanotify(_given: Given) -> str:
    os.close(system_call("fanotify_init", 0x200, os.O_RDONLY))  # FAN_REPORT_FID: since 5.13 for everybody
    return "is told of file events"


def module(_given: Given) -> str:
    return let_through("init_module", None, 0, b"")


def kexec(_given: Given) -> str:
    return let_through("kexec_file_load", -1, -1, 0, None, 0xFFFF)


def swap(_given: Given) -> str:
    return let_through("swapon", b"/nonexistent", 0)


def host_name(_given: Given) -> str:
    name = os.uname().nodename.encode()
    answered(libc.sethostname(name, len(name)))
    return "set the host's name (to what it was)"


def clock(_given: Given) -> str:
    """Its status, to what it is: needs the right to set the clock, and sets nothing."""
    asked = ctypes.create_string_buffer(256)
    libc.adjtimex(asked)
    struct.pack_into("=I", asked, 0, ADJ_STATUS)
    system_call("clock_adjtime", 0, asked)
    return "may set the clock"


def _write_back(path: str) -> str:
    was = read(path)
    _write(path, was)
    return f"wrote {path} (what was in it)"


def _write(path: str, content: str) -> None:
    fd = os.open(path, os.O_WRONLY)
    try:
        os.write(fd, content.encode())
    finally:
        os.close(fd)


ATTEMPTS: dict[str, Attempt] = {
    "mount": mount,
    "remount": remount,
    "unmount": unmount,
    "fsopen": new_mount,
    "open-tree": open_tree,
    "pivot-root": pivot_root,
    "chroot": chroot,
    "user-namespace": user_namespace,
    "user-namespace-by-clone": user_namespace_by_clone,
    "network-namespace": network_namespace,
    "mount-namespace": mount_namespace,
    "core-pattern": core_pattern,
    "kernel-setting": kernel_setting,
    "sysrq": sysrq,
    "kernel-memory": kernel_memory,
    "kernel-log": kernel_log,
    "sysfs": sysfs,
    "control-group": control_group,
    "devices": devices,
    "make-device": make_device,
    "terminal-input": terminal_input,
    "keyring": keyring,
    "session-keyring": session_keyring,
    "io-uring": io_uring,
    "bpf": bpf,
    "userfaultfd": userfaultfd,
    "perf-events": perf,
    "fanotify": fanotify,
    "kernel-module": module,
    "kexec": kexec,
    "swap": swap,
    "host-name": host_name,
    "clock": clock,
}
