"""The files of a commit, and which of them the map is made from.

Rule of this room: a path is bytes until it is shown, and what is left out is counted under the reason for it.
"""

from __future__ import annotations

import re
import subprocess
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from penstock_agent_exec.git.environment import trusted_environment
from penstock_agent_exec.repo_map.languages import CPP, C, Language, language_of

FILE_BYTES_MAX: Final = 1024 * 1024
FILES_MAX: Final = 60_000
BYTES_MAX: Final = 768 * 1024 * 1024
LISTING_BYTES_MAX: Final = 256 * 1024 * 1024
LISTING_SECONDS_MAX: Final = 10.0

NOT_CODE: Final = "no language of the map"
VENDORED: Final = "vendored"
GENERATED: Final = "generated"
MINIFIED: Final = "minified"
HUGE: Final = "larger than 1 MiB"
SYMLINK: Final = "symlink"
SUBMODULE: Final = "submodule"
TOO_MANY: Final = "too many files"

# Folders that other people's code is kept in, and where builds put theirs.
_VENDORED: Final = re.compile(
    r"(?:^|/)(?:node_modules|bower_components|jspm_packages|vendors?|third[-_]?party|3rd[-_]?party|extern(?:al)?s?|deps"
    r"|site-packages|dist-packages|\.?venv|virtualenv|__pycache__|godeps|pods|carthage|\.yarn|\.git|\.tox|\.eggs|wheelhouse"
    r"|dist|bundled|_vendor)/",
    re.IGNORECASE,
)
_GENERATED: Final = re.compile(
    r"(?:_pb2(?:_grpc)?\.pyi?|\.pb\.(?:go|cc|h)|\.pb\.gw\.go|_grpc\.pb\.go|\.g\.dart|\.freezed\.dart|\.designer\.cs|\.g\.cs|\.g\.i\.cs"
    r"|\.generated\.\w+|[._]gen\.(?:go|ts|js|rs)|zz_generated\.\w+\.go|\.yy\.c|\.tab\.[ch])$"
    r"|(?:^|/)(?:__generated__|generated)/",
    re.IGNORECASE,
)
_MINIFIED: Final = re.compile(r"[.-]min\.(?:js|css|mjs|cjs)$|\.bundle\.js$", re.IGNORECASE)


class TreeFailed(Exception):
    """Git could not say what the commit holds."""


@dataclass(frozen=True, slots=True)
class Blob:
    """A file to be read. `path` as git has it."""

    path: bytes
    oid: str
    size_bytes: int
    language: Language

    @property
    def key(self) -> str:
        """What is known of it is known of every file with this content and language."""
        return f"{self.oid}:{self.language.grammar}"


@dataclass(frozen=True, slots=True)
class Tree:
    """`files`: those to read, in the order of their paths. `every`: how many files the commit has. `left_out`: of those, how
    many are not read, by reason."""

    files: tuple[Blob, ...]
    every: int
    left_out: Counter[str]


def tree_of(git_dir: Path, commit: str) -> Tree:
    """Raises TreeFailed."""
    left_out: Counter[str] = Counter()
    found: list[Blob] = []
    every = 0
    for mode, kind, oid, size, path in _listed(git_dir, commit):
        every += 1
        if kind != b"blob" or mode == b"120000":
            left_out[SYMLINK if mode == b"120000" else SUBMODULE] += 1
            continue
        name = path.decode("utf-8", "surrogateescape")
        language = language_of(name)
        why = NOT_CODE if language is None else _why_not(name, int(size))
        if language is None or why:
            left_out[why] += 1
        else:
            found.append(Blob(path, oid.decode("ascii"), int(size), language))
    found.sort(key=lambda blob: blob.path)
    files = tuple(_bounded(_headers(found)))
    if len(files) < len(found):
        left_out[TOO_MANY] = len(found) - len(files)
    return Tree(files, every, left_out)


def _listed(git_dir: Path, commit: str) -> Iterator[list[bytes]]:
    command = ["git", f"--git-dir={git_dir}", "ls-tree", "-r", "-z", "-l", "--full-tree", "--end-of-options", commit]
    try:
        done = subprocess.run(
            command, env=trusted_environment(), capture_output=True, timeout=LISTING_SECONDS_MAX, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise TreeFailed(str(error)) from error
    if done.returncode != 0:
        raise TreeFailed(done.stderr.decode("utf-8", "replace").strip()[:500])
    if len(done.stdout) > LISTING_BYTES_MAX:
        raise TreeFailed(f"the commit's list of files has more than {LISTING_BYTES_MAX} bytes")
    for line in done.stdout.split(b"\0")[:-1]:
        facts, _, path = line.partition(b"\t")
        yield [*facts.split(), path]


def _why_not(path: str, size_bytes: int) -> str:
    if _VENDORED.search(path):
        return VENDORED
    if _MINIFIED.search(path):
        return MINIFIED
    if _GENERATED.search(path):
        return GENERATED
    return HUGE if size_bytes > FILE_BYTES_MAX else ""


def _headers(found: list[Blob]) -> list[Blob]:
    """A `.h` belongs to C++ where most files beside headers do."""
    kinds = Counter(blob.language.grammar for blob in found if not blob.path.endswith(b".h"))
    if kinds["cpp"] <= kinds["c"]:
        return found
    return [
        Blob(blob.path, blob.oid, blob.size_bytes, CPP) if blob.language is C and blob.path.endswith(b".h") else blob
        for blob in found
    ]


def _bounded(found: list[Blob]) -> Iterator[Blob]:
    """The first ones, those nearer to the top of the tree before those further down."""
    room = BYTES_MAX
    chosen: set[bytes] = set()
    for blob in sorted(found, key=lambda blob: (blob.path.count(b"/"), blob.path)):
        room -= blob.size_bytes
        if room < 0 or len(chosen) == FILES_MAX:
            break
        chosen.add(blob.path)
    return (blob for blob in found if blob.path in chosen)
