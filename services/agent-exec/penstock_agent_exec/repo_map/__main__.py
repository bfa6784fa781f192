"""`python -m penstock_agent_exec.repo_map [PATH]`: the map of a repository, for a person, or as JSON for a program.

Rule of this room: it reads one commit and writes one cache; what was not looked at is said.
"""

from __future__ import annotations

import argparse
import gc
import hashlib
import math
import os
import re
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

import msgspec

from penstock_agent_exec.git.environment import trusted_environment
from penstock_agent_exec.repo_map.cache import Cache
from penstock_agent_exec.repo_map.make import SECONDS_MAX, TOKENS, RepoMap, make_map
from penstock_agent_exec.repo_map.parse import ParserMissing
from penstock_agent_exec.repo_map.render import tokens_of
from penstock_agent_exec.repo_map.tree import TreeFailed

MEMORY_BYTES_MAX: Final = 4 * 1024 * 1024 * 1024
GIT_SECONDS_MAX: Final = 30.0
WORDS_LENGTH_MAX: Final = 64 * 1024

_SEAM: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|[\W_]+")


class _Arguments(argparse.Namespace):
    path: Path
    words: list[str]
    words_on_stdin: bool
    tokens: int
    json: bool
    why: bool
    commit: str
    cache: Path | None
    no_cache: bool
    seconds: float
    workers: int | None


def main() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES_MAX, MEMORY_BYTES_MAX))
    # One map and the end: what is counted for garbage is only slower, and takes no more memory.
    gc.disable()
    given = _parser().parse_args(namespace=_Arguments())
    started = time.monotonic()
    try:
        git_dir, commit = _place(given.path, given.commit)
        found = make_map(
            git_dir,
            commit,
            _exactly() if given.words_on_stdin else _split(given.words),
            tokens_max=given.tokens,
            seconds_max=given.seconds,
            cache=Cache(None if given.no_cache else given.cache or _cache_of(git_dir)),
            workers=given.workers,
            why=given.why,
        )
    except (TreeFailed, ParserMissing, OSError, MemoryError) as error:
        sys.exit(f"no map of {given.path}: {str(error) or type(error).__name__}")
    if given.json:
        sys.stdout.buffer.write(msgspec.json.encode(found) + b"\n")
        return
    sys.stdout.write(found.text)
    sys.stdout.write(_summary(found, commit, time.monotonic() - started))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="penstock map",
        description="What a repository defines, the most telling first: by a task's words and by what refers to what.",
        epilog="The map is of a commit: what is not committed is not in it.",
    )
    parser.add_argument("path", nargs="?", type=Path, default=Path(), help="a git repository; this folder's by default")
    parser.add_argument("--words", nargs="+", default=[], metavar="WORD", help="what a task speaks of")
    parser.add_argument(
        "--words-on-stdin", action="store_true", help="the words come there, one a line, and stay whole"
    )
    parser.add_argument("--tokens", type=_positive, default=TOKENS, metavar="N", help=f"about how long ({TOKENS})")
    parser.add_argument("--json", action="store_true", help="everything that is known of the map, for programs")
    parser.add_argument("--why", action="store_true", help="say of each entry why it is there")
    parser.add_argument("--commit", default="HEAD", metavar="REV", help="of this commit (HEAD)")
    parser.add_argument("--cache", type=Path, metavar="FILE", help="where to keep what files define, for next time")
    parser.add_argument("--no-cache", action="store_true", help="keep nothing, and read every file")
    parser.add_argument(
        "--seconds",
        type=_seconds,
        default=SECONDS_MAX,
        metavar="N",
        help=f"then go on with what is read ({SECONDS_MAX:g})",
    )
    parser.add_argument("--workers", type=_positive, metavar="N", help="how many processes read files")
    return parser


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 on")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not (seconds > 0 and math.isfinite(seconds)):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above 0")
    return seconds


def _exactly() -> list[str]:
    """A task's words are nobody's business who can see this process's arguments."""
    return sys.stdin.read(WORDS_LENGTH_MAX).splitlines()


def _split(given: list[str]) -> list[str]:
    """Words, whole and in their parts."""
    tokens = [token for text in given for token in text.split()]
    return [part.lower() for token in tokens for part in (token, *_SEAM.split(token)) if len(part) > 1]


def _place(path: Path, revision: str) -> tuple[Path, str]:
    """The repository's folder and the commit. Raises TreeFailed."""
    git_dir = _git("-C", str(path), "rev-parse", "--absolute-git-dir")
    try:
        commit = _git(f"--git-dir={git_dir}", "rev-parse", "--verify", "--end-of-options", f"{revision}^{{commit}}")
    except TreeFailed as error:
        raise TreeFailed(f"it has no commit {revision}: {error}") from error
    return Path(git_dir), commit


def _git(*args: str) -> str:
    # A bare repository is found only where that is allowed, which is what whoever names it means.
    env = trusted_environment(settings=(("safe.bareRepository", "all"),))
    try:
        done = subprocess.run(["git", *args], env=env, capture_output=True, timeout=GIT_SECONDS_MAX, check=False)
    except subprocess.TimeoutExpired as error:
        raise TreeFailed(f"git had {GIT_SECONDS_MAX:g} s") from error
    except FileNotFoundError as error:
        raise TreeFailed("git is not installed on this host") from error
    if done.returncode != 0:
        raise TreeFailed(done.stderr.decode("utf-8", "replace").strip()[:500])
    return done.stdout.decode("utf-8", "surrogateescape").removesuffix("\n")


def _cache_of(git_dir: Path) -> Path:
    """In the account's place for caches, one file for each repository."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    name = hashlib.sha256(os.fsencode(git_dir)).hexdigest()[:24]
    return home / "penstock" / "maps" / f"{name}.sqlite"


def _summary(found: RepoMap, commit: str, seconds: float) -> str:
    languages = ", ".join(f"{name} {count:,}" for name, count in found.languages.items())
    left_out = ", ".join(f"{count:,} {name}" for name, count in found.left_out.items())
    took = ", ".join(f"{what} {one:.2f}" for what, one in found.took_seconds.items())
    words = dict.fromkeys((*found.known, *found.known_by_paths))
    known = f"words known here: {', '.join(words)}\n" if words else ""
    cut = f" (of {found.cut_short:,} only the first definitions)" if found.cut_short else ""
    return (
        f"\ncommit {commit[:12]}, {found.files:,} of {found.files_all:,} files{cut}: {languages or 'none'}\n"
        f"{found.definitions:,} definitions, {found.references:,} references, {found.edges:,} pairs of files joined\n"
        f"left out: {left_out or 'nothing'}\n{known}"
        f"{found.read:,} files read, {found.remembered:,} known from before; {seconds:.2f} s ({took})\n"
        f"about {tokens_of(found.text):,} tokens\n"
    )


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
