"""Which definitions of a repository a task should know first: those with its words in their names, and those that others lean on.

Rule of this room: pure, and the same input gives the same order to the last place; nothing iterates over a set of strings.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from penstock_agent_exec.repo_map.languages import Language
from penstock_agent_exec.repo_map.symbols import Definition, Symbols

DAMPING: Final = 0.85
ROUNDS: Final = 20
DEFINERS_MAX: Final = 25
"""A name that is defined in more files than this leads to none of them."""

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
    """`entries`: every definition, the best first. `known`: the words that some name or path knows, in the order in which they
    were given. `edges`: how many pairs of files are joined by a reference."""

    entries: tuple[Entry, ...]
    known: tuple[str, ...]
    edges: int


def rank(sources: Sequence[Source], words: Iterable[str]) -> Ranked:
    """`sources` in the order of their paths."""
    wanted = _Words(tuple(dict.fromkeys(word.lower() for word in words if word)))
    graph = _Graph(sources)
    weights = wanted.weights(sources)
    walked = _walk(graph, _starts(sources, wanted, weights))
    inflow, most = graph.inflow(walked)
    entries = []
    for number, source in enumerate(sources):
        in_path = wanted.of(source.path)
        path_pull = sum(weights[word] for word in in_path)
        worth = ASIDE if _ASIDE.search(source.path) else 1.0
        for definition in source.symbols.definitions:
            leaned, files, times = inflow.get((number, definition.name), (0.0, 0, 0))
            in_name = wanted.of(definition.name)
            structure = FLOOR + math.log1p(leaned * len(sources)) / most
            pull = 1.0 + NAME_PULL * sum(weights[word] for word in in_name) + PATH_PULL * path_pull
            score = structure * pull * worth * _standing(definition)
            entries.append(Entry(source.path, definition, score, files, times, in_name, in_path))
    entries.sort(key=lambda entry: (-entry.score, entry.path, entry.definition.line, entry.definition.name))
    return Ranked(tuple(entries), wanted.known(), graph.edges)


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
    """The task's words, and which names know them. A word is known by a name that it is, or that it is a part of."""

    def __init__(self, words: tuple[str, ...]) -> None:
        self._words = words
        self._stems = tuple(_stem(word) for word in words)
        self._seen: dict[str, tuple[str, ...]] = {}

    def of(self, name: str) -> tuple[str, ...]:
        if not self._words:
            return ()
        known = self._seen.get(name)
        if known is None:
            known = self._seen[name] = self._look(name)
        return known

    def _look(self, name: str) -> tuple[str, ...]:
        lower = name.lower()
        together = lower.replace("_", "").replace("-", "")
        near = [
            (word, stem)
            for word, stem in zip(self._words, self._stems, strict=True)
            if stem in lower or stem in together
        ]
        if not near:
            return ()
        parts = {_stem(part.lower()) for part in _SEAM.split(name) if part}
        parts |= {_stem(lower), _stem(together)}
        return tuple(word for word, stem in near if stem in parts or ("/" in word and f"/{word}" in f"/{lower}"))

    def weights(self, sources: Sequence[Source]) -> dict[str, float]:
        """What each word says, all of them together 1: one that few files know says more than one that all do."""
        knowing = dict.fromkeys(self._words, 0)
        for source in sources:
            here = dict.fromkeys(self.of(source.path))
            for definition in source.symbols.definitions:
                here |= dict.fromkeys(self.of(definition.name))
            for word in here:
                knowing[word] += 1
        says = {word: math.log((len(sources) + 1) / count) for word, count in knowing.items() if count}
        whole = sum(says.values()) or 1.0
        return {word: says.get(word, 0.0) / whole for word in self._words}

    def known(self) -> tuple[str, ...]:
        """Those that any name knew that was asked about."""
        found = {word for words in self._seen.values() for word in words}
        return tuple(word for word in self._words if word in found)


