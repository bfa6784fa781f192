"""Live events and output for clients: what a stream of frames begins with, how it goes on, when it ends.

Rule of this room: the id of a frame says all that its client has seen, so that coming back with it loses and repeats nothing.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Final, NamedTuple, TypeAlias, assert_never

import nats.errors
import structlog
from nats.aio.client import Client
from prometheus_client import Gauge

from penstock import subjects as s
from penstock_api.history import last_message
from penstock_api.hub import Follower, Frame, Hub
from penstock_api.problems import Problem, invalid

log = structlog.get_logger()

KEEP_ALIVE_SECONDS: Final = 15.0
RECHECK_SECONDS: Final = 60.0
LAST_OUTPUT_SECONDS: Final = 5.0

OPENING: Final = b"retry: 1000\n: penstock\n\n"
KEEP_ALIVE: Final = b": keep-alive\n\n"
TERMINAL: Final = frozenset({"task_succeeded", "task_unverified", "task_failed", "task_cancelled"})

FOLLOWERS: Final = Gauge("penstock_api_followers", "clients that follow a stream now")

Allowed: TypeAlias = Callable[[], Awaitable[bool]]
"""Whether whoever asked may still see the answer."""


class Place(NamedTuple):
    """What a client has seen: the last sequence of the events, and of the output. 0: nothing."""

    event: int = 0
    output: int = 0


_PLACE: Final = re.compile(r"([0-9]{1,15})(?::([0-9]{1,15}))?")


def parse_place(text: str, field: str) -> Place:
    """`<event>` or `<event>:<output>`, as in the ids of frames. Raises Problem (400)."""
    match = _PLACE.fullmatch(text)
    if match is None:
        hint = "the id of a frame of this stream: a sequence, or <event sequence>:<output sequence>"
        raise invalid(field, "not a place in a stream", value=text, hint=hint, status=400)
    return Place(int(match[1]), int(match[2] or 0))


class Live:
    """All followers of this process."""

    def __init__(self, nc: Client, connections_max: int) -> None:
        self.events = Hub(nc, "events", s.EVENTS)
        self.output = Hub(nc, "output", s.OUTPUT)
        self._nc = nc
        self._connections_max = connections_max
        self._followers: set[Follower] = set()
        self._closing = False

    async def follow(self) -> None:
        """For ever. Raises StreamGone."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.events.follow())
            group.create_task(self.output.follow())

    async def started(self) -> None:
        """Returns when both streams are listened to."""
        await self.events.started.wait()
        await self.output.started.wait()

    def follower(self) -> Follower:
        """A place for the client of the request that runs now. Raises Problem (503)."""
        if self._closing or len(self._followers) >= self._connections_max:
            reason = "stopping" if self._closing else f"all {self._connections_max} places for streams are taken"
            raise Problem(503, "unavailable", f"api: {reason}", headers={"Retry-After": "5"})
        follower = Follower(asyncio.current_task())
        self._followers.add(follower)
        FOLLOWERS.inc()

        def leave() -> None:
            self._followers.discard(follower)
            FOLLOWERS.dec()

        follower.on_leave(leave)
        return follower

    def close(self) -> None:
        """End every stream now; clients come back with the id they have seen last."""
        self._closing = True
        for follower in list(self._followers):
            follower.close()

    async def all_events(self, follower: Follower, after: int, allowed: Allowed) -> AsyncGenerator[bytes]:
        """The frames of every task's events after that sequence, for ever."""
        yield OPENING
        try:
            async with aclosing(self.events.past(follower, None, f"{s.EVENTS_PUBLIC}.>", after)) as past:
                async for frame in past:
                    yield b"id: %d" % frame.seq + frame.payload
        except TimeoutError as error:
            log.warning("follow.past_unreadable", reason=str(error))
            return
        watch = _Watch(allowed)
        while not follower.ended and await watch.still_allowed():
            frames = await follower.take(KEEP_ALIVE_SECONDS)
            yield b"".join(b"id: %d" % frame.seq + frame.payload for frame in frames) or KEEP_ALIVE

    async def task(
        self, follower: Follower, repo: str, task: str, place: Place, allowed: Allowed, *, ended: bool, for_ever: bool
    ) -> AsyncGenerator[bytes]:
        """The frames of one task's events and output, until its end, or for ever. `ended`: `place` is behind the end."""
        yield OPENING
        sent = _Sent(place, ended)
        events = self.events.past(follower, task, s.events_of_task(repo, task), place.event)
        output = self.output.past(follower, task, s.output_of_task(repo, task), place.output)
        try:
            async with aclosing(events), aclosing(output):
                async for frame in _by_time(events, output):
                    yield sent.encoded(frame)
        except TimeoutError as error:
            log.warning("follow.past_unreadable", task=task, reason=str(error))
            return
        watch, last = _Watch(allowed), None
        while not follower.ended and await watch.still_allowed():
            if sent.ended and not for_ever:
                last = last or await self._last_output(repo, task)
                if last.reached(sent.place.output):
                    yield sent.end(task)
                    return
            frames = await follower.take(KEEP_ALIVE_SECONDS if last is None else last.seconds_left)
            yield b"".join(sent.encoded(frame) for frame in frames) or KEEP_ALIVE

    async def _last_output(self, repo: str, task: str) -> _LastOutput:
        """Asked for when the task has ended, since its output comes by another stream and may still be on its way."""
        try:
            last = await last_message(self._nc, s.OUTPUT, s.output_of_task(repo, task))
        except (nats.errors.Error, OSError, TimeoutError):
            return _LastOutput(None)
        return _LastOutput(0 if last is None else last.seq)


