"""A task's events and output as lines for a terminal.

Rule of this room: pure, and whatever an agent prints, what leaves here is one line that a terminal does not obey.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple, assert_never

from penstock import events as e
from penstock.codec import type_of
from penstock.output import OutputBatch

LINE_LENGTH_MAX: Final = 160

_CONTROL: Final = re.compile("[\x00-\x20\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]+")


class Line(NamedTuple):
    """`mood`: how it went, for the colour: "step", "good", "bad", "note" or "dim"."""

    mood: str
    text: str
    detail: str = ""


def plain(text: str) -> str:
    """`text` on one line, without control characters, of at most LINE_LENGTH_MAX characters."""
    flat = _CONTROL.sub(" ", text).strip()
    return flat if len(flat) <= LINE_LENGTH_MAX else flat[: LINE_LENGTH_MAX - 1] + "…"


def line_of(event: e.AnyEvent) -> Line | None:
    """The event in words; None for one that a spectator need not see."""
    if isinstance(event, e.Unknown):
        return Line("note", plain(event.type), "of a later version")
    line = _line_of(event)
    return None if line is None else Line(line.mood, plain(line.text), plain(line.detail))


def lines_of(batch: OutputBatch) -> list[Line]:
    """What the job printed."""
    return [
        Line("dim", plain(f"{line.tool or line.kind}: {line.text}"))
        for line in batch.lines
        # Nor the rulers that test runners draw.
        if line.text.strip("-= \n") and line.kind != "usage"
    ]


def _line_of(event: e.KnownEvent) -> Line | None:
    match event:
        case e.TaskSubmitted():
            return Line("step", "submitted", event.title)
        case e.PrepareSucceeded():
            return Line("step", "prepared", f"a clone of its own, at {event.base_commit[:10]}")
        case e.AgentRequested():
            hint, *_ = event.hint.strip().splitlines() or [""]
            return Line("step", f"attempt {event.attempt}", f"hint: {hint}" if hint else "")
        case e.AgentSucceeded(change=change):
            changed = ", ".join(change.files)
            return Line("step", "changed", f"{changed} (+{change.lines_added} -{change.lines_removed})")
        case e.VerifySucceeded():
            return Line("good", "verified", f"{_commands(event.commands)} on {event.commit[:10]}")
        case e.VerifyFailed():
            return Line("bad", "not good enough", _commands(event.commands) or event.message)
        case e.VerifySkipped():
            return Line("note", "not verified", event.reason)
        case e.PublishSucceeded(delivery=delivery):
            return Line("step", "handed over", f"{delivery.kind} {delivery.url}")
        case e.PrepareFailed() | e.AgentFailed() | e.PublishFailed():
            return Line("bad", _noun(event), f"{event.error_class}: {event.message}")
        case e.JobLost() | e.JobStopped():
            return Line("note", _noun(event), event.reason)
        case e.TaskParked():
            return Line("note", "parked", f"{event.message} (until {event.wake_at:%H:%M:%S} UTC)")
        case e.TaskBlocked():
            return Line("bad", "blocked", f"{event.message}; {event.can_do}")
        case e.TaskSucceeded():
            return Line("good", "succeeded", f"in {event.attempts} attempts")
        case e.TaskUnverified():
            return Line("note", "unverified", event.reason)
        case e.TaskFailed():
            return Line("bad", "failed", f"{event.error_class}: {event.message}")
        case e.TaskCancelled() | e.TaskCancelRequested():
            return Line("bad", _noun(event), event.reason)
        case e.PrepareRequested() | e.VerifyRequested() | e.PublishRequested() | e.JobClaimed() | e.TaskUnblocked():
            return None
        case never:
            assert_never(never)


def _noun(event: e.Event) -> str:
    return type_of(event).replace("_", " ")


def _commands(commands: tuple[e.CommandResult, ...]) -> str:
    return ", ".join(f"`{result.command}` {_ended(result)}" for result in commands)


def _ended(result: e.CommandResult) -> str:
    return "passed" if result.passed else result.ended if result.exit_code is None else f"exit code {result.exit_code}"
