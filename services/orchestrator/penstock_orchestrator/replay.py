"""`python -m penstock_orchestrator.replay FILE.jsonl | --task ID [--what-if FIELD=VALUE ...] [--explain]`.

A task's log under today's rules, or under other limits. Reads, and never writes; exit 0: everything would be decided the
same, 1: something would not, 2: the question cannot be answered as it was put.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

import msgspec
import nats
import nats.errors
from msgspec import Meta, Raw, Struct

from penstock.bounds import ID_PATTERN
from penstock.codec import Undecodable, decode_event
from penstock.commands import Transition
from penstock.events import AnyEvent, Recorded
from penstock.log import TASK_EVENTS_MAX, load_task
from penstock.settings import BadSettings, environment, load
from penstock_orchestrator.core.clause import clause
from penstock_orchestrator.core.explain import explain
from penstock_orchestrator.core.origin import type_name
from penstock_orchestrator.core.refused import Refused
from penstock_orchestrator.core.replay import Difference, replay
from penstock_orchestrator.core.task import Task
from penstock_orchestrator.core.what_if import Story, what_if
from penstock_orchestrator.settings import Settings

SAME, DIFFERENT, UNANSWERABLE = 0, 1, 2
FILE_BYTES_MAX: Final = 512 * 1024 * 1024
CONNECT_SECONDS: Final = 5.0
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")


class Unanswerable(Exception):
    """The question cannot be answered as it was put; the message says why, and names the argument."""


class _Line(Struct, frozen=True):
    """An event as the api lists it."""

    sequence: Annotated[int, Meta(ge=1)]
    event: Raw


_lines: Final = msgspec.json.Decoder(_Line)


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit code. What was asked for goes to the standard output, what is wrong with the question to the other."""
    given = _parser().parse_args(arguments)
    try:
        log = read_task(given.task) if given.task else read_file(Path(given.file))
        if given.what_if:
            story = what_if(log, _limits(given.what_if))
            print(tell(story))
            return SAME if story.first is None and not story.unknown else DIFFERENT
        if given.explain:
            print(table(explain(log)))
        found = replay(log)
        print(report(log, found))
        return DIFFERENT if any(one.decides for one in found) else SAME
    except Refused as refused:
        print(f"--what-if {refused.field}: {refused.message}", file=sys.stderr)
    except Unanswerable as error:
        print(error, file=sys.stderr)
    return UNANSWERABLE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m penstock_orchestrator.replay", description=__doc__)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("file", nargs="?", help="a task's events as the api lists them, one a line")
    source.add_argument("--task", help="a task's id: its log is read from the broker of the PENSTOCK_ settings")
    parser.add_argument("--what-if", action="append", default=[], metavar="FIELD=VALUE", help="such as max_attempts=1")
    parser.add_argument("--explain", action="store_true", help="tell every step, and by which rule it was made")
    return parser


def _limits(given: Sequence[str]) -> dict[str, str]:
    limits: dict[str, str] = {}
    for one in given:
        field, equals, value = one.partition("=")
        if not equals or not field:
            raise Unanswerable(f"--what-if {one}: say FIELD=VALUE")
        limits[field] = value
    return limits


def read_file(path: Path) -> list[Recorded]:
    """The log in a file: lines of `{"sequence": ..., "event": ...}`, or events alone, which are numbered as they stand.
    Raises Unanswerable."""
    try:
        if path.stat().st_size > FILE_BYTES_MAX:
            raise Unanswerable(f"{path}: larger than {FILE_BYTES_MAX} bytes")
        lines = [line for line in path.read_bytes().splitlines() if line.strip()]
    except OSError as error:
        raise Unanswerable(f"{path}: {error.strerror or error}") from error
    if len(lines) > TASK_EVENTS_MAX:
        raise Unanswerable(f"{path}: more than {TASK_EVENTS_MAX} events")
    log = [_event(path, number, line) for number, line in enumerate(lines, start=1)]
    if not log:
        raise Unanswerable(f"{path}: holds no event")
    if len({event.task for event in log}) > 1:
        raise Unanswerable(f"{path}: holds events of several tasks; replay one at a time")
    return log


def _event(path: Path, number: int, line: bytes) -> Recorded:
    try:
        listed = _lines.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        listed = _Line(number, Raw(line))
    try:
        return decode_event(bytes(listed.event), listed.sequence)
    except Undecodable as error:
        raise Unanswerable(f"{path}, line {number}: not an event: {error}") from error


