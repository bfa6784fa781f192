"""Which definitions of a repository a task should know first: those with its words in their names, and those that others lean on.

Rule of this room: pure, and the same input gives the same order to the last place; nothing iterates over a set of strings.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, chain, repeat
from operator import add
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
"""Of 100 bytes each at most. Where there are more, names with many definers lead nowhere, until there are not."""

WORDS_SHARE: Final = 0.6
"""Of the walks, how many begin at files that know the task's words; the others begin anywhere."""
FLOOR: Final = 0.15
"""What a definition is worth that nobody refers to, of one that everybody does."""
NAME_PULL: Final = 12.0
PATH_PULL: Final = 4.0
ASIDE: Final = 0.25
"""What a definition in tests, examples and documents is worth beside one in the code itself."""

OF_SOMETHING: Final = 0.8
PRIVATE: Final = 0.5
SHORT: Final = 0.4
MINOR: Final = 0.6
_MINOR_KINDS: Final = frozenset({"variable", "constant", "id", "property"})

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
    names = [[definition.name for definition in source.symbols.definitions] for source in sources]
    wanted = _Words(tuple(dict.fromkeys(word.lower() for word in words if word)), sources, names)
    graph = _graph(sources, names)
    _lean(graph, _walk(graph, _starts(wanted)))
    scores = _scores(sources, names, wanted, graph)
    firsts = list(accumulate(map(len, names), initial=0))
    best = _best(scores, entries_max)
    return Ranked(
        tuple(_entry(sources, firsts, index, scores[index], wanted, graph) for index in best),
        len(scores),
        sum(map(bool, names)),
        wanted.known_by_names,
        wanted.known_by_paths,
        sum(map(len, graph.steps)),
    )


def _scores(sources: Sequence[Source], names: Sequence[Sequence[str]], wanted: _Words, graph: _Graph) -> list[float]:
    """Of each definition, in the order of the sources."""
    most = max((lean.flow for leans in graph.leans.values() for lean in leans.values()), default=0.0)
    scale = math.log1p(most * len(sources)) or 1.0

    def worth_of(name: str, lean: _Lean | None, twins: int) -> float:
        flow = 0.0 if lean is None else lean.flow * len(sources) / twins
        return (FLOOR + math.log1p(flow) / scale) * (1.0 + NAME_PULL * wanted.pull_of_name(name))

    worths = {
        family: {name: worth_of(name, leans.get(name), 1) for name in chain(leans, wanted.names)}
        for family, leans in graph.leans.items()
    }
    scores: list[float] = []
    for source, mine in zip(sources, names, strict=True):
        leans, worth_by_name = graph.leans[source.family], worths[source.family]
        of_path = (ASIDE if _ASIDE.search(source.path) else 1.0) * (1.0 + PATH_PULL * wanted.pull_of_path(source.path))
        twins = Counter(mine) if len(set(mine)) < len(mine) else None
        # Hundreds of thousands go through here: no calls.
        for definition, name in zip(source.symbols.definitions, mine, strict=True):
            worth = worth_by_name.get(name, FLOOR)
            if twins is not None and twins[name] > 1 and name in leans:
                worth = worth_of(name, leans[name], twins[name])
            # What people look for by itself, before what belongs to it, before what is nobody's business.
            if definition.scope:
                worth *= OF_SOMETHING
            if definition.kind in _MINOR_KINDS:
                worth *= MINOR
            if name[:1] == "_":
                worth *= PRIVATE
            if len(name) < 3:
                worth *= SHORT
            scores.append(worth * of_path)
    return scores


def _best(scores: Sequence[float], count: int) -> list[int]:
    """The places of the highest, the highest first, of equal ones the first."""
    least = sorted(scores, reverse=True)[count - 1] if len(scores) > count else 0.0
    best = [place for place, score in enumerate(scores) if score >= least]
    best.sort(key=lambda place: (-scores[place], place))
    return best[:count]


