"""Attempts to read and write files of the host. The rule of this room: the host's secret is the proof, never a listing's look."""

from __future__ import annotations

import contextlib
import ctypes
import os
import threading
import time
from pathlib import Path

from .kept import Attempt, Given, Kept, holding, processes, read, system_call

RACE_SECONDS = 0.3
RACE_PAUSE_SECONDS = 0.0002
AT_FDCWD = -100


def host_file(given: Given) -> str:
    return holding(given, read(given["secret_file"]), given["secret_file"])


def other_task(given: Given) -> str:
    return holding(given, read(given["other_file"]), given["other_file"])


def other_task_write(given: Given) -> str:
    return _create(str(Path(given["other_file"]).parent / "planted"))


def data_folder(given: Given) -> str:
    names = os.listdir(given["data"])
    if "installation" not in names:
        raise Kept(f"of the data folder only {names} is there")
    return f"listed {len(names)} names"


def git_mirror_write(given: Given) -> str:
    return _create(given["objects"] + "/planted")


def write_outside(given: Given) -> str:
    return _create(given["outside"] + "/planted")


def users(_given: Given) -> str:
    return f"read {len(read('/etc/shadow'))} bytes of /etc/shadow"


def accounts(given: Given) -> str:
    if read("/etc/passwd") != given["passwd"]:
        raise Kept("/etc/passwd is another one")
    return "read the host's accounts"


def identity(_given: Given) -> str:
    for path in ("/etc/machine-id", "/var/lib/dbus/machine-id", "/etc/hostname"):
        with contextlib.suppress(OSError):
            return f"{path}: {len(read(path))} bytes"
    raise Kept("no id of the host is there")


def symlink_read(given: Given) -> str:
    return holding(given, read(_link(given["secret_file"])), "a symlink")


def symlink_write(given: Given) -> str:
    return _create(_link(given["outside"] + "/planted-by-symlink"))


def hardlink(given: Given) -> str:
    os.link(given["secret_file"], "hardlink")
    try:
        return holding(given, read("hardlink"), "a hard link")
    finally:
        os.unlink("hardlink")


def race(given: Given) -> str:
    """A folder that is a symlink half of the time."""
    over = time.monotonic() + RACE_SECONDS

    def swap() -> None:
        while time.monotonic() < over:
            with contextlib.suppress(OSError):
                os.mkdir("racing")
                time.sleep(RACE_PAUSE_SECONDS)
                os.rmdir("racing")
                os.symlink(given["outside"], "racing")
                time.sleep(RACE_PAUSE_SECONDS)
                os.unlink("racing")

    swapping = threading.Thread(target=swap)
    swapping.start()
    try:
        while time.monotonic() < over:
            with contextlib.suppress(OSError):
                return holding(
                    given, read("racing/" + os.path.basename(given["secret_file"])), "a folder that was swapped"
                )
    finally:
        swapping.join()
    raise Kept("the swapped folder never led outside")


def by_proc_root(given: Given) -> str:
    return _by_proc(given, [f"{name}{given['secret_file']}" for name in ("root", "cwd/../../../../../../..")])


def by_proc_fd(given: Given) -> str:
    found: list[str] = []
    for pid in processes():
        with contextlib.suppress(OSError):
            found += [f"/proc/{pid}/fd/{fd}" for fd in os.listdir(f"/proc/{pid}/fd") if int(fd) > 2]
    for path in found:
        # Only files: what answers could make us wait.
        with contextlib.suppress(OSError, Kept):
            if os.path.isfile(path):
                return holding(given, read(path), path)
    raise Kept("no open file of the host is to be seen")


def by_handle(given: Given) -> str:
    """A file by its inode's number, through any folder of the same file system."""
    handle = ctypes.create_string_buffer(bytes.fromhex(given["handle"]))
    for folder in (".", "/", "/usr"):
        mount = os.open(folder, os.O_RDONLY)
        with contextlib.suppress(OSError, Kept):
            fd = system_call("open_by_handle_at", mount, handle, os.O_RDONLY)
            with os.fdopen(fd) as file:
                return holding(given, file.read(), f"a handle, by {folder}")
    mount = os.open(".", os.O_RDONLY)
    system_call("open_by_handle_at", mount, handle, os.O_RDONLY)
    raise Kept("the handle leads to another file")


def system_write(given: Given) -> str:
    return _create(f"/usr/.{given['mark']}", remove=True)


def settings_write(given: Given) -> str:
    return _create(f"/etc/.{given['mark']}", remove=True)


def root_write(given: Given) -> str:
    return _create(f"/.{given['mark']}", remove=True)


def _by_proc(given: Given, tails: list[str]) -> str:
    for pid in [*processes(), "self"]:
        for tail in tails:
            with contextlib.suppress(OSError, Kept):
                return holding(given, read(f"/proc/{pid}/{tail}"), f"/proc/{pid}/{tail}")
    raise Kept("no process leads to the host's files")


def _create(path: str, *, remove: bool = False) -> str:
    with open(path, "w") as file:
        file.write("planted by a selftest")
    if remove:
        os.unlink(path)
    return f"wrote {path}"


def _link(target: str) -> str:
    with contextlib.suppress(FileNotFoundError):
        os.unlink("link")
    os.symlink(target, "link")
    return "link"


ATTEMPTS: dict[str, Attempt] = {
    "host-file": host_file,
    "other-task-read": other_task,
    "other-task-write": other_task_write,
    "data-folder": data_folder,
    "mirror-write": git_mirror_write,
    "write-outside": write_outside,
    "shadow": users,
    "accounts": accounts,
    "host-id": identity,
    "symlink-read": symlink_read,
    "symlink-write": symlink_write,
    "hardlink": hardlink,
    "symlink-race": race,
    "proc-root": by_proc_root,
    "proc-fd": by_proc_fd,
    "file-handle": by_handle,
    "system-write": system_write,
    "etc-write": settings_write,
    "root-write": root_write,
}
