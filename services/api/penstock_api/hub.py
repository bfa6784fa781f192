"""The fan-out of a stream: one reader per process, any number of clients, the past from the stream itself.

Rule of this room: every message exactly once and in order from the place a client names, and no client waits for another.
A hub remembers the newest messages; a client reads the past by pages until the hub's memory reaches back to it, then hears
the rest as it comes. One that does not read what it asked for is cut, and may come back with the id it has seen last.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from datetime import datetime
from typing import Final, Literal, NamedTuple, TypeAlias

import msgspec
import nats.errors
from msgspec import Struct
from nats.aio.client import Client
from prometheus_client import Counter

from penstock.reader import Reader, Stored
from penstock_api.history import Page, last_sequence, read_page

MEMORY_MESSAGES: Final = 4_096
MEMORY_BYTES: Final = 8 * 1024 * 1024
CLIENT_BYTES_MAX: Final = 2 * 1024 * 1024
START_MESSAGES: Final = 256
"""So many of the newest are read at the start, since a replica that is asked for the past may lag behind the hub."""
SLICE_BYTES: Final = 128 * 1024
"""So much is handed out before clients get their turn to send it on."""
PAST_PATIENCE_SECONDS: Final = 30.0
PAST_PAUSE_SECONDS: Final = 0.25
START_PAUSE_SECONDS: Final = 0.25

CUT: Final = Counter("penstock_api_followers_cut", "clients cut because they did not read")

Source: TypeAlias = Literal["events", "output"]


class Frame(NamedTuple):
    """One message, encoded once for everybody; each client sends its own `id:` line before `payload`."""

    source: Source
    seq: int
    task: str
    name: str
    at: float
    payload: bytes


class _When(Struct):
    time: datetime | None = None
    at: datetime | None = None


_when: Final = msgspec.json.Decoder(_When)


def frame_of(source: Source, stored: Stored, at: float | None = None) -> Frame:
    """The message as a frame. `at`: when it came, in seconds; the writer's clock where that is not known, else 0."""
    tokens = stored.subject.split(".")
    name = tokens[4] if source == "events" else "output"
    body = stored.body
    if b"\n" in body or b"\r" in body:
        body = b"\ndata: ".join(body.splitlines())
    payload = b"\nevent: " + name.encode() + b"\ndata: " + body + b"\n\n"
    return Frame(source, stored.seq, tokens[3], name, _written_at(stored.body) if at is None else at, payload)


def _written_at(body: bytes) -> float:
    try:
        when = _when.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError):
        return 0.0
    moment = when.time or when.at
    return 0.0 if moment is None else moment.timestamp()


class Follower:
    """One client. `ticket` is the request's task: cutting the client means ending that, for it may be stuck in sending."""

    def __init__(self, ticket: asyncio.Task[object] | None) -> None:
        self.cut = False
        self.ended = False
        self._ticket = ticket
        self._frames: deque[Frame] = deque()
        self._bytes = 0
        self._wake = asyncio.Event()
        self._leave: list[Callable[[], None]] = []

    def push(self, frame: Frame) -> None:
        """Never waits: a client that is too far behind is cut."""
        if self.cut or self.ended:
            return
        self._bytes += len(frame.payload)
        if self._bytes > CLIENT_BYTES_MAX:
            self.cut = True
            CUT.inc()
            self.close()
            if self._ticket is not None:
                self._ticket.cancel()
            return
        self._frames.append(frame)
        self._wake.set()

    async def take(self, seconds: float) -> list[Frame]:
        """What has come; empty after so many seconds, or at the end."""
        if not self._frames and not self.ended:
            self._wake.clear()
            try:
                async with asyncio.timeout(seconds):
                    await self._wake.wait()
            except TimeoutError:
                return []
        frames, self._bytes = list(self._frames), 0
        self._frames.clear()
        return frames

    def on_leave(self, leave: Callable[[], None]) -> None:
        self._leave.append(leave)

    def close(self) -> None:
        """Nothing more for this client. Called as often as one likes."""
        self.ended = True
        self._frames.clear()
        self._wake.set()
        while self._leave:
            self._leave.pop()()


