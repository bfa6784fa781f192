"""Programs that make the corpus of tool outputs and measure the classifier of failures on it. None of them is a test.

The rule of this room: a sample says how it was come by (`ran`, `recorded`, `documentation`), and its expected class is
written down beside the command, before the classifier has seen the output.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from corpus.run import Case


def first_cases() -> tuple[Case, ...]:
    """The part that the rules were written against."""
    from corpus import compiled, hosts, javascript, python, repositories

    return (*python.CASES, *javascript.CASES, *compiled.CASES, *repositories.CASES, *hosts.CASES)


def foreign_cases() -> tuple[Case, ...]:
    """The rest of the first part: tools that are installed in a root of their own."""
    from corpus import foreign

    return foreign.CASES


def second_cases(*, foreign: bool) -> tuple[Case, ...]:
    """The part that was held out."""
    from corpus import second

    return second.FOREIGN if foreign else second.CASES
