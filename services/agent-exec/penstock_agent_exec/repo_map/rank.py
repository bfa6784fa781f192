"""Which definitions of a repository a task should know first: those with its words in their names, and those that others lean on.

Rule of this room: pure, and the same input gives the same order to the last place; nothing iterates over a set of strings.
"""

from __future__ import annotations

import heapq
import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeAlias

from penstock_agent_exec.repo_map.answer import Definition, Symbols
from penstock_agent_exec.repo_map.languages import Language

DAMPING: Final = 0.85
ROUNDS_MAX: Final = 20
STILL: Final = 0.005
"""How much of the walks may still move when the order is settled."""
DEFINERS_MAX: Final = 25
"""A name that is defined in more files than this leads to none of them."""
LINKS_MAX: Final = 2_000_000
"""Some 300 MB. Where there are more, names with many definers lead nowhere, until there are not."""

WORDS_SHARE: Final = 0.6
"""Of the walks, how many begin at files that know the task's words; the others begin anywhere."""
FLOOR: Final = 0.15
"""What a definition is worth that nobody refers to, of one that everybody does."""
NAME_PULL: Final = 12.0
PATH_PULL: Final = 4.0
ASIDE: Final = 0.25
"""What a definition in tests, examples and documents is worth beside one in the code itself."""

_ASIDE: Final = re.compile(
    r"(?:^|/)(?:tests?|testing|__tests__|specs?|examples?|samples?|docs?|documentation|benchmarks?|fixtures?|testdata|demos?|migrations)/"
    r"|(?:^|/)(?:test_[^/]*|conftest\.py|[^/]*(?:_test|_spec|\.test|\.spec)\.[^/]+)$",
    re.IGNORECASE,
)
_SEAM: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|[\W_]+")

_FAMILIES: Final = {
    "c": "c",
    "cpp": "c",
    "javascript": "js",
    "typescript": "js",
    "tsx": "js",
    "java": "jvm",
    "kotlin": "jvm",
    "scala": "jvm",
    "css": "css",
    "html": "css",
}
"""Languages whose files refer to each other's definitions; any other is alone."""


@dataclass(frozen=True, slots=True)
class Source:
    """A file that was read."""

    path: str
    language: Language
    symbols: Symbols

    @property
    def family(self) -> str:
        return _FAMILIES.get(self.language.grammar, self.language.grammar)


@dataclass(frozen=True, slots=True)
class Entry:
    """A definition and why it stands where it does. `files`, `times`: where and how often others refer to its name. `words`:
    those of the task in its name, `path_words`: in the path of its file."""

    path: str
    definition: Definition
    score: float
    files: int
    times: int
    words: tuple[str, ...]
    path_words: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Ranked:
    """`entries`: the best definitions, the best first, of `definitions` in `files`. `known`: the words that the name of a
    definition knows, in the order in which they were given; `known_by_paths`: the same of the paths of these files. `edges`:
    how many pairs of files are joined by a reference."""

    entries: tuple[Entry, ...]
    definitions: int
    files: int
    known: tuple[str, ...]
    known_by_paths: tuple[str, ...]
    edges: int


def rank(sources: Sequence[Source], words: Iterable[str], *, entries_max: int) -> Ranked:
    """`sources` in the order of their paths. Of all entries the best `entries_max` are told."""
    wanted = _Words(tuple(dict.fromkeys(word.lower() for word in words if word)), sources)
    graph = _graph(sources)
    walked = _walk(graph, _starts(sources, wanted))
    reached, most = _inflow(graph, walked)
    scored: list[tuple[float, int, int]] = []
    for number, source in enumerate(sources):
        definitions = source.symbols.definitions
        worth = (ASIDE if _ASIDE.search(source.path) else 1.0) * (1.0 + PATH_PULL * wanted.pull(source.path))
        names = [definition.name for definition in definitions]
        twins = Counter(names) if len(set(names)) < len(names) else None
        here = reached[number]
        for place, definition in enumerate(definitions):
            name = definition.name
            score = FLOOR
            if (leaned := here.get(name)) is not None:
                flow = leaned.flow * len(sources)
                score += math.log1p(flow if twins is None else flow / twins[name]) / most
            if name in wanted.names:
                score *= 1.0 + NAME_PULL * wanted.pull(name)
            scored.append((-score * worth * _standing(definition), number, place))
    best = heapq.nsmallest(entries_max, scored)
    return Ranked(
        tuple(_entry(sources[number], place, -score, wanted, reached[number]) for score, number, place in best),
        len(scored),
        sum(1 for source in sources if source.symbols.definitions),
        wanted.known(definition.name for source in sources for definition in source.symbols.definitions),
        wanted.known(source.path for source in sources),
        sum(map(len, graph.steps)),
    )


