"""What the checks of a change say beyond yes and no: what is flaky, what had failed before, and what that is worth.

Rule of this room: a check that failed is let pass only for tests that are known to have failed without the change, and never
without saying so; and never for what the task was about.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, assert_never

from msgspec.structs import replace

from penstock.events import TaskSubmitted
from penstock.jobs import verify_steps
from penstock.values import CommandResult, Tally
from penstock_orchestrator.core.task import Judgement, Task

FLAKY: Final = "verify.flaky"
FAILED_BEFORE: Final = "failed_before"
EXCUSED: Final = frozenset({"test", "lint"})
"""Without the others nothing after them says anything."""

NAMED_MAX: Final = 10
TELLING_LENGTH_MIN: Final = 6
FLAKY_HINT: Final = (
    "The check failed and then passed on the same commit with nothing changed. Make what it tests, or the test itself, "
    "independent of time, order, chance and leftovers."
)

REPORTED_HINT: Final = (
    "Its output does not say how they failed: run the ones that its report names yourself, and mend the cause."
)

_PARTS: Final = re.compile(r"[^\w.\-]+")


def judgement(spec: TaskSubmitted, commands: tuple[CommandResult, ...]) -> Judgement:
    """What these results are worth, by the rules that the repo had when the task was submitted."""
    if too_flaky(spec, commands) or not commands:
        return "failed"
    failed = [command for command in commands if not command.passed]
    if not failed:
        return "passed"
    return "excused" if all(_is_excused(spec, command) for command in failed) else "failed"


def too_flaky(spec: TaskSubmitted, commands: tuple[CommandResult, ...]) -> bool:
    """Everything would have passed, and for one thing that took a second run, which is not good enough here."""
    return not spec.repo.checking.flaky_passes and any(command.flaky for command in commands)


def _is_excused(spec: TaskSubmitted, command: CommandResult) -> bool:
    if command.stage not in EXCUSED or not command.failed_before or command.before is None:
        return False
    return not _is_asked_for(spec, command.command, command.before.failed_before_names)


def _is_asked_for(spec: TaskSubmitted, command: str, names: Iterable[str]) -> bool:
    """Whether the task's own text names the command, or one of the tests: then that they fail is what is to be mended."""
    text = f"{spec.title}\n{spec.description}\n{spec.acceptance}".lower()
    if command.lower() in text:
        return True
    words = {word.strip(".-") for word in _PARTS.split(text)}
    words |= {part for word in words for part in word.split(".")}
    return any(telling in words or (" " in telling and telling in text) for name in names for telling in _telling(name))


def _telling(name: str) -> Iterable[str]:
    """The parts of a test's name by which somebody would call it: identifiers and files, and a sentence as a whole."""
    last = name.rsplit("::", 1)[-1].strip()
    if len(last) >= TELLING_LENGTH_MIN and " " in last:
        yield last.lower()
    for part in _PARTS.split(name):
        for word in (part, *part.split(".")):
            is_identifier = "_" in word or "." in word or any(letter.isupper() for letter in word[1:])
            if is_identifier and len(word) >= TELLING_LENGTH_MIN:
                yield word.strip(".-").lower()


def is_verified(spec: TaskSubmitted, judged: Judgement, results: tuple[CommandResult, ...]) -> bool:
    """Whether a change that was judged so may be called verified."""
    if judged != "excused":
        return judged == "passed"
    if spec.repo.checking.failed_before != "succeeded":
        return False
    # Without names nobody knows whether more fails than before, and where nothing passed nothing was shown.
    return all(
        command.before is not None and command.before.new_failures is not None and _has_passed(command.tests)
        for command in results
        if not command.passed
    )


def _has_passed(tests: Tally | None) -> bool:
    return tests is not None and tests.passed > 0


def reservations(judged: Judgement, results: tuple[CommandResult, ...]) -> tuple[str, ...]:
    """What has to be said of a change that was judged so, in words for a program."""
    if judged not in ("passed", "excused"):
        return ()
    flaky = ("flaky",) if any(command.flaky for command in results) else ()
    return (*flaky, *((FAILED_BEFORE,) if judged == "excused" else ()))


