"""Choosing among what the rules have found.

The rule of this room: specific beats general, and among equals the last one in the output wins, since the last command gave
the exit code. A cause that is known beats the echo of it wherever it stands.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Final

from msgspec import Struct

from penstock_orchestrator.core.classify.facts import Facts, evidence_of, facts_of, hint_of
from penstock_orchestrator.core.classify.lines import Text, read
from penstock_orchestrator.core.classify.rule import PASSED, Rank, Rule
from penstock_orchestrator.core.classify.rules import RULES
from penstock_orchestrator.core.classify.table import CLASSES, UNCLASSIFIED, Severity


class Classified(Struct, frozen=True, kw_only=True):
    """`evidence`: the line that decided, empty where none did. `tool`, `test`, `file`, `line`, `count`: what could be read
    off, else empty or None."""

    error_class: str
    severity: Severity
    hint: str
    evidence: str
    tool: str = ""
    test: str = ""
    file: str = ""
    line: int | None = None
    count: int | None = None


class Hit(Struct, frozen=True, kw_only=True):
    """A rule with the lines it matched, in their order."""

    rule: Rule
    at: tuple[int, ...]

    @property
    def first(self) -> int:
        return self.at[0]

    @property
    def last(self) -> int:
        return self.at[-1]

    def since(self, begin: int) -> Hit | None:
        """The same from line `begin` on; None where nothing is left."""
        if self.first >= begin:
            return self
        at = tuple(number for number in self.at if number >= begin)
        return Hit(rule=self.rule, at=at) if at else None


class Scan(Struct, frozen=True, kw_only=True):
    """`tries`: how often a rule was held against a line."""

    hits: tuple[Hit, ...]
    tries: int


_AGENTS: Final = frozenset({"agent", "vendor", "model", "cli"})
# Which families are asked about: an agent's transcript speaks of tests and builds all the time, a test of rate limits.
_FAMILIES: Final = {
    "agent": frozenset({"vendor", "agent", "env"}),
    "git": frozenset({"git", "env", "agent"}),
    "preflight": frozenset({"preflight", "git", "env", "lint"}),
}
_CHECKS: Final = frozenset({"test", "build", "lint", "deps", "env", "git", "verify"})
_EVEN_WHEN_WELL: Final = frozenset({"verify.nothing_ran", "verify.flaky"})
"""What is worth saying of a command that ended with 0."""
_SIGNALS: Final = {
    124: "verify.timeout",
    126: "env.permission",
    127: "env.command_missing",
    129: "verify.killed",
    130: "verify.killed",
    132: "verify.crashed",
    134: "verify.crashed",
    135: "verify.crashed",
    136: "verify.crashed",
    137: "env.out_of_memory",
    139: "verify.crashed",
    143: "verify.killed",
}
"""What a shell's exit code tells of by itself."""
_FOUND: Final = frozenset({1, 2, 3})
"""With which a checker ends that has found something."""
_PLACED: Final = re.compile(r"(?P<file>[^\s:()]{1,300}\.\w{1,8})(?::|\()(?P<line>\d{1,6})(?:[:,]\d{1,5})?\)?(?::| -)? ?(?P<what>\S.+)")
_LISTED: Final = Rule(Rank.LIKELY, "lint.other", "", _PLACED.pattern)
"""A place and words behind it, printed by a checker that is not known: its findings, where nothing else tells more."""
# Formatters that only list the names of files, or show a difference.
_FORMATTER: Final = re.compile(
    r"\b(?:black|isort|ruff format|yapf|autopep8|gofmt|goimports|gofumpt|prettier|dprint|rustfmt|cargo fmt|clang-format|shfmt"
    r"|terraform fmt|tofu fmt|buf format|taplo|nixfmt|swift-format|ocamlformat)\b[^;&|]{0,200}?"
    r" (?:-[ldq]\b|--(?:check|diff|list|dry-run|exit-code|Werror|quiet))"
)