_MINOR: Final = frozenset({"variable", "constant", "id", "property"})


def _standing(definition: Definition) -> float:
    """What people look for by itself, before what belongs to it, before what is nobody's business."""
    name = definition.name
    standing = 0.6 if definition.kind in _MINOR else 1.0
    if definition.scope:
        standing *= 0.8
    if name.startswith("_"):
        standing *= 0.5
    return standing * (0.4 if len(name) < 3 else 1.0)


class _Words:
    """The task's words, and which names know them. A word is known by a name that it is, or that it is a part of. `names`: the
    names and paths of the sources that know any, with the words they know. `weights`: what each word says, all of them together
    1: one that few files know says more than one that all do."""

    def __init__(self, words: tuple[str, ...], sources: Sequence[Source]) -> None:
        self._words = words
        self._stems = tuple((word, _stem(word), _squeezed(_stem(word))) for word in words)
        self.names: dict[str, tuple[str, ...]] = {}
        self.weights: dict[str, float] = {}
        if words:
            self._look(sources)

    def pull(self, name: str) -> float:
        """0..1: how much of what the words say the name knows."""
        return sum(self.weights[word] for word in self.names.get(name, ()))

    def known(self, names: Iterable[str]) -> tuple[str, ...]:
        """The words that any of the names knows."""
        found = {word for name in names if name in self.names for word in self.names[name]} if self.names else ()
        return tuple(word for word in self._words if word in found)

    def _look(self, sources: Sequence[Source]) -> None:
        near = re.compile("|".join(re.escape(squeezed) for _, _, squeezed in self._stems))
        asked: dict[str, tuple[str, ...]] = {}
        knowing = dict.fromkeys(self._words, 0)
        for source in sources:
            here: dict[str, None] = {}
            for name in (source.path, *(definition.name for definition in source.symbols.definitions)):
                words = asked.get(name)
                if words is None:
                    words = asked[name] = self._of(name) if near.search(_squeezed(name.lower())) else ()
                if words:
                    here |= dict.fromkeys(words)
            for word in here:
                knowing[word] += 1
        self.names = {name: words for name, words in asked.items() if words}
        says = {word: math.log((len(sources) + 1) / count) for word, count in knowing.items() if count}
        whole = sum(says.values()) or 1.0
        self.weights = {word: says.get(word, 0.0) / whole for word in self._words}

    def _of(self, name: str) -> tuple[str, ...]:
        lower = name.lower()
        parts = {_stem(part.lower()) for part in _SEAM.split(name) if part}
        whole = _stem(_squeezed(lower))
        return tuple(
            word
            for word, stem, squeezed in self._stems
            if stem in parts or squeezed == whole or ("/" in word and f"/{word}" in f"/{lower}")
        )


def _stem(word: str) -> str:
    """Without the ending of a plural."""
    return word[:-1] if len(word) > 4 and word.endswith("s") and not word.endswith("ss") else word


def _squeezed(text: str) -> str:
    return text.replace("_", "").replace("-", "")


# Hundreds of thousands of these are made, and a class for them is a fifth of all the time.
_Link: TypeAlias = tuple[int, str, float, int]
"""A file refers to a name that another file defines: that file, the name, the weight, and how many times."""


class _Leaned:
    """What reaches a definition: how much of the walks, from how many files, how many times."""

    __slots__ = ("files", "flow", "times")

    def __init__(self) -> None:
        self.flow, self.files, self.times = 0.0, 0, 0


class _Graph(NamedTuple):
    """Files by their number. `links`: of each, the references that lead to others. `steps`: the same by the file that they lead
    to, the shares of each file together 1."""

    links: list[list[_Link]]
    steps: list[list[tuple[int, float]]]