def read_task(task: str) -> list[Recorded]:
    """The log of a task from the broker. Raises Unanswerable."""
    if re.search(ID_PATTERN, task) is None:
        raise Unanswerable(f"--task {task!r}: not a task's id")
    try:
        return asyncio.run(_load(task, load(Settings, "orchestrator", environment())))
    except BadSettings as error:
        raise Unanswerable(str(error)) from error
    except Undecodable as error:
        raise Unanswerable(f"--task {task}: its log holds what is no event: {error}") from error
    except (nats.errors.Error, OSError, TimeoutError) as error:
        raise Unanswerable(
            f"--task {task}: the broker does not answer: {str(error) or type(error).__name__}"
        ) from error


async def _load(task: str, given: Settings) -> list[Recorded]:
    try:
        # The client would try a broker that is not there for minutes.
        async with asyncio.timeout(CONNECT_SECONDS):
            nc = await nats.connect(
                given.nats_url,
                user=given.nats_user or None,
                password=given.nats_password.reveal() or None,
                inbox_prefix=f"_INBOX.{given.nats_user or 'replay'}",
                allow_reconnect=False,
                error_cb=_said_otherwise,
            )
    except TimeoutError as error:
        # The address may hold a password.
        raise Unanswerable(f"PENSTOCK_NATS_URL: no broker answers there within {CONNECT_SECONDS:g} s") from error
    try:
        log = list(await load_task(nc, "*", task))
    finally:
        await nc.close()
    if not log:
        raise Unanswerable(f"--task {task}: the log has no such task")
    return log


async def _said_otherwise(_: Exception) -> None:
    """The client tells of each try; the outcome says enough."""


# For people ------------------------------------------------------------------------------------------------------------


def table(transitions: Sequence[Transition]) -> str:
    """One step after the other, with the facts below it."""
    lines: list[str] = []
    for one in transitions:
        mark = " " if one.agrees else "!"
        lines.append(f"{mark}{one.seq:>8}  {one.at:%Y-%m-%d %H:%M:%S}  {one.event}: {one.before or '-'} > {one.after}")
        lines.append(f"{'':11}{one.kind} by {one.rule}: {one.says}")
        lines += [f"{'':13}{name}: {value}" for name, value in one.facts]
    return "\n".join(clean(line) for line in lines)


def report(log: Sequence[Recorded], found: Sequence[Difference]) -> str:
    """What is different, and that nothing is."""
    decides = sum(one.decides for one in found)
    lines = [
        f"{len(log)} events of task {log[0].task}: "
        + (f"{decides} decided differently today" if decides else "today's rules decide the same")
    ]
    return "\n".join(clean(line) for line in [*lines, *(_different(one) for one in found)])


def _different(one: Difference, otherwise: str = "by today's rules") -> str:
    said = {
        "decision": "recorded {was}; {otherwise} {now}",
        "missing": "nothing was recorded; {otherwise} {now}",
        "words": "the same decision, in other words: {now}",
        "pending": "is due where the log ends: {now}",
    }[one.kind]
    words = said.format(was=_clause(one.recorded), otherwise=otherwise, now=_clause(one.today))
    return f"{one.seq:>9}  {one.at:%Y-%m-%d %H:%M:%S}  {one.rule}: {words}"


def tell(story: Story) -> str:
    """What would have come instead."""
    lines = [f"with {field} = {now} (recorded: {was})" for field, was, now in story.changed]
    if story.first is None:
        lines.append("no decision differs" if not story.unknown else "no decision differs as far as the log can tell")
    else:
        lines += ["the first decision that differs:", _different(story.first, "with these limits")]
    if story.course:
        lines.append("from there on:")
    for step in story.course:
        by = step.rule or ("assumed" if step.assumed else "as recorded")
        lines.append(f"{'':11}{step.at:%Y-%m-%d %H:%M:%S}  {type_name(step.event)} ({by}): {clause(step.event)}")
    lines += [f"assumed: {words}" for words in story.assumed]
    lines.append(f"recorded: {_where(story.recorded)}")
    lines.append(f"then: {_where(story.task)}")
    if story.unknown:
        lines.append(f"here the log ends to tell: {story.unknown}")
    return "\n".join(clean(line) for line in lines)


def _where(task: Task) -> str:
    cost = "an unknown cost" if task.usage.cost_usd is None else f"{task.usage.cost_usd:.2f} USD"
    attempts = "1 attempt" if task.attempts == 1 else f"{task.attempts} attempts"
    return f"{task.outcome or 'not ended'}, {attempts}, {cost}, {task.usage.wall_seconds:.0f} s of work"


def _clause(event: AnyEvent | None) -> str:
    return "nothing would be done" if event is None else f"{type_name(event)}: {clause(event)}"


def clean(line: str) -> str:
    """The line without what a terminal would obey: agents and repositories write parts of it."""
    return _CONTROL.sub(" ", line)


if __name__ == "__main__":
    sys.exit(main())
