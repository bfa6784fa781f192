"""The map as text: the best definitions that fit, by file, in the words of their own lines.

Rule of this room: the text never takes more than it may, and says at its end how much is not in it.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import Final

from penstock_agent_exec.git.failures import readable
from penstock_agent_exec.repo_map.answer import cut
from penstock_agent_exec.repo_map.rank import Entry, Ranked

BYTES_PER_TOKEN: Final = 3
"""Of code with its paths and punctuation; tokenizers of today's models take 3 to 4."""
OF_A_FILE_MAX: Final = 12
OF_A_NAME_MAX: Final = 3
"""Of a name that many define, the first ones tell as much as all."""
LINE_LENGTH_MAX: Final = 160
PATH_SHOWN_MAX: Final = 200
FOOTER_BYTES: Final = 120


@dataclass(frozen=True, slots=True)
class Rendered:
    """`shown`: the entries that are in the text, the best first."""

    text: str
    shown: tuple[Entry, ...]


def tokens_of(text: str) -> int:
    """About how many tokens a model takes for it; rather too many than too few."""
    return math.ceil(len(text.encode("utf-8", "replace")) / BYTES_PER_TOKEN)


def render(ranked: Ranked, *, tokens_max: int, why: bool = False) -> Rendered:
    """Its entries cut to about `tokens_max` tokens; those with `why` stand beside that."""
    room = tokens_max * BYTES_PER_TOKEN - FOOTER_BYTES
    chosen: dict[str, list[Entry]] = {}
    shown: list[Entry] = []
    named: Counter[str] = Counter()
    for entry in ranked.entries:
        mine = chosen.get(entry.path, [])
        if len(mine) == OF_A_FILE_MAX or named[entry.definition.name] == OF_A_NAME_MAX:
            continue
        cost = _bytes(_line(entry)) + (0 if mine else _bytes(_head(entry.path)))
        if cost > room:
            break
        room -= cost
        chosen.setdefault(entry.path, []).append(entry)
        shown.append(entry)
        named[entry.definition.name] += 1
    lines = [line for path, mine in chosen.items() for line in _file(path, mine, why=why)]
    left = ranked.definitions - len(shown)
    if left and lines:
        files = ranked.files - len(chosen)
        lines.append(f"[not shown: {left:,} more definitions, {files:,} more files]\n")
    return Rendered("".join(lines), tuple(shown))


def _file(path: str, entries: list[Entry], *, why: bool) -> list[str]:
    lines = [_head(path)]
    for entry in sorted(entries, key=lambda entry: (entry.definition.line, entry.definition.name)):
        lines.append(_line(entry))
        if why:
            lines.append(f"         {reason(entry)}\n")
    return lines


def reason(entry: Entry) -> str:
    """Why the entry stands where it does, for a person."""
    parts = []
    if entry.words:
        parts.append(f"its name knows {', '.join(entry.words)}")
    if entry.path_words:
        parts.append(f"its path knows {', '.join(entry.path_words)}")
    if entry.files:
        files = "1 other file refers" if entry.files == 1 else f"{entry.files:,} other files refer"
        parts.append(f"{files} to this name, {entry.times:,} times")
    return f"{entry.definition.kind}, {entry.score:.3f}: {'; '.join(parts) or 'nothing better was left'}"


def _head(path: str) -> str:
    return f"{readable(path)[:PATH_SHOWN_MAX]}\n"


def _line(entry: Entry) -> str:
    definition = entry.definition
    scope = f"[{definition.scope}] " if definition.scope else ""
    return f"{definition.line:>6}: {cut(readable(scope + definition.text), LINE_LENGTH_MAX)}\n"


def _bytes(text: str) -> int:
    return len(text.encode("utf-8", "replace"))