def _graph(sources: Sequence[Source]) -> _Graph:
    """A reference to a name that several files define is shared out among them."""
    definers: defaultdict[str, defaultdict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for number, source in enumerate(sources):
        family = definers[source.family]
        for name in dict.fromkeys([definition.name for definition in source.symbols.definitions]):
            family[name].append(number)
    definers_max = _definers_max(sources, definers)
    ways = {
        family: {
            name: (targets, _specific(name) / len(targets))
            for name, targets in named.items()
            if len(targets) <= definers_max
        }
        for family, named in definers.items()
    }
    graph = _Graph([], [])
    for number, source in enumerate(sources):
        links: list[_Link] = []
        shares: defaultdict[int, float] = defaultdict(float)
        leads = ways[source.family].get
        for name, times in source.symbols.references.items():
            if (way := leads(name)) is None:
                continue
            weight = way[1] if times == 1 else way[1] * math.sqrt(times)
            for target in way[0]:
                if target != number:
                    links.append((target, name, weight, times))
                    shares[target] += weight
        total = sum(shares.values())
        graph.links.append(links)
        graph.steps.append([(target, share / total) for target, share in shares.items()])
    return graph


def _definers_max(sources: Sequence[Source], definers: Mapping[str, Mapping[str, Sequence[int]]]) -> int:
    """How many files may define a name that leads anywhere, so that there are no more links than there may be."""
    if DEFINERS_MAX * sum(len(source.symbols.references) for source in sources) <= LINKS_MAX:
        return DEFINERS_MAX
    by_definers: Counter[int] = Counter()
    for source in sources:
        family = definers[source.family]
        by_definers.update(len(targets) for name in source.symbols.references if (targets := family.get(name)))
    links = 0
    for count in range(1, DEFINERS_MAX + 1):
        links += count * by_definers[count]
        if links > LINKS_MAX:
            return count - 1
    return DEFINERS_MAX


def _inflow(graph: _Graph, walked: Sequence[float]) -> tuple[list[dict[str, _Leaned]], float]:
    """What reaches each definition, by its file's number and its name; and the most that reaches any, on the scale of a
    logarithm."""
    reached: list[dict[str, _Leaned]] = [{} for _ in walked]
    most = 0.0
    for walk, links in zip(walked, graph.links, strict=True):
        if not links:
            continue
        each = walk / sum([link[2] for link in links])
        for target, name, weight, times in links:
            there = reached[target]
            leaned = there.get(name)
            if leaned is None:
                leaned = there[name] = _Leaned()
            leaned.flow += each * weight
            leaned.files += 1
            leaned.times += times
            if leaned.flow > most:
                most = leaned.flow
    return reached, math.log1p(most * len(walked)) or 1.0


def _specific(name: str) -> float:
    """How likely a reference to the name means the definition: a long name is no coincidence."""
    if name.startswith("_"):
        return 0.2
    return 1.0 if len(name) >= 8 else 0.6 if len(name) > 3 else 0.2


def _starts(sources: Sequence[Source], wanted: _Words) -> list[float]:
    """Where walks begin: anywhere, and more often at files that know the words."""
    even = 1.0 / max(len(sources), 1)
    pulls = [0.0] * len(sources)
    for number, source in enumerate(sources):
        named = {name: None for definition in source.symbols.definitions if (name := definition.name) in wanted.names}
        words = dict.fromkeys(word for name in named for word in wanted.names[name])
        pulls[number] = sum(wanted.weights[word] for word in words) + 2 * wanted.pull(source.path)
    whole = math.fsum(pulls)
    if whole == 0.0:
        return [even] * len(sources)
    return [(1 - WORDS_SHARE) * even + WORDS_SHARE * pull / whole for pull in pulls]


def _walk(graph: _Graph, starts: list[float]) -> list[float]:
    """PageRank over the files, by power iteration."""
    walked = starts
    for _ in range(ROUNDS_MAX):
        stuck = sum(share for share, ways in zip(walked, graph.steps, strict=True) if not ways)
        again = 1 - DAMPING + DAMPING * stuck
        reached = [again * start for start in starts]
        for share, ways in zip(walked, graph.steps, strict=True):
            damped = DAMPING * share
            for target, weight in ways:
                reached[target] += damped * weight
        moved = sum(abs(now - before) for now, before in zip(reached, walked, strict=True))
        walked = reached
        if moved < STILL:
            break
    return walked


def _entry(source: Source, place: int, score: float, wanted: _Words, leaned: Mapping[str, _Leaned]) -> Entry:
    definition = source.symbols.definitions[place]
    found = leaned.get(definition.name)
    return Entry(
        source.path,
        definition,
        score,
        0 if found is None else found.files,
        0 if found is None else found.times,
        wanted.names.get(definition.name, ()),
        wanted.names.get(source.path, ()),
    )
