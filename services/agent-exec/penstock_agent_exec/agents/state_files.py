"""Files of ours in an agent's home, written before its program starts.

The rule of this room: agents have written in that folder before, and will have left links there if it paid. So nothing here
follows one: every part of a path is opened as what it must be, and whatever else stands in its place is removed.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Final

_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW_FILE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


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