class _Words:
    """The task's words, and which names know them. A word is known by a name that it is, or that it is a part of. Any word says
    something, all of them together 1: one that few files know says more than one that all do.

    `names`, `paths`: those of the sources that know any words, with them. `known_by_names`, `known_by_paths`: the words that any
    of these knows, in the order in which they were given. `starts`: of each source, how much of what the words say its
    definitions know, and its path."""

    def __init__(self, words: tuple[str, ...], sources: Sequence[Source], names: Sequence[Sequence[str]]) -> None:
        stems = ((word, _stem(word)) for word in words)
        self._words = tuple((word, stem, squeezed) for word, stem in stems if (squeezed := _squeezed(stem)))
        self.names = self._knowing(chain.from_iterable(names))
        self.paths = self._knowing(source.path for source in sources)
        self.known_by_names = self._known(self.names.values())
        self.known_by_paths = self._known(self.paths.values())
        by_names = [tuple(dict.fromkeys(chain.from_iterable(map(self.names.get, mine, repeat(()))))) for mine in names]
        by_path = [self.paths.get(source.path, ()) for source in sources]
        knowing = Counter(chain.from_iterable(map(set, map(add, by_names, by_path))))
        says = {word: math.log((len(sources) + 1) / count) for word, count in sorted(knowing.items())}
        whole = math.fsum(says.values()) or 1.0
        self._weights = {word: said / whole for word, said in says.items()}
        self.starts = list(zip(map(self._pull, by_names), map(self._pull, by_path), strict=True))

    def pull_of_name(self, name: str) -> float:
        """0..1: how much of what the words say the name knows."""
        return self._pull(self.names.get(name, ()))

    def pull_of_path(self, path: str) -> float:
        return self._pull(self.paths.get(path, ()))

    def _pull(self, words: tuple[str, ...]) -> float:
        return math.fsum([self._weights[word] for word in words]) if words else 0.0

    def _known(self, found: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
        known = frozenset(chain.from_iterable(found))
        return tuple(word for word, _, _ in self._words if word in known)

    def _knowing(self, names: Iterable[str]) -> dict[str, tuple[str, ...]]:
        """The names that know any of the words, with the words they know."""
        if not self._words:
            return {}
        each = list(dict.fromkeys(names))
        # One search in one text for each word, and a close look at the few names where it has found something.
        squeezed = [_squeezed(name.lower()) for name in each]
        text, ends = "\0".join(squeezed), list(accumulate(len(name) + 1 for name in squeezed))
        near: set[int] = set()
        for _, _, word in self._words:
            at = text.find(word)
            while at >= 0:
                place = bisect_right(ends, at)
                near.add(place)
                at = text.find(word, ends[place])
        found = ((each[place], self._of(each[place])) for place in sorted(near))
        return {name: words for name, words in found if words}

    def _of(self, name: str) -> tuple[str, ...]:
        lower = name.lower()
        parts = {_stem(part.lower()) for part in _SEAM.split(name) if part}
        whole = _stem(_squeezed(lower))
        return tuple(
            word
            for word, stem, squeezed in self._words
            if stem in parts or squeezed == whole or ("/" in word and f"/{word}" in f"/{lower}")
        )


def _stem(word: str) -> str:
    """Without the ending of a plural."""
    return word[:-1] if len(word) > 4 and word.endswith("s") and not word.endswith("ss") else word


def _squeezed(text: str) -> str:
    return text.replace("_", "").replace("-", "")


class _Lean:
    """A name that files lean on. `definers`: the files that define it, among which a reference to it is shared out, and `weight`
    what each of them gets of one. Then what reaches it: how much of the walks, for each definer, from how many files, how many
    times."""

    __slots__ = ("definers", "files", "flow", "times", "weight")

    def __init__(self, name: str, definers: Sequence[int]) -> None:
        self.definers = definers
        self.weight = _specific(name) / len(definers)
        self.flow, self.files, self.times = 0.0, 0, 0


# Hundreds of thousands of these are made, and a class for them is a fifth of all the time.
_Link: TypeAlias = tuple[_Lean, float, int]
"""A file refers to a name that others define: the name, what each of its definers gets, and how many times."""


class _Graph(NamedTuple):
    """Files by their number. `leans`: by family and name, what is referred to. `links`: of each file, what it refers to. `steps`:
    the same by the file that it leads to, the shares of each file together 1."""

    leans: Mapping[str, dict[str, _Lean]]
    links: list[list[_Link]]
    steps: list[list[tuple[int, float]]]


def _graph(sources: Sequence[Source], names: Sequence[Sequence[str]]) -> _Graph:
    """A file refers to no name that it defines itself."""
    definers: defaultdict[str, defaultdict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for number, source in enumerate(sources):
        family = definers[source.family]
        for name in dict.fromkeys(names[number]):
            family[name].append(number)
    definers_max = _definers_max(sources, definers)
    graph = _Graph(defaultdict(dict), [], [])
    for source in sources:
        defined, leans = definers[source.family], graph.leans[source.family]
        links: list[_Link] = []
        shares: dict[int, float] = {}
        for name, times in source.symbols.references.items():
            if (lean := leans.get(name)) is None:
                if (here := defined.get(name)) is None or len(here) > definers_max:
                    continue
                lean = leans[name] = _Lean(name, here)
            weight = lean.weight if times == 1 else lean.weight * math.sqrt(times)
            links.append((lean, weight, times))
            for definer in lean.definers:
                shares[definer] = shares.get(definer, 0.0) + weight
        total = math.fsum(shares.values())
        graph.links.append(links)
        graph.steps.append([(definer, share / total) for definer, share in shares.items()])
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


def _lean(graph: _Graph, walked: Sequence[float]) -> None:
    """Let what was walked reach the names."""
    for walk, links in zip(walked, graph.links, strict=True):
        total = sum([weight * len(lean.definers) for lean, weight, _ in links])
        for lean, weight, times in links:
            lean.flow += walk / total * weight
            lean.files += 1
            lean.times += times


def _specific(name: str) -> float:
    """How likely a reference to the name means the definition: a long name is no coincidence."""
    if name.startswith("_"):
        return 0.2
    return 1.0 if len(name) >= 8 else 0.6 if len(name) > 3 else 0.2


def _starts(wanted: _Words) -> list[float]:
    """Where walks begin: anywhere, and more often at files that know the words."""
    pulls = [by_names + 2 * by_path for by_names, by_path in wanted.starts]
    even = 1.0 / max(len(pulls), 1)
    whole = math.fsum(pulls)
    if whole == 0.0:
        return [even] * len(pulls)
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


def _entry(
    sources: Sequence[Source], firsts: Sequence[int], index: int, score: float, wanted: _Words, graph: _Graph
) -> Entry:
    """Of the definition with this index, where the first one of each source has that of `firsts`."""
    number = bisect_right(firsts, index) - 1
    source = sources[number]
    definition = source.symbols.definitions[index - firsts[number]]
    lean = graph.leans[source.family].get(definition.name)
    return Entry(
        source.path,
        definition,
        score,
        0 if lean is None else lean.files,
        0 if lean is None else lean.times,
        wanted.names.get(definition.name, ()),
        wanted.paths.get(source.path, ()),
    )
