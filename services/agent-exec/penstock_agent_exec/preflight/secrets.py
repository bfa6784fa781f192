"""Secrets in what a change adds: the shapes that are known, and values that somebody has given to a password.

Rule of this room: what was found is never repeated, not even a part of it: a finding says where, of what kind and how long.
"""

from __future__ import annotations

import math
import posixpath
import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

import re2  # type: ignore[import-untyped]  # it ships no types; all that is asked of it stands in this file

from penstock.bounds import LINE_LENGTH_MAX, clip
from penstock.scope import allows
from penstock.values import Finding
from penstock_agent_exec.git.secrets import narrow
from penstock_agent_exec.preflight.files import shown_path
from penstock_agent_exec.preflight.history import Added, History
from penstock_agent_exec.redact import Redactor
from penstock_agent_exec.secret_shapes import is_placeholder

SECRETS_NAMED_MAX: Final = 100
CAN_DO: Final = "take it out of every commit, and have it revoked if it is real"
IN_FIXTURES: Final = "see that it is made up"

_WORDS: Final = (
    r"(?:pass(?:word|wd|phrase)?|pwd|secret|token|api[_-]?key|access[_-]?key|auth[_-]?key|account[_-]?key|encryption[_-]?key"
    r"|signing[_-]?key|private[_-]?key|client[_-]?secret|credentials?|webhook[_-]?secret|bot[_-]?token)"
)
_NAME: Final = rf"[A-Z0-9_.\-]{{0,60}}({_WORDS})(?:s|_[A-Z0-9_]{{0,20}}|[0-9]{{1,3}})?"
_QUOTED: Final = rf"""(?i){_NAME}[\\"'\]]{{0,6}}[ \t]*(?:[:=]|:=|=>)[ \t]*\\{{0,3}}["'`]([^"'`\s]{{8,200}})["'`]"""
"""Also as a line of code stands in JSON, such as in a notebook: with a backslash before its quotes."""
_BARE: Final = (
    rf"(?i)^[ \t]*(?:export[ \t]+|-[ \t]+|set[ \t]+)?{_NAME}[ \t]*[:=][ \t]*"
    r"""([^\s"'`#;,]{8,200})[ \t]*(?:[#;].*)?$"""
)
_HEX: Final = (
    r"(?i)(?:gitea|forgejo|codeberg|datadog|circleci|heroku|twilio|cloudflare|npm)[A-Z0-9_.\- ]{0,30}"
    r"""["']?[ \t]*[:=][ \t]*["']?([0-9a-f]{32,64})\b"""
)

_SETTINGS_FILES: Final = re.compile(
    r"(?:^|/)(?:[^/]*\.(?:ya?ml|ini|cfg|conf|properties|toml|env|envrc|sh|bash|zsh|tfvars|npmrc|netrc|cnf|txt)|\.?env[^/]*"
    r"|Dockerfile[^/]*|docker-compose[^/]*|Makefile|\.[a-z]+rc|Jenkinsfile|Procfile)$",
    re.IGNORECASE,
)
"""Where a value needs no quotes."""

_NAMED_ELSEWHERE: Final = re.compile(
    rb"[\$<\{\[(]|^(?:process\.|os\.|self\.|this\.|config|settings|env\b|getenv|secrets?\.|vault:|ref:|file:|/run/|/etc/|!|\*+$)"
    rb"|(?i:fake|dummy|mock|example|sample|placeholder|change[-_]?me|not[-_]?(?:a[-_]?)?(?:real|secret)|redacted|insert|todo"
    rb"|replace|default|your|none$|null$|true$|false$|undefined|required|optional|^test|test$|xxx)"
)
_ONLY_WORDS: Final = {
    "password": re.compile(rb"[A-Za-z]+(?:[-_./: ][A-Za-z]+)*"),
    "other": re.compile(rb"(?:[A-Za-z]+|[0-9]{1,6})(?:[-_./: ](?:[A-Za-z]+|[0-9]{1,6}))*"),
}
_ORDERED: Final = re.compile(rb"(?:0?123456789?0?|abcdefgh|qwertyui)", re.IGNORECASE)
ENTROPY_MIN: Final = {"password": 2.5, "other": 3.0}
"""Bits a character. `hunter2hunter2` has 2.8; a random token of 20 characters about 4."""


_MARKED: Final = re.compile(rb"\A(?:\xef\xbb\xbf|\xff\xfe|\xfe\xff)")
"""What stands before the first letter of a file, to say how it is written."""


def _compiled(rule: str) -> re2._Regexp:
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    options.log_errors = False
    return re2.compile(rule.encode(), options)


_RULES: Final = (("quoted", _compiled(_QUOTED)), ("bare", _compiled(_BARE)), ("hex", _compiled(_HEX)))


