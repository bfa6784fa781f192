"""The map of a repository as part of what a host finds out, made by a program of its own: this process reads no grammar, does not
grow with the repository, and outlives whatever becomes of the program.

Rule of this room: what the program says is bounded, read as data, and redacted before it goes anywhere.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from penstock.bounds import MAP_LENGTH_MAX
from penstock_agent_exec.git.command import run, trusted_environment
from penstock_agent_exec.git.failures import GitFailed, readable
from penstock_agent_exec.git.mirror import Mirror
from penstock_agent_exec.steps.bench import Bench

READING_SECONDS_MAX: Final = 20.0
"""Then the map is made of what was read; the next one goes on from there."""
SECONDS_MAX: Final = 45.0
"""Altogether, on a machine that may be busy."""
ANSWER_BYTES_MAX: Final = 4 * 1024 * 1024
TOKENS: Final = MAP_LENGTH_MAX // 3
FILES_MAX: Final = 10

_NOT_READ: Final = ("no time left", "parser died", "parser died too often", "parser took too long", "too many files")


class MapFailed(GitFailed):
    """There is no map."""


@dataclass(frozen=True, slots=True)
class Made:
    """`text`: the map, without secrets. `names`: the words that the name of a definition knows; `words`: those and the ones that
    the path of one of its files does. `files`: where the best of them are, as git has their paths. `lacking`: what should
    have been read and was not; empty where nothing."""

    text: str
    names: frozenset[str]
    words: frozenset[str]
    files: tuple[bytes, ...]
    lacking: str


class _Shown(msgspec.Struct, frozen=True):
    path: str
    words: tuple[str, ...]
    path_words: tuple[str, ...]


class _Map(msgspec.Struct, frozen=True):
    text: str
    shown: tuple[_Shown, ...]
    known: tuple[str, ...]
    known_by_paths: tuple[str, ...]
    left_out: dict[str, int]


async def repo_map(bench: Bench, mirror: Mirror, commit: str, words: Sequence[str]) -> Made:
    """Raises MapFailed, TimedOut."""
    program = [sys.executable, "-I", "-m", "penstock_agent_exec.repo_map", str(mirror.path)]
    cache = bench.folder.path / "maps" / f"{mirror.repo}.sqlite"
    options = ["--json", "--words-on-stdin", f"--commit={commit}", f"--cache={cache}", f"--tokens={TOKENS}"]
    done = await run(
        [*program, *options, f"--seconds={READING_SECONDS_MAX:g}"],
        env=trusted_environment(),
        stdin="\n".join(words).encode(),
        timeout_seconds=SECONDS_MAX,
        stdout_bytes_max=ANSWER_BYTES_MAX,
    )
    if done.returncode != 0 or done.truncated:
        raise MapFailed(readable(done.stderr.decode("utf-8", "replace")) or f"it ended with {done.returncode}")
    try:
        found = msgspec.json.decode(done.stdout, type=_Map)
    except msgspec.MsgspecError as error:
        raise MapFailed(f"it answered something else: {error}") from error
    lacking = ", ".join(f"{found.left_out[why]} files: {why}" for why in _NOT_READ if why in found.left_out)
    # A path that is no UTF-8 came as marks, and would be another file's.
    fitting = [one.path for one in found.shown if one.words or one.path_words]
    files = dict.fromkeys(path for path in fitting if "\N{REPLACEMENT CHARACTER}" not in path)
    return Made(
        text=bench.secrets.redactor().text(found.text)[:MAP_LENGTH_MAX],
        names=frozenset(found.known),
        words=frozenset((*found.known, *found.known_by_paths)),
        files=tuple(path.encode() for path in list(files)[:FILES_MAX]),
        lacking=lacking,
    )