class _LastOutput:
    """Where a task's output ends; None: not known, so that only time tells."""

    def __init__(self, seq: int | None) -> None:
        self._seq = seq
        self._until = asyncio.get_running_loop().time() + LAST_OUTPUT_SECONDS

    @property
    def seconds_left(self) -> float:
        return max(self._until - asyncio.get_running_loop().time(), 0.0)

    def reached(self, output: int) -> bool:
        return self.seconds_left == 0.0 or (self._seq is not None and output >= self._seq)


class _Sent:
    """What one client has been sent. An id names both places, so that a client that comes back loses and repeats nothing;
    an id without the second one says that there was no output before it."""

    def __init__(self, place: Place, ended: bool) -> None:
        self.place = place
        self.ended = ended

    def encoded(self, frame: Frame) -> bytes:
        match frame.source:
            case "events":
                self.place = Place(frame.seq, self.place.output)
                self.ended = self.ended or frame.name in TERMINAL
            case "output":
                self.place = Place(self.place.event, frame.seq)
            case never:
                assert_never(never)
        return self._id() + frame.payload

    def end(self, task: str) -> bytes:
        return self._id() + b'\nevent: end\ndata: {"task":"' + task.encode() + b'"}\n\n'

    def _id(self) -> bytes:
        event, output = self.place
        return b"id: %d:%d" % (event, output) if output else b"id: %d" % event


class _Watch:
    """A long answer ends when the right to it does."""

    def __init__(self, allowed: Allowed) -> None:
        self._allowed = allowed
        self._next = asyncio.get_running_loop().time() + RECHECK_SECONDS

    async def still_allowed(self) -> bool:
        now = asyncio.get_running_loop().time()
        if now < self._next:
            return True
        self._next = now + RECHECK_SECONDS
        return await self._allowed()


async def _by_time(left: AsyncIterator[Frame], right: AsyncIterator[Frame]) -> AsyncGenerator[Frame]:
    """Both, each in its own order, the earlier one first."""
    a, b = await anext(left, None), await anext(right, None)
    while a is not None or b is not None:
        if b is None or (a is not None and a.at <= b.at):
            assert a is not None
            yield a
            a = await anext(left, None)
        else:
            yield b
            b = await anext(right, None)
