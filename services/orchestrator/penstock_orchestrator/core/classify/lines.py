"""From a tool's raw output to lines that rules can be asked about.

The rule of this room: what is quoted is not said. Diffs and numbered listings of source are blanked, JSON is unwrapped, and
everything has a bound.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from msgspec import Struct

from penstock_orchestrator.core.classify import documents, tongues

WINDOW_CHARACTERS: Final = 64 * 1024
LINES_MAX: Final = 3_000
LINE_CHARACTERS_MAX: Final = 500
REPEATS_MIN: Final = 3
"""How often the same words stand before a line until they are a prefix."""

_ESCAPES: Final = re.compile(
    r"\x1b(?:\[[0-9;:?]{0,40}[ -/]{0,4}[@-~]|\][^\x07\x1b\n]{0,400}(?:\x07|\x1b\\)|[()][A-Z0-9]|[=>78DEHMNOZc])"
)
_CONTROLS: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
# What a CI puts in front of every line it keeps.
_STAMPS: Final = re.compile(
    r"(?:\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?Z?:? |\[\d\d:\d\d:\d\d(?:\.\d+)?\] |#\d+ \d+\.\d+ |\[\d{1,2}\] (?!\d)"
    r"|[\w.-]{1,60} +\| (?=\S))"
)
# What a runner's log puts before every line; a program's own log has lines without it among them.
_LOGGED: Final = re.compile(
    r"\[?(?:\d{4}[-/]\d\d[-/]\d\d[T ]|[A-Z][a-z]{2} [ \d]\d )?\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?:Z|[+-]\d\d:?\d\d)?\]?(?: ?[|:-])?(?: |$)"
)
_WORKSPACE: Final = re.compile(r"(?:@[\w.-]{1,60}/[\w.-]{1,60}: (?![\w:-]{1,40}(?:: |\$ ))|@?[\w./-]{1,80}[: ][A-Za-z][\w:-]{0,40}(?:: |\$ )|\[[\w@/:. -]{1,60}\] )")
_MARKED: Final = re.compile(r"##\[(?:error|warning|group|endgroup|section|command)\] ?")
_LISTING: Final = re.compile(r"\s{0,12}(?:>|❯|->|→|\*)? {0,8}\d{1,6}(?: {0,3}[|│┃]|\t)")
_ASIDE: Final = re.compile(r"\s{1,16}[|│┃·](?: |$)")
_HUNK: Final = re.compile(
    r"(?:[ +\-\\@]|index |new file|deleted file|old mode|new mode|similarity|rename |copy |Binary files|diff --git )"
)
_DIFF_FILE: Final = re.compile(r"\+\+\+ (?:b/)?(\S{1,200})")
# A field of an object that a program printed over several lines, in JSON or as JavaScript shows it.
_FIELD: Final = re.compile(r"\s*[\"']?(\w{1,40})[\"']?: ?[\"'`]?(\S.{0,300}?)[\"'`]?,?$")
# The same in a dictionary that Python shows on one line.
_PAIR: Final = re.compile(r"'(\w{1,40})': (?:'([^']{1,300})'|\"([^\"]{1,300})\"|(\d{1,9}))")
_PYTEST_BODY: Final = re.compile(r"(?:_{3,} .+ _{3,}|-{3,} Captured .+ -{3,})$")
_PYTEST_END: Final = re.compile(r"={3,} .+ ={3,}$")
_COMMAND: Final = re.compile(r"(?:\+{1,4} (?!(?:actual|expected) [-+] )[A-Za-z./_]\S*(?: |$)|> \S+@\S+ \S+$|\$ [A-Za-z./_])")


class Text(Struct, frozen=True, kw_only=True):
    """`lines` are what is said, blank where something was only quoted. `starts`: where a command was echoed, the first
    line included. `only_diff`: there is nothing but a diff, `diff_of` its first file."""

    lines: tuple[str, ...]
    starts: tuple[int, ...]
    only_diff: bool
    diff_of: str = ""


def read(raw: str, *, agent: bool) -> Text:
    """The lines of an output's last part. `agent`: the output is a stream of an agent's events."""
    lines = tuple(_lines(_unwrap(raw, agent=agent)))
    if agent:
        lines = tuple(one for line in lines for one in _opened(line))
    said, diffs = _without_quotes(lines)
    starts = [0, *(number for number, line in enumerate(said) if number and _COMMAND.match(line))]
    nothing_else = not any(line.strip() for line in said)
    return Text(
        lines=tuple(said),
        starts=tuple(starts),
        only_diff=bool(diffs) and nothing_else,
        diff_of=next((found[1] for line in lines if (found := _DIFF_FILE.match(line))), "") if diffs else "",
    )


def _unwrap(raw: str, *, agent: bool) -> str:
    text = documents.unwrap(raw[-documents.CHARACTERS_MAX :], agent=agent)
    text = text[-WINDOW_CHARACTERS:]
    text = tongues.english(_ESCAPES.sub("", text.replace("\r\n", "\n")))
    return text.replace("\u2028", "\n").replace("\u2029", "\n")


def _lines(text: str) -> Iterator[str]:
    """Without control characters, with what was overwritten by a carriage return taken away."""
    found = text.split("\n")
    if len(found) > LINES_MAX:
        found = [line for line in found if line.strip()][-LINES_MAX:]
    prefixes = _repeated(found)
    stamps = _LOGGED if _all_stamped(found) else _STAMPS
    for line in found:
        shown = line.rstrip("\r").rpartition("\r")[2]
        shown = _CONTROLS.sub("", shown[:LINE_CHARACTERS_MAX]).replace("\xa0", " ").rstrip()
        stamp = stamps.match(shown)
        if stamp:
            shown = shown[stamp.end() :]
        shared = _WORKSPACE.match(shown)
        if shared and shared.group().rstrip(" :$") in prefixes:
            shown = shown[shared.end() :]
        marked = _MARKED.match(shown)
        yield shown[marked.end() :] if marked else shown


def _all_stamped(lines: list[str]) -> bool:
    """Whether nearly every line begins with a time."""
    said = [line for line in lines if line.strip()]
    return len(said) >= REPEATS_MIN and sum(_LOGGED.match(line) is not None for line in said) * 10 >= len(said) * 9


def _opened(line: str) -> Iterator[str]:
    """An agent's line, and behind it the field that it shows."""
    yield line
    field = _FIELD.match(line) if line[:1] in ' \t"' else None
    if field and field[1] in documents.VALUES:
        yield f"json {field[1]}={field[2]}"
    elif field and field[1] == "message":
        yield field[2]
    for key, text, other, number in _PAIR.findall(line) if "{'" in line else ():
        if key == "message":
            yield text or other
        elif key in documents.VALUES:
            yield f"json {key}={text or other or number}"


