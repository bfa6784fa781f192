"""What can be read off an output once its class is known: the first failing test, a file and line, a count.

The rule of this room: the first one counts, since what follows is often its consequence; and nothing is made up.
"""

from __future__ import annotations

import re
from typing import Final

from msgspec import Struct

HINT_CHARACTERS_MAX: Final = 400
EVIDENCE_CHARACTERS_MAX: Final = 300
WHAT_CHARACTERS_MAX: Final = 140
TEST_CHARACTERS_MAX: Final = 120
FILE_CHARACTERS_MAX: Final = 120

_TESTS: Final = tuple(
    re.compile(sign)
    for sign in (
        r"^(?:FAILED|ERROR) (?P<test>\S+::.+?)(?: - .*)?$",
        r"^(?:FAIL|ERROR): (?P<test>\w+ \([\w.]+\))",
        r"^ {2}● (?P<test>.+ › .+)$",
        r"^ *(?:FAIL|×|✕|✘) +(?P<test>\S+\.\w+ > .+)$",
        r"^ *--- FAIL: (?P<test>\S+)",
        r"^---- (?P<test>\S+) stdout ----$",
        r"^test (?P<test>\S+) (?:- .+ )?\.\.\. FAILED",
        r"^(?:\[ERROR\] +)?(?P<test>[\w.$]+\.\w+):\d+ ",
        r"^\[ERROR\] (?P<test>[\w.$]+(?:\.\w+)?(?:\(.*\))?) +(?:--|Time elapsed:).*<<< (?:FAILURE|ERROR)!",
        r"^(?:\[ERROR\] )?Failed tests: +(?P<test>\w+\([\w.$]+\))",
        r"^(?:\[ERROR\] )?(?P<test>\w+\([\w.$]+\)) +Time elapsed",
        r"^(?P<test>[\w.$]+ > .+) FAILED$",
        r"^ {2}Failed (?P<test>\S.+?) \[",
        r"^rspec (?P<test>\./\S+:\d+)",
        r"^\d+\) (?P<test>[\w\\]+::\w+.*)$",
        r"^not ok \d+ - (?P<test>.+)$",
        r"^ +\d+\) (?P<test>(?:test )?\S.+?):?$",
        r"^ *(?:✗|✖|✘ \[fail\]:|✕|×) (?P<test>\S.+?)(?: \(\d.*\)| \d+ ?ms)?$",
        r"^\[ {2}FAILED {2}\] (?P<test>[\w/.]+)",
        r"^Test Case '(?P<test>[^']+)' failed",
        r"^ *FAIL \[ *[\d.]+s\] +(?:\(.*\) +)?(?P<test>\S+ \S+)",
        r"^(?:Failure|Error) -> (?P<test>.+)$",
    )
)
# A place: a path with an extension, and a number. Runtimes' and packages' own files are nobody's to mend.
_PLACES: Final = tuple(
    re.compile(sign)
    for sign in (
        r'^ *(?:E +)?File "(?P<file>[^"]{1,300})", line (?P<line>\d+)',
        r"^ *(?:-->|╭─\[|┌─|,-\[) ?(?P<file>[^\s:\]]{1,300}):(?P<line>\d+):\d+",
        r"^\s*at .{0,200}\((?:file://)?(?P<file>[^\s():]{1,300}):(?P<line>\d+)(?::\d+)?\)",
        r"^\s*at (?:file://)?(?P<file>/?[^\s():]{1,300}\.\w+):(?P<line>\d+)",
        r"^\s*❯ (?:\S+ )?(?P<file>[^\s:]{1,300}\.\w+):(?P<line>\d+):\d+",
        r"^\s*(?:\[\w+\] |e: |# |› |rspec |\+ )?(?:file://)?(?P<file>(?:[A-Za-z]:)?[^\s:()\[\]'\"]{1,300}\.\w{1,8})[:(\[]+(?P<line>\d+)\b",
        r"(?<![\w./-])(?P<file>[\w./-]{1,200}\.\w{1,8}):(?P<line>\d+)\b",
        r"\bin (?P<file>/?[\w./-]{1,200}\.\w{1,8})(?:\(| on line | line |:line )(?P<line>\d+)",
        r"\bat (?P<file>/?[\w./-]{1,200}\.\w{1,8}) line (?P<line>\d+)",
        r"^Build file \'(?P<file>[^\']{1,300})\' line: (?P<line>\d+)",
    )
)
_FOREIGN: Final = re.compile(
    r"node_modules|site-packages|/lib/python|<frozen|node:internal|/usr/(?:lib|include|share|local/go)|/opt/|\.cargo/registry|/rustc/|vendor/bundle"
    r"|gems/|java\.base|(?:^|/)Assert\w*\.java|\bsun\.|dist-packages|/toolchains/|internal/|^\d|\.log$|\.html$|\.(?:com|org|io|net|dev)$"
)
_SOURCE: Final = re.compile(
    r"\.(?:pyi?|pyx|[cm]?[jt]sx?|vue|svelte|astro|go|rs|java|kts?|scala|sc|sbt|groovy|gradle|[ch]|cc|cpp|cxx|hh|hpp|ipp|mm?|cu|swift"
    r"|rb|rake|ru|php|cs|fsx?|vb|razor|exs?|erl|hrl|l?hs|mli?|lua|p[lm]|t|z?sh|bash|dart|zig|nims?|cr|jl|[rR]|cljs?|elm|sol|d|ad[bs]"
    r"|pas|proto|thrift|graphql|tf|hcl|ya?ml|json|toml|xml|html?|s?css|less|mdx?|rst|tex|txt|sql|f90|f95|cmake|mk|\w*proj|cfg|ini"
    r"|feature|robot|ipynb|bats|S|y|l|mod|sum|lock)$"
)
_OPTIONAL: Final = re.compile(r"\[([^\[\]{}]*\{(\w+)\}[^\[\]{}]*)\]")
_NAME: Final = re.compile(r"\{(\w+)\}")