def secrets(history: History, redactor: Redactor, fixtures: tuple[str, ...]) -> Iterator[Finding]:
    """Every place in lines, names and messages. Blocking; for a thread."""
    said: set[tuple[str, int | None, str]] = set()
    for finding in _all(history, redactor, fixtures):
        if (where := (finding.file, finding.line, finding.rule)) not in said:
            said.add(where)
            yield finding
            if len(said) == SECRETS_NAMED_MAX:
                return


def _all(history: History, redactor: Redactor, fixtures: tuple[str, ...]) -> Iterator[Finding]:
    for commit in history.commits:
        heads = f"{commit.author_name}\n{commit.author_email}\n{commit.committer_name}\n{commit.committer_email}\n"
        for span in redactor.find(heads.encode("utf-8", "surrogatepass") + history.objects[commit.commit]):
            message = f"the message of commit {commit.commit[:12]} holds {_kind(span.name)}"
            yield Finding(rule="secret", severity="hard", message=clip(message, LINE_LENGTH_MAX), can_do=CAN_DO)
    for path in sorted({file.path for file in history.touched}):
        if found := redactor.find(path.encode("utf-8", "surrogatepass")):
            shown = redactor.text(shown_path(path))
            yield Finding(
                rule="secret",
                severity="hard",
                file=shown,
                message=f"its name holds {_kind(found[0].name)}",
                can_do=CAN_DO,
            )
    told = [(bool(fixtures) and allows(fixtures, added.path), added) for added in history.added]
    # Those that are no fixtures first, so that no number of made-up ones leaves out one that is not.
    for made_up, added in sorted(told, key=lambda one: one[0]):
        for number, kind, length in in_lines(added, redactor):
            yield of_line(added, number, kind, length, made_up=made_up)


def of_line(added: Added, number: int | None, kind: str, length: int, *, made_up: bool) -> Finding:
    """The finding about one place. `made_up`: the repo's settings say that secrets of this file are."""
    size = f" of {length} characters" if length else ""
    return Finding(
        rule="secret",
        severity="flagged" if made_up else "hard",
        file=shown_path(added.path),
        line=number,
        message=clip(f"{kind}{size}, in commit {added.commit[:12]}", LINE_LENGTH_MAX),
        can_do=IN_FIXTURES if made_up else CAN_DO,
    )


def _kind(name: str) -> str:
    return f"what looks like a secret ({name})"


def in_lines(added: Added, redactor: Redactor) -> Iterator[tuple[int, str, int]]:
    """Line, kind and length of each secret in the lines that were added to a file."""
    yield from _in_lines(added, added.lines, redactor)
    if any(b"\0" in line for line in added.lines):
        yield from _in_lines(added, [narrow(line) for line in added.lines], redactor)


def _in_lines(added: Added, lines: Sequence[bytes], redactor: Redactor) -> Iterator[tuple[int, str, int]]:
    text = b"\n".join(lines)
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line) + 1)
    for span in redactor.find(text):
        at = bisect_right(starts, span.start) - 1
        yield added.numbers[at], _kind(span.name), span.end - span.start
    bare = _SETTINGS_FILES.search(added.path) is not None or "." not in posixpath.basename(added.path)
    for number, line in zip(added.numbers, lines, strict=True):
        if (found := _given(line, bare=bare)) is not None:
            yield number, _kind(found[0]), found[1]


def _given(line: bytes, *, bare: bool) -> tuple[str, int] | None:
    """What a line gives to something that is called a password, key or token, and how long it is."""
    line = _MARKED.sub(b"", line).rstrip(b"\r")
    for name, rule in _RULES:
        if name == "bare" and not bare:
            continue
        for found in rule.finditer(line):
            if name == "hex":
                if not is_placeholder(found.group(1)) and entropy(found.group(1)) >= ENTROPY_MIN["other"]:
                    return "a token in hexadecimal", len(found.group(1))
                continue
            word, value = found.group(1).lower(), found.group(2).rstrip(b"\\")
            kind = "password" if word.startswith((b"pass", b"pwd")) else "other"
            if _is_meant(value, kind) and entropy(value) >= ENTROPY_MIN[kind]:
                return ("a hard-coded password" if kind == "password" else "a hard-coded key or token"), len(value)
    return None


def _is_meant(value: bytes, kind: str) -> bool:
    """Whether it is the secret itself: not a word for one, a name of one, or an example."""
    if is_placeholder(value) or _NAMED_ELSEWHERE.search(value) or _ORDERED.search(value):
        return False
    return _ONLY_WORDS[kind].fullmatch(value) is None


def entropy(value: bytes) -> float:
    """Bits a character, by how often each occurs."""
    counts = Counter(value)
    return -sum(count / len(value) * math.log2(count / len(value)) for count in counts.values())