def _repeated(lines: list[str]) -> frozenset[str]:
    """What a runner of many packages puts before each line: the same words three times and more, or once with a command."""
    counts: dict[str, int] = {}
    for line in lines:
        found = _WORKSPACE.match(line)
        if found and not re.match(
            r"\S*\.\w{1,4}:|\[(?:ERROR|INFO|WARNING|WARN|error|info|warn|warning|javac|exec)\]", line
        ):
            shared = found.group().rstrip(" :$")
            weight = REPEATS_MIN if found.group().endswith("$ ") else 1
            counts[shared] = counts.get(shared, 0) + weight
    return frozenset(shared for shared, count in counts.items() if count >= REPEATS_MIN)


def _without_quotes(lines: tuple[str, ...]) -> tuple[list[str], int]:
    """The lines with quotes blanked, and how many lines of diff there were."""
    said, diffs, in_diff, in_body = [], 0, False, False
    for number, line in enumerate(lines):
        if _begins_diff(lines, number):
            in_diff = True
        elif in_diff and not (line and _HUNK.match(line)):
            in_diff = False
        if _PYTEST_BODY.match(line):
            in_body = "Captured" in line
        elif _PYTEST_END.match(line):
            in_body = False
        diffs += in_diff
        quoted = in_diff or (in_body and not _PYTEST_BODY.match(line)) or _LISTING.match(line) or _ASIDE.match(line)
        said.append("" if quoted else line)
    return said, diffs


def _begins_diff(lines: tuple[str, ...], number: int) -> bool:
    line = lines[number]
    if line.startswith("diff --git "):
        return True
    following = lines[number + 1] if number + 1 < len(lines) else ""
    return line.startswith("--- ") and following.startswith("+++ ")
