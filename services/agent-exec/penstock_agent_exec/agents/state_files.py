"""Files in an agent's home: ours, written before its program starts, and the program's own, looked for by name.

The rule of this room: agents have written in that folder before, and will have left links there if it paid. So nothing here
follows one: every part of a path is opened as what it must be, and whatever else stands in its place is removed. Nor is more
looked through than a bound, however much lies there.
"""

from __future__ import annotations

import contextlib
import fnmatch
import os
import secrets
import shutil
import stat
from collections import deque
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Final

_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW_FILE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC

ENTRIES_MAX: Final = 20_000
"""So many names are looked at for one pattern: some hundredths of a second."""

FOUND_MAX: Final = 256
DEPTH_MAX: Final = 32


def find_files(state_dir: Path, pattern: str) -> tuple[Path, ...]:
    """The plain files at `pattern` below `state_dir`, at most FOUND_MAX: `*`, `?` and `[...]` within one name, `**` for any
    number of folders. Names only, in no order; none where there is no such folder."""
    parts = tuple(pattern.split("/"))
    if {"", ".", ".."} & set(parts) or "\0" in pattern:
        return ()
    found: list[Path] = []
    queue: deque[tuple[tuple[str, ...], tuple[str, ...]]] = deque([((), parts)])
    room = ENTRIES_MAX
    while queue and room > 0 and len(found) < FOUND_MAX:
        folder, (wanted, *rest) = queue.popleft()
        if wanted == "**" and rest:
            queue.append((folder, tuple(rest)))
        for name, mode in _entries(state_dir, folder, wanted, room):
            room -= 1
            if stat.S_ISDIR(mode) and wanted == "**" and len(folder) < DEPTH_MAX:
                queue.append(((*folder, name), (wanted, *rest)))
            elif stat.S_ISDIR(mode) and rest and fnmatch.fnmatchcase(name, wanted):
                queue.append(((*folder, name), tuple(rest)))
            elif stat.S_ISREG(mode) and not rest and fnmatch.fnmatchcase(name, wanted):
                found.append(state_dir.joinpath(*folder, name))
    return tuple(dict.fromkeys(found[:FOUND_MAX]))


def _entries(state_dir: Path, folder: tuple[str, ...], wanted: str, room: int) -> Iterator[tuple[str, int]]:
    """Names in a folder with their modes, no link followed: the one that is wanted, or the first `room` where it is a pattern."""
    with contextlib.ExitStack() as stack, contextlib.suppress(OSError):
        here = _opened(stack, str(state_dir), None)
        for part in folder:
            here = _opened(stack, part, here)
        if not set("*?[") & set(wanted):
            yield wanted, os.stat(wanted, dir_fd=here, follow_symlinks=False).st_mode
            return
        entries = stack.enter_context(os.scandir(here))
        for _, entry in zip(range(room), entries, strict=False):
            yield entry.name, entry.stat(follow_symlinks=False).st_mode


def put_files(state_dir: Path, files: Mapping[str, bytes]) -> None:
    """Write `files`, named by their paths below `state_dir`, a folder of the host in which nothing runs at the moment.

    What is there is replaced in one step. Raises ValueError for a name that leads out, OSError for what the disk says.
    """
    for name, content in files.items():
        parts = PurePosixPath(name).parts
        if not parts or parts[0] == "/" or ".." in parts:
            raise ValueError(f"not a path below the state folder: {name}")
        with contextlib.ExitStack() as stack:
            folder = _opened(stack, str(state_dir), None)
            for part in parts[:-1]:
                folder = _folder_in(stack, folder, part)
            _replace(folder, parts[-1], content)


def _opened(stack: contextlib.ExitStack, path: str, within: int | None) -> int:
    folder = os.open(path, _FOLDER, dir_fd=within)
    stack.callback(os.close, folder)
    return folder


def _folder_in(stack: contextlib.ExitStack, folder: int, name: str) -> int:
    """The folder `name` in `folder`, made where there is none."""
    with contextlib.suppress(OSError):
        return _opened(stack, name, folder)
    _remove(folder, name)
    os.mkdir(name, 0o700, dir_fd=folder)
    return _opened(stack, name, folder)


def _replace(folder: int, name: str, content: bytes) -> None:
    fresh = f".{secrets.token_hex(8)}"
    with os.fdopen(os.open(fresh, _NEW_FILE, 0o600, dir_fd=folder), "wb") as file:
        file.write(content)
    try:
        os.rename(fresh, name, src_dir_fd=folder, dst_dir_fd=folder)
    except OSError:
        _remove(folder, name)
        os.rename(fresh, name, src_dir_fd=folder, dst_dir_fd=folder)


def _remove(folder: int, name: str) -> None:
    """Whatever `name` is: a file, a link (not what it leads to), or a folder with all that is in it."""
    try:
        os.unlink(name, dir_fd=folder)
    except FileNotFoundError:
        pass
    except IsADirectoryError:
        shutil.rmtree(name, dir_fd=folder)