def classify(
    text: str, *, stage: str = "", exit_code: int | None = None, command: str = "", source: str = ""
) -> Classified:
    """The class of a failed step, from the end of its output.

    `source`: whose output it is (`verify`, `agent`, `vendor`, `git`, `preflight`, or empty where that is not known).
    `exit_code`: a shell's, or a negative signal number; None where the command was stopped or it is not known.
    """
    whose = _whose(source, stage)
    said = read(text, agent=whose == "agent")
    ended_well = exit_code == 0 and whose not in ("agent", "preflight")
    chosen = None
    for allowed in _allowed(whose, said) if not said.only_diff else ():
        chosen = chosen or _choose(said, _rules(allowed), exit_code, ended_well=ended_well)
    if stage == "lint" and (chosen is None or chosen.rule.rank is Rank.WRAPPER) and exit_code in _FOUND:
        listed = next((number for number, line in enumerate(said.lines) if _PLACED.match(line)), None)
        chosen = Hit(rule=_LISTED, at=(listed,)) if listed is not None else chosen
    if chosen is None:
        return _unrecognised(said, whose, exit_code, command, ended_well=ended_well)
    error_class = chosen.rule.error_class
    if error_class == "build.go" and chosen.rule.rank is Rank.LIKELY and "go vet" in command:
        error_class = "build.go_vet"
    if error_class == "build.rustc" and "clippy" in command and _short_without_code(said):
        error_class = "lint.clippy"
    return _classified(error_class, said, chosen)


def _short_without_code(said: Text) -> bool:
    """Whether there are findings of one line each, none of which is the compiler's own: clippy does not name its rules there."""
    found = [line for line in said.lines if re.match(r"\S+\.rs:\d+:\d+: error", line)]
    return bool(found) and not any(": error[E" in line for line in found)


def scan(said: Text, rules: tuple[Rule, ...]) -> Scan:
    """Every rule held once against every line that is not blank."""
    lines = [(number, line) for number, line in enumerate(said.lines) if line]
    hits = []
    for rule in rules:
        at = tuple(number for number, line in lines if rule.match(line))
        if at and _holds(rule, lines):
            hits.append(Hit(rule=rule, at=at))
    return Scan(hits=tuple(hits), tries=len(lines) * len(rules))


def _holds(rule: Rule, lines: list[tuple[int, str]]) -> bool:
    if rule.also is not None and not any(rule.also.search(line) for _number, line in lines):
        return False
    return rule.unless is None or not any(rule.unless.search(line) for _number, line in lines)


def _whose(source: str, stage: str) -> str:
    for word in (source, stage):
        if word in _AGENTS:
            return "agent"
        if word in _FAMILIES:
            return word
    return "verify" if source or stage else ""


def _allowed(whose: str, said: Text) -> tuple[frozenset[str], ...]:
    """The families to ask, and those to ask where they say nothing."""
    if whose in _FAMILIES:
        return (_FAMILIES[whose],)
    if whose == "verify":
        return (_CHECKS,)
    return (_FAMILIES["agent"],) if _is_agents(said) else (_CHECKS | {"agent"}, _FAMILIES["agent"])


@cache
def _rules(families: frozenset[str]) -> tuple[Rule, ...]:
    return tuple(rule for rule in RULES if rule.error_class == PASSED or rule.error_class.partition(".")[0] in families)


def _is_agents(said: Text) -> bool:
    """Whether this is, beyond doubt, what an agent's program or a vendor prints at the end."""
    signs = (
        "json subtype=",
        "json api_error_status=",
        "API Error:",
        "[API Error:",
        "json type=turn.failed",
        "json rateLimitType=",
    )
    last = [line for line in said.lines if line][-12:]
    return any(line.startswith(signs) for line in last)


def _choose(said: Text, rules: tuple[Rule, ...], exit_code: int | None, *, ended_well: bool) -> Hit | None:
    """From the last echoed command backwards: the first part of the output in which a rule tells something."""
    hits = scan(said, rules).hits
    if ended_well:
        hits = tuple(hit for hit in hits if hit.rule.error_class in _EVEN_WHEN_WELL)
    fallback = None
    for begin in reversed(said.starts):
        part = tuple(left for hit in hits if (left := hit.since(begin)) is not None)
        best = _best(part, passes_count=exit_code is None)
        if best is not None and best.rule.rank >= Rank.LIKELY:
            return _most_telling(said, part, best)
        fallback = fallback or best
    return fallback


