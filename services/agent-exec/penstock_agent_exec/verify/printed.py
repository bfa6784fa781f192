"""What a command has printed about its tests: JSON for machines, or the sums for people where there is nothing else.

Rule of this room: sums are worth less than a report. Their names are those that were printed, so two of them are compared only
where every failure that was counted was named too. Patterns are RE2's: linear in whatever was printed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import re2  # type: ignore[import-untyped]  # it ships no types; all that is asked of it stands in this file

from penstock_agent_exec.output import readable
from penstock_agent_exec.verify.documents import read_document, read_go_lines
from penstock_agent_exec.verify.reading import TEXT, NotAReport, Reading, without_root

PRINTED_BYTES_MAX: Final = 4 * 1024 * 1024
"""Of what a command prints, that is looked through; of more, the last TEXT_BYTES_MAX for sums."""

TEXT_BYTES_MAX: Final = 1024 * 1024
LINE_BYTES_MAX: Final = 2_000
SUM_LINES_MAX: Final = 20_000
STARTS_MAX: Final = 20
"""Places at which a document may begin."""


class Printed:
    """Takes what a command prints, secrets hidden; memory is bounded."""

    def __init__(self) -> None:
        self._kept = bytearray()
        self.is_whole = True

    def take(self, part: bytes) -> None:
        self._kept += part
        if len(self._kept) > PRINTED_BYTES_MAX:
            self.is_whole = False
            del self._kept[:-TEXT_BYTES_MAX]

    def read(self, root: str) -> Reading | None:
        """What it says of tests; None where it says nothing. `root`: where the work tree was for the command."""
        lines = without_root(bytes(self._kept), root).split(b"\n")
        if self.is_whole and (found := _machine(lines)) is not None:
            return found
        return read_sums(lines[-SUM_LINES_MAX:])


def _machine(lines: list[bytes]) -> Reading | None:
    if any(line.startswith(b'{"') and b'"Action":' in line for line in lines):
        try:
            return read_go_lines(lines)
        except NotAReport:
            pass
    for document in _documents(lines):
        try:
            found = read_document(document)
        except NotAReport:
            continue
        if found.total:
            return found
    return None


def _documents(lines: list[bytes]) -> Iterator[bytes]:
    """What may be a document: a line of its own, or from such a line to the last one that closes it."""
    starts = [number for number, line in enumerate(lines) if line[:1] in (b"{", b"[")][:STARTS_MAX]
    for start in starts:
        closing = b"}" if lines[start][:1] == b"{" else b"]"
        if lines[start].rstrip().endswith(closing):
            yield lines[start]
        end = next((n for n in range(len(lines) - 1, start, -1) if lines[n].rstrip() == closing), None)
        if end is not None:
            yield b"\n".join(lines[start : end + 1])


@dataclass(frozen=True, slots=True)
class _Sums:
    """How one tool prints its sums. `total`: a line that says there are such; each of the counters is a pattern whose numbers
    are added up; `names`: the name of a test that failed."""

    tool: str
    is_there: str
    passed: str = ""
    failed: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()
    total: str = ""
    names: tuple[str, ...] = ()


_SUMS: Final = (
    _Sums(
        "pytest",
        r"^=* ?(?:\d+ [a-z]+, )*\d+ (?:passed|failed|errors?|skipped|xfailed|xpassed|deselected)\b.* in \d+\.\d+s",
        passed=r"^=* ?(?:\d+ [a-z]+, )*?(\d+) passed\b.* in \d",
        failed=(r"^=* ?(?:\d+ [a-z]+, )*?(\d+) failed\b.* in \d", r"^=* ?(?:\d+ [a-z]+, )*?(\d+) errors?\b.* in \d"),
        skipped=(r"^=* ?(?:\d+ [a-z]+, )*?(\d+) skipped\b.* in \d", r"^=* ?(?:\d+ [a-z]+, )*?(\d+) xfailed\b.* in \d"),
        names=(r"^(?:FAILED|ERROR) (\S+(?:\[.*\])?)(?: - .*)?$",),
    ),
    _Sums(
        "unittest",
        r"^Ran \d+ tests? in \d",
        total=r"^Ran (\d+) tests? in \d",
        failed=(r"^FAILED \(.*?failures=(\d+)", r"^FAILED \(.*?errors=(\d+)"),
        skipped=(r"^(?:OK|FAILED) \(.*?skipped=(\d+)",),
        names=(r"^(?:FAIL|ERROR): (.+)$",),
    ),
    _Sums(
        "libtest",
        r"^test result: (?:ok|FAILED)\. \d+ passed;",
        passed=r"^test result: \w+\. (\d+) passed;",
        failed=(r"^test result: \w+\. \d+ passed; (\d+) failed;",),
        skipped=(r"^test result: \w+\. \d+ passed; \d+ failed; (\d+) ignored;",),
        names=(r"^test (\S+)(?: - should panic)? \.\.\. FAILED\b",),
    ),
    _Sums(
        "jest",
        r"^Tests: +.*\d+ total$",
        total=r"^Tests: .*?(\d+) total$",
        failed=(r"^Tests: .*?(\d+) failed\b",),
        skipped=(r"^Tests: .*?(\d+) skipped\b", r"^Tests: .*?(\d+) todo\b"),
        names=(r"^ {2}● (.+)$",),
    ),
    _Sums(
        "vitest",
        r"^ +Tests +.*\(\d+\)$",
        total=r"^ +Tests .*\((\d+)\)$",
        failed=(r"^ +Tests .*?(\d+) failed\b",),
        skipped=(r"^ +Tests .*?(\d+) skipped\b", r"^ +Tests .*?(\d+) todo\b"),
        names=(r"^ *FAIL +(\S+ > .+?)$",),
    ),
    _Sums(
        "mocha",
        r"^ +\d+ passing \(",
        passed=r"^ +(\d+) passing \(",
        failed=(r"^ +(\d+) failing$",),
        skipped=(r"^ +(\d+) pending$",),
    ),
    _Sums(
        "go",
        r"^=== RUN ",
        passed=r"^ *--- PASS: (\S+)",
        failed=(r"^ *--- FAIL: (\S+)",),
        skipped=(r"^ *--- SKIP: (\S+)",),
        names=(r"^ *--- FAIL: (\S+)",),
    ),
    _Sums(
        "ctest",
        r"^\d+% tests passed, \d+ tests? failed out of \d+",
        total=r"^\d+% tests passed, \d+ tests? failed out of (\d+)",
        failed=(r"^\d+% tests passed, (\d+) tests? failed",),
        names=(r"^\t *\d+ - (\S+) \((?:[A-CE-Z]|D[^i])",),
    ),
    _Sums(
        "rspec",
        r"^\d+ examples?, \d+ failures?",
        total=r"^(\d+) examples?, \d+ failures?",
        failed=(r"^\d+ examples?, (\d+) failures?", r"^\d+ examples?.*?(\d+) errors? occurred outside"),
        skipped=(r"^\d+ examples?, \d+ failures?, (\d+) pending",),
        names=(r"^rspec \S+ # (.+)$",),
    ),
    _Sums(
        "phpunit",
        r"^(?:OK \(\d+ tests?,|Tests: \d+, Assertions:)",
        total=r"^(?:OK \(|Tests: )(\d+)",
        failed=(r"^Tests: .*?Failures: (\d+)", r"^Tests: .*?Errors: (\d+)"),
        skipped=(r"^Tests: .*?Skipped: (\d+)", r"^Tests: .*?Incomplete: (\d+)"),
        names=(r"^\d+\) (\S+::\S+.*)$",),
    ),
    _Sums(
        "tap",
        r"^1\.\.\d+$",
        passed=r"^(ok) \d+\b",
        failed=(r"^(not ok) \d+\b",),
        skipped=(r"^ok \d+\b.*# (?:SKIP|skip|Skip)",),
        names=(r"^not ok \d+ (?:- )?(.+?)(?: # .*)?$",),
    ),
    _Sums(
        "maven",
        r"^\[?(?:INFO|ERROR|WARNING)?\]? ?Tests run: \d+, Failures: \d+, Errors: \d+, Skipped: \d+$",
        total=r"^\S* ?Tests run: (\d+), Failures: \d+, Errors: \d+, Skipped: \d+$",
        failed=(r"^\S* ?Tests run: \d+, Failures: (\d+), .*: \d+$", r"^\S* ?Tests run: \d+, .*Errors: (\d+), Skipped: \d+$"),
        skipped=(r"^\S* ?Tests run: \d+, .*, Skipped: (\d+)$",),
        names=(r"^\[ERROR\] {3}([\w.$]+:\d+)",),
    ),
)  # fmt: skip

_BY_WORDS: Final = frozenset({"go", "tap"})
"""Tools whose lines are counted, where others print numbers."""


def _compiled(pattern: str) -> Callable[[bytes], bytes | None]:
    """The first group of a match, None where there is none."""
    rule = re2.compile(pattern.encode())

    def find(line: bytes) -> bytes | None:
        match = rule.search(line)
        return None if match is None else match.group(1) if rule.groups else match.group()

    return find


_RULES: Final = tuple(
    (
        sums,
        _compiled(sums.is_there),
        {
            "total": tuple(map(_compiled, filter(None, (sums.total,)))),
            "passed": tuple(map(_compiled, filter(None, (sums.passed,)))),
            "failed": tuple(map(_compiled, sums.failed)),
            "skipped": tuple(map(_compiled, sums.skipped)),
            "names": tuple(map(_compiled, sums.names)),
        },
    )
    for sums in _SUMS
)


def read_sums(lines: list[bytes]) -> Reading | None:
    """The sums of the first tool whose sums are there."""
    plain = [readable(line).encode() if b"\x1b" in line else line.rstrip(b"\r") for line in lines]
    short = [line for line in plain if len(line) <= LINE_BYTES_MAX]
    for sums, is_there, rules in _RULES:
        if any(is_there(line) is not None for line in short):
            return _summed(sums.tool, rules, short)
    return None


def _summed(tool: str, rules: dict[str, tuple[Callable[[bytes], bytes | None], ...]], lines: list[bytes]) -> Reading:
    sums = dict.fromkeys(rules, 0)
    names: set[str] = set()
    for line in lines:
        for kind, finders in rules.items():
            for find in finders:
                if (hit := find(line)) is None:
                    continue
                if kind == "names":
                    names.add(hit.decode("utf-8", "replace"))
                else:
                    sums[kind] += 1 if tool in _BY_WORDS else int(hit[:9])
    failed, skipped = sums["failed"], sums["skipped"]
    passed = max(sums["total"] - failed - skipped, 0) if sums["total"] else sums["passed"]
    found = Reading(TEXT)
    for name in names:
        found.add(name, "failed")
    if tool == "tap":
        passed = max(passed - skipped, 0)
    found.counts = {"passed": passed, "failed": failed, "skipped": skipped}
    # Those that passed are not named, so a failure is known to be new or old, and never to have been mended.
    found.is_whole = len(found.cases) == failed
    return found
