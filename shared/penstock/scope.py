"""Whether a changed file is one that a plan, a task or a repo names.

Rule of this room: a path that is not clearly named is outside.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar


def allows(scope: tuple[str, ...], path: str) -> bool:
    """True when a plan's files (or a repo's, or a task's scope) cover `path`, a changed file relative to the repository's top.

    An entry is that path, a folder above it, or a glob: `*` and `?` stay within one name, `**` spans folders; `[` is only a
    letter, since web frameworks name files so. Nothing covers a path that climbs (`..`) or starts at the root."""
    wanted = _segments(path)
    if not wanted:
        return False
    return any(_covers(entry, wanted) for entry in scope)


def _covers(entry: str, wanted: tuple[str, ...]) -> bool:
    named = _segments(entry)
    if named is None:
        return False
    if wanted[: len(named)] == named:
        return bool(named) or entry.strip("/") == "."
    if entry.endswith("/"):
        named = (*named, "**")
    return _matches(named, wanted, "**", _name_matches)


def _segments(path: str) -> tuple[str, ...] | None:
    """The names in a path; None where it leads out of the repository."""
    names = tuple(name for name in path.split("/") if name not in ("", "."))
    return None if path.startswith("/") or ".." in names else names


def _name_matches(pattern: str, name: str) -> bool:
    return _matches(pattern, name, "*", lambda wild, letter: wild in ("?", letter))


_Item = TypeVar("_Item")


def _matches(
    pattern: Sequence[_Item], items: Sequence[_Item], star: _Item, alike: Callable[[_Item, _Item], bool]
) -> bool:
    """Whether the items fit the pattern, in which `star` stands for any number of them. Only the last star is ever tried
    again, so the work is at most the product of both lengths, whatever an agent has written."""
    at = position = 0
    star_at, resume = -1, 0
    while position < len(items):
        if at < len(pattern) and pattern[at] == star:
            star_at, resume = at, position
            at += 1
        elif at < len(pattern) and alike(pattern[at], items[position]):
            at, position = at + 1, position + 1
        elif star_at >= 0:
            resume += 1
            at, position = star_at + 1, resume
        else:
            return False
    return all(left == star for left in pattern[at:])
