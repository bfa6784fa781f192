"""What a change brings, commit by commit: who by, which files with which modes, and every line that was added.

Rule of this room: whatever is pushed is looked at, so also what a later commit takes back. Git's answer is read strictly;
anything that is not as git writes it is Unreadable, never left out.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from penstock_agent_exec.git.change import FILES_MAX, PLAIN, Commit, all_lines, commits_of, raw_commits, raw_objects
from penstock_agent_exec.git.command import git_output
from penstock_agent_exec.git.failures import TooBig
from penstock_agent_exec.git.mirror import Mirror
from penstock_agent_exec.git.names import check_commit

LINES_MAX: Final = 1_000_000
"""Of what it adds, takes away and stands beside: each is an object of ours while it is looked at."""

LINK_BYTES_MAX: Final = 4_096
LINK_MODE: Final = "120000"
SUBMODULE_MODE: Final = "160000"
FOLDER_MODE: Final = "040000"
NOTHING: Final = "000000"
EMPTY_FOLDERS: Final = (
    b"4b825dc642cb6eb9a060e54bf8d69288fbee4904",
    b"6ef19b41225c5369f1c104d45d8d85efa9b057b53b14b4b9b939dd74decc5321",
)
"""A tree of nothing, by either kind of name. Git makes none, and no diff shows one: its name alone is pushed."""

_HUNK: Final = re.compile(rb"@@ -\d+(?:,(\d+))? \+(\d+)(?:,(\d+))? @@")
_RAW: Final = re.compile(rb":([0-7]{6}) ([0-7]{6}) ([0-9a-f]{40,64}) ([0-9a-f]{40,64}) ([ADMT])")
_ESCAPES: Final = {b"a": 7, b"b": 8, b"t": 9, b"n": 10, b"v": 11, b"f": 12, b"r": 13, b'"': 34, b"\\": 92}
_QUOTED: Final = re.compile(rb"\\([0-7]{3}|.)", re.DOTALL)


class Unreadable(Exception):
    """Git's answer cannot be read."""


@dataclass(frozen=True, slots=True)
class Touched:
    """One path in one commit. Modes as in git; `size_bytes` is the new content's; `link`: where a symbolic link leads. Of folders
    only the empty ones are told."""

    commit: str
    path: str
    status: str
    old_mode: str
    new_mode: str
    size_bytes: int
    link: str | None


@dataclass(frozen=True, slots=True)
class Added:
    """The lines that one commit adds to one file, with their numbers in it."""

    commit: str
    path: str
    numbers: tuple[int, ...]
    lines: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class History:
    """All of it. `objects`: each commit as it is pushed, headers and message."""

    commits: tuple[Commit, ...]
    objects: dict[str, bytes]
    touched: tuple[Touched, ...]
    added: tuple[Added, ...]


async def read_history(mirror: Mirror, base: str, head: str) -> History:
    """The commits from `base` to `head`, oldest first, each against its first parent. Raises Unreadable, TooBig, and the
    failures of git."""
    commits = await commits_of(mirror, base, head)
    between = f"{check_commit(base)}..{check_commit(head)}"
    return History(
        commits=commits,
        objects=await raw_commits(mirror, [one.commit for one in commits]),
        touched=await _touched(mirror, between),
        added=await _added(await _patch(mirror, between)),
    )


async def final_lines(mirror: Mirror, base: str, head: str) -> tuple[Added, ...]:
    """The lines that the whole change adds, as it ends."""
    patch = await all_lines(
        mirror,
        *("diff-tree", "-r", "-p", "--unified=0", "--no-renames", *PLAIN, "--end-of-options"),
        *(check_commit(base), check_commit(head)),
    )
    return await _added(b"\0" + check_commit(head).encode() + b"\n" + patch)


async def _added(patch: bytes) -> tuple[Added, ...]:
    """Apart from the loop, which has a lease to keep. Raises TooBig."""
    if patch.count(b"\n") > LINES_MAX:
        raise TooBig(f"To be looked at, a change may have {LINES_MAX} lines.")
    return await asyncio.to_thread(lambda: tuple(_parsed(patch)))


_WALK: Final = ("--reverse", "--topo-order", "--no-renames", "--diff-merges=first-parent", "--no-show-signature")


async def _touched(mirror: Mirror, between: str) -> tuple[Touched, ...]:
    out = await git_output(
        mirror.path,
        *("log", *_WALK, "--raw", "-t", "-z", "--no-abbrev", "--format=%x00%H", *PLAIN, "--end-of-options", between),
    )
    # Between a commit and its files stands an end of line, between one commit and the next an empty field.
    fields = iter(out.split(b"\0"))
    commit = ""
    rows: list[tuple[str, list[bytes], str]] = []
    for field in fields:
        head = field.lstrip(b"\n")
        if not head:
            continue
        if not head.startswith(b":"):
            commit = _oid(head.strip(b"\n"))
            continue
        raw = _RAW.fullmatch(head)
        path = next(fields, None)
        if raw is None or path is None or not commit:
            raise Unreadable("the list of files that it touches")
        if raw[4] not in EMPTY_FOLDERS and FOLDER_MODE.encode() in (raw[1], raw[2]):
            continue
        rows.append((commit, list(raw.groups()), path.decode("utf-8", "backslashreplace")))
    if len(rows) > FILES_MAX:
        raise TooBig(f"It touches {len(rows)} files; the limit is {FILES_MAX}.")
    sizes = await _sizes(mirror, [(raw[1], raw[3]) for _, raw, _ in rows])
    links = await _links(
        mirror, [(raw[3], size) for (_, raw, _), size in zip(rows, sizes, strict=True) if raw[1].decode() == LINK_MODE]
    )
    return tuple(
        [
            Touched(
                commit=commit,
                path=path,
                status=raw[4].decode(),
                old_mode=raw[0].decode(),
                new_mode=raw[1].decode(),
                size_bytes=size,
                link=links[raw[3]] if raw[1].decode() == LINK_MODE else None,
            )
            for (commit, raw, path), size in zip(rows, sizes, strict=True)
        ]
    )


