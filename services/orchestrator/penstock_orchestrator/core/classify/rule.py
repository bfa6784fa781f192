"""What a rule is: a line that a tool prints in one case only, and the class it stands for.

The rule of this room: a sign is matched against one line at a time, from its beginning where it is written with `^`. So no
sign can run past a line's end, and the work is lines times rules.
"""

from __future__ import annotations

import re
from enum import IntEnum
from typing import Final

PASSED: Final = ""
"""The class of a line with which a tool says that all is well."""


class Rank(IntEnum):
    """How much a line proves. `WRAPPER`: only that something under it failed. `LIKELY`: a form that other things have too.
    `SURE`: what one tool prints in one case."""

    WRAPPER = 1
    LIKELY = 2
    SURE = 3


class Rule:
    """`also`: another line that must stand somewhere in the same output. `unless`: one that must not. `yields_to`: classes,
    or families ending in a dot, that are the cause where both are seen, wherever they stand."""

    __slots__ = ("also", "anchored", "error_class", "rank", "sign", "tool", "unless", "yields_to")

    def __init__(
        self,
        rank: Rank,
        error_class: str,
        tool: str,
        sign: str,
        *,
        also: str = "",
        unless: str = "",
        yields_to: tuple[str, ...] = (),
    ) -> None:
        self.rank = rank
        self.error_class = error_class
        self.tool = tool
        self.anchored = sign.startswith("^")
        self.sign = re.compile(sign)
        self.also = re.compile(also) if also else None
        self.unless = re.compile(unless) if unless else None
        self.yields_to = yields_to

    def match(self, line: str) -> re.Match[str] | None:
        return self.sign.match(line) if self.anchored else self.sign.search(line)


def sure(
    error_class: str, tool: str, sign: str, *, also: str = "", unless: str = "", yields_to: tuple[str, ...] = ()
) -> Rule:
    return Rule(Rank.SURE, error_class, tool, sign, also=also, unless=unless, yields_to=yields_to)


def likely(
    error_class: str, tool: str, sign: str, *, also: str = "", unless: str = "", yields_to: tuple[str, ...] = ()
) -> Rule:
    return Rule(Rank.LIKELY, error_class, tool, sign, also=also, unless=unless, yields_to=yields_to)


def wrapper(tool: str, sign: str) -> Rule:
    """A line of a program that ran another one, and only says that it failed."""
    return Rule(Rank.WRAPPER, "verify.failed", tool, sign)


def passed(tool: str, sign: str) -> Rule:
    """A line with which a tool says that all is well."""
    return Rule(Rank.SURE, PASSED, tool, sign)
