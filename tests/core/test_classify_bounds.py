"""The work of the classifier is bounded, whatever it is given: counted in lines and in the shape of its expressions."""

from __future__ import annotations

import re
from re import _constants as code  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]

import pytest

from penstock_orchestrator.core.classify import classify, lines
from penstock_orchestrator.core.classify.judge import scan
from penstock_orchestrator.core.classify.rules import RULES

MEGABYTE = 1_000_000
HOSTILE = {
    "one letter": "a" * MEGABYTE,
    "one line of prefixes": "Error: error: fatal: a: " * (MEGABYTE // 24),
    "many short lines": "x\n" * (MEGABYTE // 2),
    "many lines of prefixes": ("Error: " * 70 + "\n") * 2_000,
    "many commands": "+ make\nx\n" * (MEGABYTE // 9),
    "open braces": "{" * MEGABYTE,
    "open objects": '{"a":' * (MEGABYTE // 5),
    "a string of newlines": '{"a":"' + "\\n" * 400_000 + '"}',
    "half escapes": "\x1b[" * (MEGABYTE // 2),
    "places": ("/a/b.c:1: " * 50 + "\n") * 2_000,
    "quotes": "\"'`" * (MEGABYTE // 3),
    "dots": "a.b." * (MEGABYTE // 4),
    "control characters": "\x00\x07\r" * (MEGABYTE // 3),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_megabyte_of_hostile_text_costs_no_more_than_the_window(name: str) -> None:
    said = lines.read(HOSTILE[name], agent=False)
    assert len(said.lines) <= lines.LINES_MAX
    assert all(len(line) <= lines.LINE_CHARACTERS_MAX for line in said.lines)
    assert sum(map(len, said.lines)) <= lines.WINDOW_CHARACTERS
    assert scan(said, RULES).tries <= lines.LINES_MAX * len(RULES)
    for source in ("verify", "agent", "git", "preflight", ""):
        assert classify(HOSTILE[name], exit_code=1, source=source).error_class


def _nested(tree: object, inside: bool) -> bool:
    """Whether an endless repeat stands in another one that may give back what it took."""
    assert isinstance(tree, parser.SubPattern)
    for op, argument in tree:
        if op in (code.MAX_REPEAT, code.MIN_REPEAT):
            endless = argument[1] == code.MAXREPEAT
            if (endless and inside) or _nested(argument[2], inside or endless):
                return True
        elif op is code.POSSESSIVE_REPEAT:
            if _nested(argument[2], False):
                return True
        elif op is code.BRANCH:
            if any(_nested(branch, inside) for branch in argument[1]):
                return True
        elif op is code.SUBPATTERN:
            if _nested(argument[3], inside):
                return True
        elif op in (code.ASSERT, code.ASSERT_NOT) and _nested(argument[1], inside):
            return True
    return False


def test_no_expression_can_backtrack_without_end() -> None:
    found = [
        pattern.pattern
        for rule in RULES
        for pattern in (rule.sign, rule.also, rule.unless)
        if pattern is not None and _nested(parser.parse(pattern.pattern), False)
    ]
    assert found == []


def test_no_expression_runs_past_its_line() -> None:
    for rule in RULES:
        assert not rule.sign.flags & (re.DOTALL | re.MULTILINE), rule.sign.pattern


def test_a_failure_at_the_end_is_seen_behind_a_megabyte_of_noise() -> None:
    noise = "INFO: nothing to see, 0 errors\n" * 40_000
    found = classify(noise + "src/a.ts(1,2): error TS2322: no\n", exit_code=2)
    assert found.error_class == "build.tsc"
