"""What has happened to a task and why, step by step.

Rule of this room: the orchestrator tells it, from the log and by the rules that decide; here it is only shown.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Final, Literal

from litestar import Response, get
from litestar.params import QueryParameter
from msgspec import Struct

from penstock.commands import Explained, Transition
from penstock_api.request import ApiRequest
from penstock_api.routes.shapes import After, TaskId, problems

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
"""What a terminal would obey: agents and repositories write parts of these texts."""


class TransitionView(Struct, frozen=True, kw_only=True):
    """One event, and what it came of. `before`, `after`: the task's phase. `kind`: `decision` with the name of the `rule` that
    made it, or `input` with who or what brought it. `facts`: what the rule looked at, or what the input said. `agrees`: today
    it would be decided the same; else `instead` is the event that would come, empty where the task would wait."""

    sequence: int
    time: datetime
    event: str
    before: str
    after: str
    kind: str
    rule: str
    facts: dict[str, str]
    says: str
    agrees: bool
    instead: str


class History(Struct, frozen=True, kw_only=True):
    """Oldest first. `next`: the `after` of the page behind, null at the end."""

    transitions: tuple[TransitionView, ...]
    next: int | None


@get(
    "/v1/tasks/{task:str}/explain",
    summary="What has happened to a task, by which rule or by whom, and what the rule looked at",
    description="With `format=text` the same as a table for people.",
    responses=problems(404, 409, 422),
    tags=["tasks"],
)
async def explain_task(
    request: ApiRequest,
    task: TaskId,
    after: After = 0,
    format: Annotated[Literal["json", "text"], QueryParameter(description="`text`: a table for people")] = "json",
) -> Response[History | str]:
    told = await request.parts.orders.explain(task, after)
    if format == "text":
        return Response(table(told), media_type="text/plain")
    transitions = tuple(_view(one) for one in told.transitions)
    return Response(History(transitions=transitions, next=_next(told)))


def table(told: Explained) -> str:
    """One step after the other, with the facts below it."""
    lines: list[str] = []
    for one in told.transitions:
        mark = " " if one.agrees else "!"
        lines.append(f"{mark}{one.seq:>8}  {one.at:%Y-%m-%d %H:%M:%S}  {one.event}: {one.before or '-'} > {one.after}")
        lines.append(f"{'':11}{one.kind} by {one.rule}: {one.says}")
        lines += [f"{'':13}{name}: {value}" for name, value in one.facts]
    if (further := _next(told)) is not None:
        lines.append(f"there is more: ask with after={further}")
    return "".join(_CONTROL.sub(" ", line) + "\n" for line in lines)


def _view(one: Transition) -> TransitionView:
    return TransitionView(
        sequence=one.seq,
        time=one.at,
        event=one.event,
        before=one.before,
        after=one.after,
        kind=one.kind,
        rule=one.rule,
        facts=dict(one.facts),
        says=one.says,
        agrees=one.agrees,
        instead=one.instead,
    )


def _next(told: Explained) -> int | None:
    return told.transitions[-1].seq if told.more and told.transitions else None
