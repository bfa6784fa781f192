"""Reading the output of an agent that is described by a file: rules that say where in it a fact stands.

The rule of this room: a rule that does not fit a line is silent about it, and no line can make one slow: patterns are RE2, and
a path through JSON goes no deeper than it is written.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, assert_never

import re2  # type: ignore[import-untyped]  # it ships no types; all that is asked of it stands in this file

from penstock_agent_exec.agents.facts import (
    ANSWER_LENGTH_MAX,
    SUMMARY_LENGTH_MAX,
    AnyFact,
    FileChanged,
    Finished,
    RateLimited,
    Started,
    Text,
    ToolUse,
    Usage,
    VendorError,
    shown,
)
from penstock_agent_exec.agents.json_lines import count, number
from penstock_agent_exec.agents.when import seconds_of
from penstock_agent_exec.output import readable

Says: TypeAlias = Literal["session", "text", "tool", "file", "usage", "limit", "error", "finished"]

_TOKENS: Final = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "cost_usd")
TAKES: Final[Mapping[Says, tuple[str, ...]]] = {
    "session": ("session", "model", "version"),
    "text": ("text",),
    "tool": ("id", "name", "summary"),
    "file": ("path",),
    "usage": ("id", *_TOKENS),
    "limit": ("resets_at", "retry_after_seconds", "message"),
    "error": ("message", "status"),
    "finished": ("text", "session", "turns", *_TOKENS),
}
"""What a rule may take from where it fits, by what it says."""

MATCHED_LENGTH_MAX: Final = 64 * 1024
"""So much of a text a pattern looks at."""
WORD_LENGTH_MAX: Final = 100
FIND: Final = "~ "
"""In front of a pattern, where a value could stand as well; behind a path, where only a part of what is there is meant."""

Found: TypeAlias = dict[str, object]


class BadRule(ValueError):
    """Not a rule."""


class Pattern:
    """One RE2. Raises BadRule with what is wrong with it."""

    def __init__(self, source: str) -> None:
        options = re2.Options()
        options.log_errors = False
        options.max_mem = 1 << 20
        try:
            self._compiled = re2.compile(source, options)
        except re2.error as error:
            said = error.args[0] if error.args else error
            words = said.decode(errors="replace") if isinstance(said, bytes) else str(said)
            raise BadRule(f"is no RE2 pattern: {words}") from error
        self.names: tuple[str, ...] = tuple(self._compiled.groupindex)
        self.groups: int = self._compiled.groups

    def find(self, text: str) -> tuple[str, Mapping[str, str]] | None:
        """(the first group, or where there is none the whole match; the groups with names), or None."""
        match = self._compiled.search(readable(text[:MATCHED_LENGTH_MAX]))
        if match is None:
            return None
        named: dict[str, str] = {name: part for name, part in match.groupdict().items() if part is not None}
        return (match.group(1) or "") if self.groups else match.group(0), named


class Pointer:
    """A path into JSON (RFC 6901), and maybe a pattern that takes a part of the text there: `/error/message ~ in (\\d+) s`."""

    def __init__(self, source: str) -> None:
        path, _, pattern = source.partition(f" {FIND}")
        if path and not path.startswith("/"):
            raise BadRule(f"is no path into JSON: {path!r} does not begin with a slash")
        self._steps = [step.replace("~1", "/").replace("~0", "~") for step in path.split("/")[1:]]
        self._pattern = Pattern(pattern) if pattern else None

    def find(self, document: object) -> object:
        """What is there; None where nothing is."""
        for step in self._steps:
            if isinstance(document, dict):
                document = document.get(step)
            elif isinstance(document, list):
                document = document[int(step)] if step.isdecimal() and int(step) < len(document) else None
            else:
                return None
        if self._pattern is None:
            return document
        part = self._pattern.find(as_text(document))
        return part[0] if part is not None else None


class Condition:
    """What must stand at a path: a value, or, behind `~ `, a text in which a pattern is found."""

    def __init__(self, path: str, wanted: str | int | float | bool) -> None:
        self._pointer = Pointer(path)
        is_pattern = isinstance(wanted, str) and wanted.startswith(FIND)
        self._pattern = Pattern(str(wanted).removeprefix(FIND)) if is_pattern else None
        self._wanted = wanted

    def holds(self, document: object) -> bool:
        found = self._pointer.find(document)
        if self._pattern is not None:
            return found is not None and self._pattern.find(as_text(found)) is not None
        # In Python True is 1, in a file it is not.
        return isinstance(found, bool) == isinstance(self._wanted, bool) and found == self._wanted


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One fact and where it stands. Either `when` and `take` speak of JSON, or `match` of a line of text."""

    says: Says
    error_class: str = ""
    when: tuple[Condition, ...] = ()
    take: Mapping[str, Pointer]
    match: Pattern | None = None

    def in_text(self, line: str) -> Found | None:
        """What it takes from a line; None where it does not fit."""
        if self.match is None or (found := self.match.find(line)) is None:
            return None
        return dict(found[1])

    def in_json(self, document: object) -> Found | None:
        """What it takes from a document; None where it does not fit."""
        if self.match is not None or not all(condition.holds(document) for condition in self.when):
            return None
        found = {name: pointer.find(document) for name, pointer in self.take.items()}
        return {name: value for name, value in found.items() if value is not None}


