"""Programs that make the corpus of tool outputs and measure the classifier of failures on it. None of them is a test.

The rule of this room: a sample says how it was come by (`ran`, `recorded`, `documentation`), and its expected class is
written down beside the command, before the classifier has seen the output.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

if TYPE_CHECKING:
    from corpus.run import Case
    from corpus.sample import Part


def cases_of(part: Part, *, foreign: bool) -> tuple[Case, ...]:
    """The cases of one part; `foreign` ones need tools that are installed in a root of their own."""
    from corpus import compiled, fifth, fourth, hosts, javascript, python, repositories, second, third
    from corpus import foreign as elsewhere

    match part:
        case "first":
            here = (*python.CASES, *javascript.CASES, *compiled.CASES, *repositories.CASES, *hosts.CASES)
            return elsewhere.CASES if foreign else here
        case "second":
            return second.FOREIGN if foreign else second.CASES
        case "third":
            return third.FOREIGN if foreign else third.CASES
        case "fourth":
            return fourth.CASES
        case "fifth":
            return fifth.CASES
        case _:
            assert_never(part)
