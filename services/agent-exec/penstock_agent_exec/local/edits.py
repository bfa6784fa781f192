"""A change as edits of files in a folder: looked at first, then made, and taken back where one of them fails.

Rule of this room: a file is edited only where it is, byte for byte, what the change found; one that is already as it will be is
done. So a job that was killed in the middle goes on where it was. No link is followed, at no place of a path.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from penstock_agent_exec.git.failures import GitFailed

NAMED_MAX: Final = 20
FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
FILE_BYTES_MAX: Final = 64 * 1024 * 1024
NEW_SUFFIX: Final = ".penstock-new"


class InTheWay(GitFailed):
    """Files in the folder are not as the change found them; nothing was edited."""

    error_class = "local.in_the_way"


class NotTaken(GitFailed):
    """The folder did not take the edits; those that were made were taken back, but for those that it names."""

    error_class = "local.refused"


class Unfit(GitFailed):
    """Such a change cannot be made by editing files."""

    error_class = "local.unfit"


@dataclass(frozen=True, slots=True)
class Side:
    """A file's content and whether it can be executed."""

    content: bytes
    executable: bool


@dataclass(frozen=True, slots=True)
class Edit:
    """One path, relative, of plain names. None: the file is not there."""

    path: str
    before: Side | None
    after: Side | None


def make(folder: Path, edits: tuple[Edit, ...]) -> int:
    """Make all of them, or none; how many were still to be made. Blocking, for a thread. Raises InTheWay, NotTaken."""
    with _opened(folder) as root:
        states = {edit.path: _state(root, edit) for edit in edits}
        wrong = [path for path, state in states.items() if state == "other"]
        if wrong:
            more = f" and {len(wrong) - NAMED_MAX} more" if len(wrong) > NAMED_MAX else ""
            raise InTheWay(", ".join(wrong[:NAMED_MAX]) + more + ".")
        open_ = [edit for edit in edits if states[edit.path] == "before"]
        done: list[Edit] = []
        try:
            for edit in open_:
                if _state(root, edit) != "before":
                    raise InTheWay(f"{edit.path} was edited this very moment.")
                done.append(edit)
                _put(root, edit.path, edit.after, is_new=edit.before is None)
        except FileExistsError as error:
            # Somebody has made this very file meanwhile: theirs, and nothing to take back.
            left = _undo(root, done[:-1])
            raise (
                _half(str(error), left) if left else InTheWay(f"{done[-1].path} was made this very moment.")
            ) from error
        except (OSError, InTheWay) as error:
            left = _undo(root, done)
            if isinstance(error, InTheWay) and not left:
                raise
            raise _half(str(error), left) from error
        return len(open_)


def _half(why: str, left: list[str]) -> NotTaken:
    return NotTaken(why + (f"; these could not be taken back: {', '.join(left)}" if left else ""))


def _undo(root: int, done: list[Edit]) -> list[str]:
    """Take back what is as we have made it; what could not be."""
    left = []
    for edit in reversed(done):
        try:
            match _state(root, edit):
                case "after":
                    _put(root, edit.path, edit.before)
                case "other":
                    left.append(edit.path)
                case "before":
                    pass
        except OSError:
            left.append(edit.path)
    return left


def _state(root: int, edit: Edit) -> Literal["before", "after", "other"]:
    try:
        found = _read(root, edit.path)
    except OSError:
        # A folder, a link, something that cannot be read: nothing of ours.
        return "other"
    if found == edit.after:
        return "after"
    return "before" if found == edit.before else "other"


def _read(root: int, path: str) -> Side | None:
    try:
        with _parent(root, path) as (folder, name):
            opened = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    except FileNotFoundError:
        return None
    with os.fdopen(opened, "rb") as file:
        at = os.fstat(file.fileno())
        mode = at.st_mode
        if not stat.S_ISREG(mode) or at.st_size > FILE_BYTES_MAX:
            raise OSError(f"{path} is no plain file, or larger than any that is edited")
        return Side(file.read(), bool(mode & stat.S_IXUSR))


def _put(root: int, path: str, side: Side | None, *, is_new: bool = False) -> None:
    """Whole or not at all: a new file takes the old one's place. Raises FileExistsError where there is one and `is_new`."""
    if side is None:
        with _parent(root, path) as (folder, name):
            os.unlink(name, dir_fd=folder)
        _drop_empty(root, path)
        return
    _make_parents(root, path)
    with _parent(root, path) as (folder, name):
        making = f".{name[:100]}{NEW_SUFFIX}"
        with contextlib.suppress(FileNotFoundError):
            os.unlink(making, dir_fd=folder)
        mode = _mode(folder, name, executable=side.executable)
        made = os.open(making, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode, dir_fd=folder)
        try:
            with os.fdopen(made, "wb") as file:
                file.write(side.content)
                file.flush()
                os.fchmod(file.fileno(), mode)
                os.fsync(file.fileno())
            if is_new:
                os.link(making, name, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
                os.unlink(making, dir_fd=folder)
            else:
                os.replace(making, name, src_dir_fd=folder, dst_dir_fd=folder)
        except OSError:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(making, dir_fd=folder)
            raise


def _mode(folder: int, name: str, *, executable: bool) -> int:
    """As the file has it, or as a new one gets it here; executable for those who can read it."""
    try:
        mode = stat.S_IMODE(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode) & 0o777
    except FileNotFoundError:
        mask = os.umask(0o022)
        os.umask(mask)
        mode = 0o666 & ~mask
    return mode | (mode & 0o444) >> 2 if executable else mode & ~0o111


def _drop_empty(root: int, path: str) -> None:
    """Folders that only held what is gone now."""
    parts = path.split("/")[:-1]
    while parts:
        with contextlib.suppress(OSError), _parent(root, "/".join(parts)) as (folder, name):
            os.rmdir(name, dir_fd=folder)
        parts.pop()


def _make_parents(root: int, path: str) -> None:
    parts = path.split("/")[:-1]
    for count in range(1, len(parts) + 1):
        with _parent(root, "/".join(parts[:count])) as (folder, name), contextlib.suppress(FileExistsError):
            os.mkdir(name, dir_fd=folder)


@contextlib.contextmanager
def _opened(folder: Path) -> Iterator[int]:
    opened = os.open(folder, FOLDER)
    try:
        yield opened
    finally:
        os.close(opened)


@contextlib.contextmanager
def _parent(root: int, path: str) -> Iterator[tuple[int, str]]:
    """The folder that holds the path's last name, opened name by name from the root, and that name."""
    *above, name = path.split("/")
    at = os.dup(root)
    try:
        for part in above:
            below = os.open(part, FOLDER, dir_fd=at)
            os.close(at)
            at = below
        yield at, name
    finally:
        os.close(at)