def _best(hits: tuple[Hit, ...], *, passes_count: bool) -> Hit | None:
    passes = [hit.last for hit in hits if hit.rule.error_class == PASSED]
    last_pass = max(passes, default=-1)
    failures = [hit for hit in hits if hit.rule.error_class != PASSED]
    if any(hit.rule.error_class.startswith("vendor.") for hit in failures):
        # What a vendor says of permissions and connections is about the vendor.
        failures = [hit for hit in failures if not hit.rule.error_class.startswith("env.")]
    # After a tool has said that all is well, an error seen before it was part of the show.
    failures = [hit for hit in failures if hit.last > last_pass or (hit.rule.rank is Rank.SURE and not passes_count)]
    seen = frozenset(hit.rule.error_class for hit in failures if hit.rule.rank is Rank.SURE)
    standing = [hit for hit in failures if not _yields(hit.rule, seen)] or failures
    return max(standing, key=lambda hit: (hit.rule.rank, hit.last, hit.first), default=None)


def _most_telling(said: Text, hits: tuple[Hit, ...], chosen: Hit) -> Hit:
    """The first finding of the class that was chosen, rather than the sum at the end: it has the place to look at."""
    kind = (chosen.rule.error_class, chosen.rule.rank)
    found = []
    for hit in hits:
        match = hit.rule.match(said.lines[hit.first]) if (hit.rule.error_class, hit.rule.rank) == kind else None
        groups = match.groupdict() if match is not None else {}
        if groups.get("what") or groups.get("note"):
            placed = bool(groups.get("file") or groups.get("line"))
            found.append((not placed, hit.first, hit))
    return min(found, key=lambda one: one[:2])[2] if found else chosen


def _yields(rule: Rule, seen: frozenset[str]) -> bool:
    for cause in rule.yields_to:
        if cause.endswith("."):
            if any(one.startswith(cause) for one in seen if one != rule.error_class):
                return True
        elif cause in seen and cause != rule.error_class:
            return True
    return False


def _unrecognised(said: Text, whose: str, exit_code: int | None, command: str, *, ended_well: bool) -> Classified:
    """No rule has spoken: what the exit code alone tells, and honestly nothing where it is not known."""
    if ended_well or (exit_code is None and whose != "agent") or (exit_code in (0, None)):
        return _classified(UNCLASSIFIED, said, None)
    assert exit_code is not None
    code = 128 - exit_code if exit_code < 0 else exit_code
    if whose == "agent":
        stopped = code in (129, 130, 137, 143)
        return _classified("agent.interrupted" if stopped else "agent.crashed", said, None)
    if (
        whose == "git"
        and "git commit" in command
        and not any(line.startswith(("fatal:", "error:")) for line in said.lines)
    ):
        # Git itself has nothing to say where a local hook has said no.
        return _classified("git.hook_rejected", said, None)
    if whose in ("git", "preflight"):
        return _classified(f"{whose}.failed", said, None)
    if said.only_diff and said.diff_of.endswith(("go.mod", "go.sum")) and "tidy" in command:
        return _classified("deps.go_mod", said, None)
    if code not in _SIGNALS and _FORMATTER.search(command):
        return _classified("lint.format", said, None)
    if said.only_diff and code == 1:
        return _classified("verify.tree_changed", said, None)
    return _classified(_SIGNALS.get(code, "verify.failed"), said, None)


def _classified(error_class: str, said: Text, hit: Hit | None) -> Classified:
    row = CLASSES[error_class]
    tool = hit.rule.tool if hit is not None else ""
    facts = facts_of(said.lines, hit.rule.match(said.lines[hit.first])) if hit is not None else Facts(file=said.diff_of)
    evidence = evidence_of(said.lines, hit.first if hit is not None else None)
    return Classified(
        error_class=error_class,
        severity=row.severity,
        hint=hint_of(row.hint, facts, tool),
        evidence=evidence,
        tool=tool,
        test=facts.test,
        file=facts.file,
        line=facts.line,
        count=facts.count,
    )