def unverified_reason(judged: Judgement, skipped: str) -> str:
    """Why a change that was judged so is not verified."""
    return FAILED_BEFORE if judged == "excused" else skipped or "nothing_configured"


def headline(task: Task) -> str:
    """What came of the checks, in one line for people: never only that they passed where there is more to say."""
    match task.judged:
        case "passed" if any(command.flaky for command in task.results):
            return "passed on this commit, FLAKY: some only when run again"
        case "passed":
            return "passed on this commit"
        case "excused":
            return "FAILED on this commit, with nothing known to fail that did not before the change; the rest passed"
        case "failed":
            return "FAILED on this commit"
        case "none" if verify_steps(task.spec.repo.verify):
            return "not run yet"
        case "none" | "skipped":
            return f"NOT run ({task.skipped or 'nothing configured'})"
        case never:
            assert_never(never)


def to_mend(commands: tuple[CommandResult, ...]) -> CommandResult | None:
    """The command that the next attempt is about: a failure of its own before one that is older, and that before a flaky one."""
    failed = [command for command in commands if not command.passed]
    own = [command for command in failed if not command.failed_before]
    return next(iter([*own, *failed, *(command for command in commands if command.flaky)]), None)


def kept(commands: tuple[CommandResult, ...]) -> tuple[CommandResult, ...]:
    """As a task remembers them: without what was printed."""
    return tuple(replace(command, tail="") for command in commands)


def told(command: CommandResult) -> str:
    """What the agent is told of the tests, empty where nobody knows: which to mend, and which to leave alone."""
    before, again, tests = command.before, command.again, command.tests
    parts: list[str] = []
    if before is not None and before.new_failures is not None:
        if before.new_failures:
            parts.append(
                f"New failures, which were none before your change: {named(before.new_names, before.new_failures)}"
            )
        if before.failed_before:
            names = named(before.failed_before_names, before.failed_before)
            parts.append(f"Failed before your change too; leave them alone unless the task is about them: {names}")
    elif tests is not None and tests.failed:
        parts.append(f"Failed ({tests.failed} of {tests.total}): {named(tests.failed_names, tests.failed)}")
    if again is not None and again.flaky:
        parts.append(f"Flaky, failed once and passed once on the same commit: {named(again.flaky_names, again.flaky)}")
    return "\n".join(parts)


def named(names: tuple[str, ...], count: int) -> str:
    """The first of them, and how many there are beyond."""
    shown = names[:NAMED_MAX]
    more = count - len(shown)
    listed = ", ".join("`" + name.replace("`", "'") + "`" for name in shown)
    if not shown:
        return f"{count} without names"
    return f"{listed} and {more} more" if more > 0 else listed


def summary(command: CommandResult) -> str:
    """One command's result in a few words, for whoever reads the change: never only green where it was not."""
    words = ["passed" if command.passed else "failed"]
    if command.flaky:
        words = ["FLAKY: failed, and passed when it was run again on the same commit"]
    elif command.failed_before:
        words = ["FAILED, as it did before the change"]
    elif command.ended != "exited":
        words = [f"failed: {command.ended}"]
    tests, before = command.tests, command.before
    if command.flaky and command.again is not None and command.again.tests is not None:
        tests = command.again.tests
    if tests is not None:
        words.append(f"{tests.passed} of {tests.total} tests passed, {tests.failed} failed, {tests.skipped} skipped")
    if before is not None and before.new_failures is not None:
        fixed = "" if before.fixed is None else f", {before.fixed} fixed"
        words.append(f"{before.new_failures} new failures, {before.failed_before or 0} older{fixed}")
    if command.again is not None and command.again.flaky:
        words.append(f"flaky: {named(command.again.flaky_names, command.again.flaky)}")
    return "; ".join(words)