async def _sizes(mirror: Mirror, blobs: list[tuple[bytes, bytes]]) -> list[int]:
    """In bytes; 0 of what is gone, and of a submodule, whose content is elsewhere."""
    wanted = [b"-" if mode.decode() in (NOTHING, SUBMODULE_MODE) else blob for mode, blob in blobs]
    out = await git_output(
        mirror.path, "cat-file", "--batch-check=%(objectsize)", stdin=b"".join(blob + b"\n" for blob in wanted)
    )
    lines = out.splitlines()
    if len(lines) != len(blobs):
        raise Unreadable("the sizes of its files")
    sizes = []
    for blob, line in zip(wanted, lines, strict=True):
        if blob != b"-" and not line.isdigit():
            raise Unreadable("the size of a file")
        sizes.append(int(line) if line.isdigit() else 0)
    return sizes


async def _links(mirror: Mirror, blobs: list[tuple[bytes, int]]) -> dict[bytes, str]:
    """Where each leads, by one git for all: a change may have as many links as files."""
    if longest := max((size for _, size in blobs if size > LINK_BYTES_MAX), default=0):
        raise Unreadable(f"a link of {longest} bytes")
    names = {_oid(blob): blob for blob, _ in blobs}
    found = await raw_objects(mirror, tuple(names), "blob")
    return {names[name]: content.decode("utf-8", "backslashreplace") for name, content in found.items()}


async def _patch(mirror: Mirror, between: str) -> bytes:
    """Every commit's lines, of content that is not text too."""
    return await all_lines(
        mirror,
        *("log", *_WALK, "--format=%x00%H", "--patch", "--unified=0", "--text", *PLAIN),
        *("--end-of-options", between),
    )


def _parsed(patch: bytes) -> Iterator[Added]:
    """The added lines of each file. A hunk says how many lines it has, so no content is taken for a header."""
    lines = patch.split(b"\n")
    at, commit, path = 0, "", ""
    numbers: list[int] = []
    found: list[bytes] = []

    def done() -> Iterator[Added]:
        if numbers:
            yield Added(commit, path, tuple(numbers), tuple(found))
            numbers.clear()
            found.clear()

    while at < len(lines):
        line = lines[at]
        at += 1
        if line.startswith(b"\0"):
            yield from done()
            commit = _oid(line[1:])
        elif line.startswith(b"diff --git "):
            yield from done()
            path = ""
        elif line.startswith(b"+++ "):
            path = _path(line[4:])
        elif line.startswith(b"@@ "):
            at = _hunk(lines, at, line, numbers, found)
    yield from done()


def _hunk(lines: list[bytes], at: int, head: bytes, numbers: list[int], found: list[bytes]) -> int:
    """Read one hunk from `at` on; where it ends."""
    match = _HUNK.match(head)
    if match is None:
        raise Unreadable("the head of a hunk")
    removed = 1 if match[1] is None else int(match[1])
    number, added = int(match[2]), 1 if match[3] is None else int(match[3])
    while removed or added:
        if at >= len(lines):
            raise Unreadable("a hunk that ends before its lines")
        line = lines[at]
        at += 1
        if line.startswith(b"-") and removed:
            removed -= 1
        elif line.startswith(b"+") and added:
            numbers.append(number)
            found.append(line[1:])
            number, added = number + 1, added - 1
        elif not line.startswith(b"\\"):
            raise Unreadable("a line of a hunk")
    return at


def _path(said: bytes) -> str:
    """From the new side of a file's header; a deleted file has no new lines, so its name is not asked for."""
    said = said.removesuffix(b"\t")
    if said.startswith(b'"') and said.endswith(b'"'):
        said = _QUOTED.sub(_unquoted, said[1:-1])
    if said == b"/dev/null":
        return ""
    if not said.startswith(b"b/"):
        raise Unreadable("the name of a file")
    return said[2:].decode("utf-8", "backslashreplace")


def _unquoted(found: re.Match[bytes]) -> bytes:
    said = found[1]
    code = int(said, 8) if len(said) == 3 else _ESCAPES.get(said)
    if code is None:
        raise Unreadable("the name of a file")
    return bytes([code])


def _oid(said: bytes) -> str:
    return check_commit(said.decode("ascii", "replace").strip())
