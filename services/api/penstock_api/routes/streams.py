"""Server-sent events: one task's events and output, or the events of all.

Rule of this room: an id that a client was sent is the place where it may go on; junk is refused before the stream begins.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

from litestar import Response, get
from litestar.params import HeaderParameter, QueryParameter
from litestar.response import Stream

from penstock import subjects as s
from penstock_api.follow import TERMINAL, Allowed, Place, parse_place
from penstock_api.history import last_message, last_sequence
from penstock_api.problems import broker_errors, invalid, not_found
from penstock_api.request import ApiRequest, Parts
from penstock_api.routes.shapes import TaskId, problems

MEDIA_TYPE: Final = "text/event-stream; charset=utf-8"
HEADERS: Final = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}

LastEventId = Annotated[
    str | None,
    HeaderParameter(name="Last-Event-ID", description="the id of the last frame that was seen"),
]
AfterPlace = Annotated[
    str | None,
    QueryParameter(description="like Last-Event-ID, for clients that cannot set it", max_length=40),
]


@get(
    "/v1/tasks/{task:str}/stream",
    summary="One task's events and output, live (SSE)",
    description="Ends with `event: end` after the task's end and its remaining output, unless `follow=forever`.",
    media_type="text/event-stream",
    responses=problems(404),
    tags=["streams"],
)
async def stream_task(
    request: ApiRequest,
    task: TaskId,
    last_event_id: LastEventId = None,
    after: AfterPlace = None,
    follow: Annotated[Literal["forever"] | None, QueryParameter(description="stay after the task's end")] = None,
) -> Response[None] | Stream:
    parts = request.parts
    place = await _place(parts, last_event_id, after)
    with broker_errors():
        last = await last_message(parts.nc, s.EVENTS, s.events_of_task("*", task))
    if last is None:
        raise not_found(f"task {task}")
    subject = s.parse_event(last.subject)
    ended = subject.type in TERMINAL and last.seq <= place.event
    if ended and last_event_id and follow is None and await _output_seen(parts, subject.repo, task, place):
        # A browser comes back after every end, unless it is told that there is nothing more.
        return Response(None, status_code=204)
    follower = parts.live.follower()
    request.state.follower = follower
    frames = parts.live.task(
        follower, subject.repo, task, place, _allowed(request), ended=ended, for_ever=follow is not None
    )
    return Stream(frames, media_type=MEDIA_TYPE, headers=HEADERS)


@get(
    "/v1/stream",
    summary="The events of all tasks, live (SSE)",
    media_type="text/event-stream",
    responses=problems(),
    tags=["streams"],
)
async def stream_all(request: ApiRequest, last_event_id: LastEventId = None, after: AfterPlace = None) -> Stream:
    """From now on where neither an id nor `after` is given; `after=0` begins with the first event ever."""
    parts = request.parts
    place = await _place(parts, last_event_id, after)
    begin = place.event if last_event_id or after is not None else parts.live.events.position
    follower = parts.live.follower()
    request.state.follower = follower
    return Stream(parts.live.all_events(follower, begin, _allowed(request)), media_type=MEDIA_TYPE, headers=HEADERS)


async def _place(parts: Parts, last_event_id: str | None, after: str | None) -> Place:
    """Raises Problem: 400 for what is no place, or one that the log has not reached."""
    if last_event_id:
        place, field = parse_place(last_event_id, "Last-Event-ID"), "Last-Event-ID"
    elif after is not None:
        place, field = parse_place(after, "after"), "after"
    else:
        return Place()
    if place.event > parts.live.events.position:
        with broker_errors():
            last = await last_sequence(parts.nc, s.EVENTS)
        if place.event > last:
            hint = "an id of another installation? begin again without it"
            raise invalid(field, f"the log ends at {last}", value=str(place.event), hint=hint, status=400)
    return place


async def _output_seen(parts: Parts, repo: str, task: str, place: Place) -> bool:
    with broker_errors():
        last = await last_message(parts.nc, s.OUTPUT, s.output_of_task(repo, task))
    return last is None or last.seq <= place.output


def _allowed(request: ApiRequest) -> Allowed:
    tokens, token = request.parts.tokens, request.user

    async def still_good() -> bool:
        return await tokens.still_good(token)

    return still_good