def _stem(word: str) -> str:
    """Without the ending of a plural."""
    return word[:-1] if len(word) > 4 and word.endswith("s") and not word.endswith("ss") else word


@dataclass(slots=True)
class _Link:
    """One file refers to a name that another one defines."""

    target: int
    name: str
    weight: float
    times: int


@dataclass(slots=True)
class _Graph:
    """Files, and the references between them. A reference to a name that several files define is shared out among them."""

    sources: Sequence[Source]
    links: list[list[_Link]] = field(init=False)
    totals: list[float] = field(init=False)
    edges: int = field(init=False)

    def __post_init__(self) -> None:
        definers: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
        for number, source in enumerate(self.sources):
            for name in dict.fromkeys(definition.name for definition in source.symbols.definitions):
                definers[source.family, name].append(number)
        self.links = []
        for number, source in enumerate(self.sources):
            family, mine = source.family, []
            for name, times in source.symbols.references.items():
                targets = definers.get((family, name))
                if targets is None or len(targets) > DEFINERS_MAX:
                    continue
                weight = math.sqrt(times) * _specific(name) / len(targets)
                mine += [_Link(target, name, weight, times) for target in targets if target != number]
            self.links.append(mine)
        self.totals = [sum(link.weight for link in links) for links in self.links]
        self.edges = sum(len({link.target for link in links}) for links in self.links)

    def inflow(self, walked: Sequence[float]) -> tuple[dict[tuple[int, str], tuple[float, int, int]], float]:
        """What reaches each definition (by its file's number and its name): how much of the walks, from how many files, how
        many times. And the most that reaches any, on the scale of a logarithm."""
        reached: dict[tuple[int, str], tuple[float, int, int]] = {}
        for number, links in enumerate(self.links):
            for link in links:
                flow, files, times = reached.get((link.target, link.name), (0.0, 0, 0))
                flow += walked[number] * link.weight / self.totals[number]
                reached[link.target, link.name] = (flow, files + 1, times + link.times)
        most = max((math.log1p(flow * len(self.sources)) for flow, _, _ in reached.values()), default=1.0)
        return reached, most or 1.0


def _specific(name: str) -> float:
    """How likely a reference to the name means the definition: a long name of several parts is no coincidence."""
    if name.startswith("_"):
        return 0.2
    return 1.0 if len(name) >= 8 else 0.6 if len(name) > 3 else 0.2


def _starts(sources: Sequence[Source], wanted: _Words, weights: dict[str, float]) -> list[float]:
    """Where walks begin: anywhere, and more often at files that know the words."""
    pulls = []
    for source in sources:
        named = {word for definition in source.symbols.definitions for word in wanted.of(definition.name)}
        in_path = wanted.of(source.path)
        pulls.append(math.fsum(weights[word] for word in sorted(named)) + 2 * sum(weights[word] for word in in_path))
    whole = math.fsum(pulls)
    even = 1.0 / max(len(sources), 1)
    if whole == 0.0:
        return [even] * len(sources)
    return [(1 - WORDS_SHARE) * even + WORDS_SHARE * pull / whole for pull in pulls]


def _walk(graph: _Graph, starts: list[float]) -> list[float]:
    """PageRank over the files, by power iteration."""
    steps: list[list[tuple[int, float]]] = []
    for links, total in zip(graph.links, graph.totals, strict=True):
        shares: defaultdict[int, float] = defaultdict(float)
        for link in links:
            shares[link.target] += link.weight / total
        steps.append(list(shares.items()))
    walked = starts
    for _ in range(ROUNDS):
        stuck = sum(share for share, ways in zip(walked, steps, strict=True) if not ways)
        reached = [(1 - DAMPING + DAMPING * stuck) * start for start in starts]
        for share, ways in zip(walked, steps, strict=True):
            for target, weight in ways:
                reached[target] += DAMPING * share * weight
        walked = reached
    return walked