class Hub:
    """The fan-out of one stream. `oldest`: every message from that sequence on is remembered or still to come."""

    def __init__(self, nc: Client, source: Source, stream: str) -> None:
        self.source: Source = source
        self.stream = stream
        self.position = 0
        self.oldest = 0
        self.started = asyncio.Event()
        self._nc = nc
        self._memory: deque[Frame] = deque()
        self._memory_bytes = 0
        self._of_task: dict[str, dict[Follower, int]] = {}
        self._of_all: dict[Follower, int] = {}

    async def follow(self) -> None:
        """For ever. Raises StreamGone."""
        while True:
            try:
                last = await last_sequence(self._nc, self.stream)
                break
            except (nats.errors.Error, OSError, TimeoutError):
                await asyncio.sleep(START_PAUSE_SECONDS)
        self.position = max(last - START_MESSAGES, 0)
        self.oldest = self.position + 1
        self.started.set()
        reader = Reader(self._nc, self.stream, after=self.position, name=f"api-{self.source}")
        async with aclosing(reader.batches()) as batches:
            async for batch in batches:
                await self._hand_out(batch, last)

    async def _hand_out(self, batch: list[Stored], at_start: int) -> None:
        """`at_start`: the last sequence that was stored when this began. What comes behind it keeps the order in which it
        came, so that a client that comes back is shown the two streams as those that stayed have seen them."""
        handed_out = 0
        for stored in batch:
            frame = frame_of(self.source, stored, time.time() if stored.seq > at_start else None)
            self._remember(frame)
            for followers in (self._of_task.get(frame.task), self._of_all):
                for follower, after in list((followers or {}).items()):
                    if frame.seq > after:
                        follower.push(frame)
            handed_out += len(frame.payload)
            if handed_out > SLICE_BYTES:
                handed_out = 0
                await asyncio.sleep(0)

    def _remember(self, frame: Frame) -> None:
        self.position = frame.seq
        self._memory.append(frame)
        self._memory_bytes += len(frame.payload)
        while len(self._memory) > MEMORY_MESSAGES or self._memory_bytes > MEMORY_BYTES:
            dropped = self._memory.popleft()
            self._memory_bytes -= len(dropped.payload)
            self.oldest = dropped.seq + 1

    def remembered(self, task: str | None, after: int) -> list[Frame]:
        """What is remembered of a task (None: of all) after that sequence."""
        return [frame for frame in self._memory if frame.seq > after and task in (None, frame.task)]

    def attach(self, follower: Follower, task: str | None, after: int) -> None:
        """From now on `follower` gets what comes after that sequence. One that has left stays away."""
        if follower.ended:
            return
        followers = self._of_all if task is None else self._of_task.setdefault(task, {})
        followers[follower] = after
        follower.on_leave(lambda: self._detach(follower, task))

    def _detach(self, follower: Follower, task: str | None) -> None:
        if task is None:
            self._of_all.pop(follower, None)
            return
        followers = self._of_task.get(task, {})
        followers.pop(follower, None)
        if not followers:
            self._of_task.pop(task, None)

    async def past(self, follower: Follower, task: str | None, filter_: str, after: int) -> AsyncGenerator[Frame]:
        """What was stored after `after`, until everything further is remembered here; then `follower` is attached, with
        neither a gap nor an overlap. Raises TimeoutError when the stream cannot be read for long."""
        place = after
        while True:
            if self.oldest <= place + 1:
                frames = self.remembered(task, place)
                if not frames:
                    # Nothing was awaited since the look into the memory.
                    self.attach(follower, task, place)
                    return
                for frame in frames:
                    yield frame
                    place = frame.seq
                continue
            oldest = self.oldest
            messages, more = await self._page(filter_, place + 1)
            for stored in messages:
                yield frame_of(self.source, stored)
                place = stored.seq
            if not more:
                # A replica may lag behind the hub, but not by more than the hub remembers.
                place = max(place, oldest - 1)

    async def _page(self, filter_: str, seq: int) -> Page:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + PAST_PATIENCE_SECONDS
        while True:
            try:
                return await read_page(self._nc, self.stream, filter_, seq)
            except (nats.errors.Error, OSError, TimeoutError) as error:
                if loop.time() > deadline:
                    raise TimeoutError(f"{self.stream} could not be read") from error
                await asyncio.sleep(PAST_PAUSE_SECONDS)
