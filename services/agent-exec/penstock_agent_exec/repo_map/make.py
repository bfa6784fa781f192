"""The whole map of a commit: what is listed, what is known, what has to be read, and in which order it is shown.

Rule of this room: what could not be read in time, or at all, is left out and counted; the map is made of the rest.
"""

from __future__ import annotations

import resource
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from msgspec import Struct

from penstock_agent_exec.repo_map.answer import Symbols
from penstock_agent_exec.repo_map.cache import Cache
from penstock_agent_exec.repo_map.parse import parse
from penstock_agent_exec.repo_map.rank import Source, rank
from penstock_agent_exec.repo_map.render import reason, render
from penstock_agent_exec.repo_map.tree import tree_of

TOKENS: Final = 2_000
SECONDS_MAX: Final = 300.0
ENTRIES_MAX: Final = 500
"""Of those that are told of beside the text."""
SPARE_ENTRIES: Final = 500
"""For those that are passed over; any other takes more than a token."""


class Shown(Struct, frozen=True, kw_only=True):
    """One entry of the map."""

    path: str
    line: int
    kind: str
    name: str
    scope: str
    text: str
    score: float
    words: tuple[str, ...]
    path_words: tuple[str, ...]
    why: str


class RepoMap(Struct, frozen=True, kw_only=True):
    """`text` is the map; the same commit and words make the same bytes of it. `known`: the task's words that the name of a
    definition knows, `known_by_paths`: those that the path of a file in the map does. `languages`: files by language.
    `left_out`: files by reason, of `files_all`. `cut_short`: files of which only the first definitions were taken. `read` files
    were parsed for this map, `remembered` ones were known; files with the same content are one. `took_seconds`: by what was
    done. `cpu_seconds`: of all its processes together."""

    text: str
    shown: tuple[Shown, ...]
    known: tuple[str, ...]
    known_by_paths: tuple[str, ...]
    languages: dict[str, int]
    left_out: dict[str, int]
    files_all: int
    files: int
    definitions: int
    references: int
    edges: int
    read: int
    remembered: int
    cut_short: int
    took_seconds: dict[str, float]
    cpu_seconds: float


@dataclass(slots=True)
class _Clock:
    took: dict[str, float]
    last: float

    def lap(self, what: str) -> None:
        now = time.monotonic()
        self.took[what] = round(now - self.last, 3)
        self.last = now


def make_map(
    git_dir: Path,
    commit: str,
    words: Iterable[str] = (),
    *,
    tokens_max: int = TOKENS,
    seconds_max: float = SECONDS_MAX,
    cache: Cache | None = None,
    workers: int | None = None,
    why: bool = False,
) -> RepoMap:
    """The map of a commit in a repository that nobody writes to who is not trusted. Raises TreeFailed, ParserMissing."""
    clock = _Clock({}, time.monotonic())
    until = clock.last + seconds_max
    cache = cache or Cache(None)
    tree = tree_of(git_dir, commit)
    clock.lap("list")
    known = cache.load(blob.key for blob in tree.files)
    clock.lap("remember")
    remembered = len(known)
    missing = [blob for blob in tree.files if blob.key not in known]
    parsed = parse(git_dir, missing, until=until, workers=workers, keep=cache.store)
    known |= parsed.found
    clock.lap("read")
    left_out = tree.left_out
    sources: list[Source] = []
    for blob in tree.files:
        symbols = known.get(blob.key)
        if symbols is None or symbols.left_out:
            left_out[parsed.why if symbols is None else symbols.left_out] += 1
        else:
            sources.append(Source(blob.path.decode("utf-8", "replace"), blob.language, symbols))
    ranked = rank(sources, words, entries_max=tokens_max + SPARE_ENTRIES)
    clock.lap("rank")
    rendered = render(ranked, tokens_max=tokens_max, why=why)
    clock.lap("write")
    return RepoMap(
        text=rendered.text,
        shown=tuple(
            Shown(
                path=entry.path,
                line=entry.definition.line,
                kind=entry.definition.kind,
                name=entry.definition.name,
                scope=entry.definition.scope,
                text=entry.definition.text,
                score=round(entry.score, 6),
                words=entry.words,
                path_words=entry.path_words,
                why=reason(entry),
            )
            for entry in rendered.shown[:ENTRIES_MAX]
        ),
        known=ranked.known,
        known_by_paths=ranked.known_by_paths,
        languages=_by_count(Counter(source.language.name for source in sources)),
        left_out=_by_count(left_out),
        files_all=tree.every,
        files=len(sources),
        definitions=ranked.definitions,
        references=sum(_times(source.symbols) for source in sources),
        edges=ranked.edges,
        read=len(parsed.found),
        remembered=remembered,
        cut_short=sum(source.symbols.more for source in sources),
        took_seconds=clock.took,
        cpu_seconds=round(_cpu_seconds(), 3),
    )


def _cpu_seconds() -> float:
    """Of this process, and of those of its children that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def _times(symbols: Symbols) -> int:
    return sum(symbols.references.values())


def _by_count(counted: Counter[str]) -> dict[str, int]:
    """The most first."""
    return dict(sorted(((name, count) for name, count in counted.items() if count), key=lambda one: (-one[1], one[0])))
