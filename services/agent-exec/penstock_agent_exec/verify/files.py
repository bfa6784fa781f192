"""The reports that a command has left in its work tree.

Rule of this room: only what this very command wrote counts: its change time or its inode is another than before, which a command
cannot put back. No link is followed, nothing but a plain file is read, and every walk and every read has a bound.
"""

from __future__ import annotations

import os
import re
import stat
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, TypeAlias

import re2  # type: ignore[import-untyped]  # it ships no types; all that is asked of it stands in this file

from penstock_agent_exec.redact import Redactor
from penstock_agent_exec.verify.documents import read_document, read_go_lines
from penstock_agent_exec.verify.junit import read_junit
from penstock_agent_exec.verify.reading import NotAReport, Reading, without_root

ENTRIES_MAX: Final = 200_000
DEPTH_MAX: Final = 64
"""Folders in each other. Each is opened by all that is above it, so without a bound a chain of them takes hours to walk."""

FILES_MAX: Final = 2_000
FILE_BYTES_MAX: Final = 8 * 1024 * 1024
ALL_BYTES_MAX: Final = 64 * 1024 * 1024

WELL_KNOWN: Final = (
    "**/target/surefire-reports/TEST-*.xml",
    "**/target/failsafe-reports/TEST-*.xml",
    "**/build/test-results/**/*.xml",
    "**/target/nextest/**/*.xml",
    "**/junit.xml",
    "**/junit-*.xml",
    "**/*-junit.xml",
    "**/test-results.xml",
    "**/test-report.xml",
    "**/rspec.xml",
    "**/report.xml",
    "**/test-results/**/*.xml",
    "**/test-reports/**/*.xml",
    "**/reports/**/*.xml",
    "**/build/logs/*.xml",
    "**/.report.json",
    "**/test-results.json",
    "**/test-report.json",
    "**/jest-results.json",
    "**/vitest-results.json",
    "**/mocha-results.json",
    "**/eslint-report.json",
    "**/ruff-report.json",
)
"""Where tools and those who set them up put reports when nobody has said where."""

_SKIPPED: Final = frozenset({".git", "node_modules", ".venv", "venv", ".tox", ".nox", "__pycache__", ".hg", ".svn"})
"""Folders that are looked into only where a pattern names them."""

Marks: TypeAlias = Mapping[str, tuple[int, int, int]]
"""By path below the work tree: inode, change time and size."""


class Places:
    """The patterns of one repo; where it has none, the well-known places."""

    def __init__(self, globs: Sequence[str]) -> None:
        patterns = tuple(globs) or WELL_KNOWN
        self._rule = re2.compile("|".join(f"(?:{_translated(glob)})" for glob in patterns).encode())
        self._skipped = _SKIPPED - {part for glob in patterns for part in glob.split("/")}

    def marks(self, root: Path) -> Marks:
        """What is there now. Raises OSError where the work tree is gone."""
        found: dict[str, tuple[int, int, int]] = {}
        for path, at in _walk(root, self._skipped):
            if self._rule.fullmatch(os.fsencode(path)):
                found[path] = (at.st_ino, at.st_ctime_ns, at.st_size)
                if len(found) >= FILES_MAX:
                    break
        return found


def _translated(glob: str) -> str:
    """As a regular expression for whole paths."""
    parts = re.split(r"(\*\*/|\*\*|\*|\?)", glob)
    words = {"**/": "(?:[^/]+/)*", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    return "".join(words.get(part) or re2.escape(part) for part in parts)


def _walk(root: Path, skipped: frozenset[str]) -> Iterator[tuple[str, os.stat_result]]:
    """Plain files below, those near the root first."""
    queue, entries = deque([""]), 0
    while queue:
        folder = queue.popleft()
        try:
            fd = _open(root, folder, os.O_DIRECTORY)
        except OSError:
            if not folder:
                raise
            continue
        try:
            with os.scandir(fd) as listed:
                for entry in listed:
                    entries += 1
                    if entries > ENTRIES_MAX:
                        return
                    path = f"{folder}/{entry.name}" if folder else entry.name
                    if entry.is_dir(follow_symlinks=False):
                        if entry.name not in skipped and path.count("/") < DEPTH_MAX:
                            queue.append(path)
                    elif entry.is_file(follow_symlinks=False):
                        yield path, entry.stat(follow_symlinks=False)
        finally:
            os.close(fd)


def _open(root: Path, path: str, flags: int) -> int:
    """A file below `root`, no link on the way. Raises OSError."""
    safe = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
    fd = os.open(root, safe | os.O_DIRECTORY)
    parts = path.split("/") if path else []
    for number, part in enumerate(parts, 1):
        try:
            inner = os.open(part, safe | (flags if number == len(parts) else os.O_DIRECTORY), dir_fd=fd)
        finally:
            os.close(fd)
        fd = inner
    return fd


def read_new(root: Path, before: Marks, after: Marks, redactor: Redactor, *, seen_as: str = "") -> Reading | None:
    """What the files say that are new or another since `before`: JUnit where there is any, else JSON; None where there are no
    reports among them. `seen_as`: where the command saw the work tree, if not at `root`."""
    junit, other, room = Reading("junit"), list[Reading](), ALL_BYTES_MAX
    is_any, is_all = False, True
    for path in sorted(path for path, mark in after.items() if before.get(path) != mark):
        content = _content(root, path, min(FILE_BYTES_MAX, room))
        if content is None:
            is_all = False
            continue
        room -= len(content)
        content = without_root(redactor.whole(content), seen_as or str(root))
        try:
            if path.endswith(".xml"):
                junit.add_all(read_junit(content))
                is_any = True
            else:
                other.append(_read_json(content))
        except NotAReport:
            continue
    chosen = junit if is_any else other[0] if other else None
    if chosen is not None:
        chosen.is_whole = chosen.is_whole and is_all and len(after) < FILES_MAX
    return chosen


def _read_json(content: bytes) -> Reading:
    try:
        return read_document(content)
    except NotAReport:
        return read_go_lines(content.split(b"\n"))


def _content(root: Path, path: str, bytes_max: int) -> bytes | None:
    """None where it is no plain file, or too long."""
    try:
        fd = _open(root, path, 0)
    except OSError:
        return None
    with os.fdopen(fd, "rb") as file:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            return None
        content = file.read(bytes_max + 1)
    return content if len(content) <= bytes_max else None