class Facts(Struct, frozen=True, kw_only=True):
    """Empty, or None, where nothing could be read off."""

    what: str = ""
    test: str = ""
    file: str = ""
    line: int | None = None
    count: int | None = None

    @property
    def at(self) -> str:
        return f"{self.file}:{self.line}" if self.file and self.line is not None else self.file


def facts_of(lines: tuple[str, ...], match: re.Match[str] | None) -> Facts:
    """Facts from the line that decided, and where it has none, from the first line that has."""
    groups = {key: value for key, value in match.groupdict().items() if value} if match is not None else {}
    file, line = groups.get("file", ""), groups.get("line", "")
    if not file and match is not None:
        file, line = _first_place(match.string, lines, line)
    what = (
        groups.get("what")
        or groups.get("note")
        or groups.get("name")
        or (match.string.strip() if match is not None else "")
    )
    count = groups.get("count", "")
    return Facts(
        what=_clip(what.strip(" .:"), WHAT_CHARACTERS_MAX),
        test=_clip(groups.get("test") or _first_test(lines), TEST_CHARACTERS_MAX),
        file=file.removeprefix("file://")[-FILE_CHARACTERS_MAX:],
        line=int(line) if line.isdigit() and len(line) < 9 else None,
        count=int(count) if count.isdigit() and len(count) < 9 else None,
    )


def _first_place(decided: str, lines: tuple[str, ...], line: str) -> tuple[str, str]:
    if line:
        begin = next((number for number, one in enumerate(lines) if one == decided), 0)
        above = next(
            (one.strip() for one in reversed(lines[:begin]) if re.match(r"\S*[\w)]\.\w{1,8}$", one.strip())), ""
        )
        return (above, line) if above else ("", "")
    found = _place_in(decided)
    if found:
        return found
    return next((place for place in map(_place_in, lines) if place), ("", ""))


def _place_in(line: str) -> tuple[str, str] | None:
    for sign in _PLACES:
        found = sign.search(line) if line else None
        if found and _SOURCE.search(found["file"]) and not _FOREIGN.search(found["file"]):
            return found["file"], found["line"]
    return None


def _first_test(lines: tuple[str, ...]) -> str:
    for sign in _TESTS:
        for line in lines:
            found = sign.match(line) if line else None
            if found:
                return found["test"]
    return ""


def evidence_of(lines: tuple[str, ...], number: int | None) -> str:
    """The line that decided; the last line that is not blank where none did."""
    if number is None:
        return _clip(next((line.strip() for line in reversed(lines) if line.strip()), ""), EVIDENCE_CHARACTERS_MAX)
    return _clip(lines[number].strip(), EVIDENCE_CHARACTERS_MAX)


def hint_of(template: str, facts: Facts, tool: str) -> str:
    """`template` with what is known; parts in brackets whose name is not known are left out."""
    known = {"tool": tool, "what": facts.what, "test": facts.test, "at": facts.at}

    def part(found: re.Match[str]) -> str:
        return found[1] if known.get(found[2]) else ""

    kept = _OPTIONAL.sub(part, template)
    said = _NAME.sub(lambda found: known.get(found[1], ""), kept)
    said = re.sub(r"\.\.(?= |$)", ".", re.sub(r" +(?=\.(?: |$))", "", re.sub(r" {2,}", " ", said))).strip()
    return _clip(said, HINT_CHARACTERS_MAX)


def _clip(text: str, characters: int) -> str:
    return text if len(text) <= characters else text[: characters - 1] + "…"