def fact_of(rule: Rule, found: Found, now: Callable[[], float]) -> AnyFact:
    """The fact that `rule` states with what it took."""
    match rule.says:
        case "session":
            return Started(
                session_id=_word(found, "session"), model=_word(found, "model"), vendor_version=_word(found, "version")
            )
        case "text":
            return Text(text=shown(as_text(found.get("text"))))
        case "tool":
            summary = shown(as_text(found.get("summary")), SUMMARY_LENGTH_MAX)
            return ToolUse(id=_word(found, "id"), name=_word(found, "name"), summary=summary)
        case "file":
            return FileChanged(path=shown(as_text(found.get("path")), SUMMARY_LENGTH_MAX))
        case "usage":
            return _usage(found)
        case "limit":
            resets_at = seconds_of(found.get("resets_at"), found.get("retry_after_seconds"), now)
            return RateLimited(kind=rule.error_class, refused=True, resets_at=resets_at)
        case "error":
            status = count(_numbers(found), "status")
            return VendorError(kind=rule.error_class, status=status, message=shown(as_text(found.get("message"))))
        case "finished":
            return _finished(found)
        case _:
            assert_never(rule.says)


def _usage(found: Found) -> Usage:
    numbers = _numbers(found)
    return Usage(
        message_id=_word(found, "id"),
        input_tokens=count(numbers, "input_tokens"),
        output_tokens=count(numbers, "output_tokens"),
        cache_read_tokens=count(numbers, "cache_read_tokens"),
        cache_write_tokens=count(numbers, "cache_write_tokens"),
        cost_usd=number(numbers, "cost_usd"),
    )


def _finished(found: Found) -> Finished:
    numbers, said = _numbers(found), as_text(found.get("text"))
    return Finished(
        is_error=False,
        text=shown(said),
        answer=shown(said, ANSWER_LENGTH_MAX),
        session_id=_word(found, "session"),
        turns=count(numbers, "turns"),
        input_tokens=count(numbers, "input_tokens"),
        output_tokens=count(numbers, "output_tokens"),
        cache_read_tokens=count(numbers, "cache_read_tokens"),
        cache_write_tokens=count(numbers, "cache_write_tokens"),
        cost_usd=number(numbers, "cost_usd"),
    )


def as_text(value: object) -> str:
    """A text as it is, a number as it is written, and nothing of what has parts of its own."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, str | int | float) else ""


def _word(found: Found, key: str) -> str:
    return shown(as_text(found.get(key)), WORD_LENGTH_MAX)


def _numbers(found: Found) -> Found:
    """The same, with numbers that stand as text (of a pattern, always) turned into numbers."""
    numbers: Found = {}
    for key, value in found.items():
        try:
            numbers[key] = float(value.replace(",", "").replace("_", "")) if isinstance(value, str) else value
        except ValueError:
            continue
    return numbers
