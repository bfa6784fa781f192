"""Run one child to its end: feed it, read it, watch the clock, and when it is over leave nothing of it behind.

The rule of this room: the end of a child is the end of its whole process tree, and no wait here depends on the goodwill of
anything the child started. So a process is never awaited before its pipes are dealt with, every wait has a limit, and what is
killed is the PID namespace, not a process id.

What a child is made of (processes, pipes, how to signal and kill it) is in `child.py`.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

from penstock_agent_exec.child import Child, ChildNotStarted, readable, writable
from penstock_agent_exec.limits import ResourceLimits
from penstock_agent_exec.sandbox import Profile, launch
from penstock_agent_exec.watchdog import LOOK_SECONDS, Over, over_limit

CHUNK_BYTES: Final = 32 * 1024
"""One read. It is as long as anything else here may have to wait for a sink that looks at every line of it."""
STDERR_TAIL_BYTES: Final = 8 * 1024
KILL_SECONDS_MAX: Final = 5.0
DRAIN_SECONDS_MAX: Final = 30.0
STDIN_MESSAGES_MAX: Final = 64

Sink: TypeAlias = Callable[[bytes], Awaitable[None]]
"""Takes one chunk. While it has not returned, no more is read: that is how back-pressure reaches the child."""

Why: TypeAlias = Literal[
    "exited", "wall_limit", "silence_limit", "cancelled", "output_limit", "lingered", "memory_limit", "process_limit"
]
"""Why a child's life ended: by itself, or what made us end it. `lingered`: it had said its last word and would not go. Where
control groups keep memory and processes, the kernel does it: a child whose part was killed ends by itself, or goes on."""


@dataclass(frozen=True, slots=True)
class StopStep:
    """A signal to the command itself, and how long it then has to end of its own accord."""

    signal: signal.Signals
    grace_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """The limits of one run. `silence_seconds` is the time without a byte on stdout or stderr while we were ready to read.

    `stop` is walked through before SIGKILL. `drain_seconds` is how long a pipe may stay open, with nothing in it, after the end.
    """

    wall_seconds: float
    silence_seconds: float | None = None
    output_bytes_max: int = 1024 * 1024 * 1024
    linger_seconds: float = 10.0
    stop: tuple[StopStep, ...] = (StopStep(signal.SIGTERM, 5.0),)
    drain_seconds: float = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How a child ended.

    `exit_code` is the command's own, 128 + n where a signal ended it, and None where its sandbox was killed before it could
    say. `nothing_left` is False where the kernel had not confirmed the death of the whole tree after `KILL_SECONDS_MAX`;
    without a sandbox it says so of the command's process group only. `out_of_memory`: all of it, or a part that was killed for
    it, wanted more memory than its limit.
    """

    why: Why
    exit_code: int | None
    wall_seconds: float
    stdout_bytes: int
    stderr_bytes: int
    stderr_tail: bytes
    nothing_left: bool
    out_of_memory: bool = False


class ChildInput:
    """A child's standard input that stays open: what is sent is written in order, until `close`."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[bytes | None] = asyncio.Queue(STDIN_MESSAGES_MAX)

    async def send(self, part: bytes) -> None:
        """Queue `part`; waits while `STDIN_MESSAGES_MAX` parts are unwritten."""
        await self._queue.put(part)

    async def close(self) -> None:
        """End of input, once everything sent before has been written."""
        await self._queue.put(None)

    async def next(self) -> bytes | None:
        """The next part to write; None at the end."""
        return await self._queue.get()


async def run_child(
    command: Sequence[str],
    profile: Profile,
    *,
    watch: Watch,
    on_stdout: Sink,
    on_stderr: Sink,
    stdin: bytes | ChildInput = b"",
    cancel: asyncio.Event | None = None,
    finished: asyncio.Event | None = None,
) -> Ending:
    """Run `command` under `profile` until nothing of it is left.

    `cancel` ends it; `finished` says that its last word was heard, so that it may linger `watch.linger_seconds` and no more,
    unless the event is cleared again before.
    Raises ChildNotStarted, and whatever a sink raised (after the child was killed).
    """
    child = Child(launch(profile, command), profile)
    run = _Run(child, watch, profile.limits, on_stdout, on_stderr)
    try:
        return await run.to_its_end(stdin, cancel or asyncio.Event(), finished or asyncio.Event())
    finally:
        await run.leave_nothing()


class _Run:
    """One child's supervision: the pumps that read it, and the loop that decides when it is over."""

    def __init__(self, child: Child, watch: Watch, limits: ResourceLimits, on_stdout: Sink, on_stderr: Sink) -> None:
        self._child = child
        self._watch = watch
        self._loop = asyncio.get_running_loop()
        self._started = self._heard_at = self._loop.time()
        self._sinks_busy = 0
        self._bytes = {"stdout": 0, "stderr": 0}
        self._stderr_tail = b""
        self._too_much: asyncio.Future[None] = self._loop.create_future()
        self._exited = asyncio.ensure_future(child.exit())
        self._pumps = {
            asyncio.ensure_future(self._pump("stdout", child.stdout, on_stdout)),
            asyncio.ensure_future(self._pump("stderr", child.stderr, on_stderr)),
        }
        self._taking = asyncio.ensure_future(self._takes_too_much(limits))
        self._feeding: asyncio.Task[None] | None = None

    async def to_its_end(self, stdin: bytes | ChildInput, cancel: asyncio.Event, finished: asyncio.Event) -> Ending:
        self._feeding = asyncio.ensure_future(_feed(self._child, stdin))
        why = await self._until_over(cancel, finished)
        if why == "memory_limit" or why == "process_limit":
            self._child.kill()  # asked first, it would take more meanwhile
        elif why != "exited":
            await self._stop()
        wall_seconds = self._loop.time() - self._started
        await self._drain()
        nothing_left = self._exited.done() and await self._child.gone(KILL_SECONDS_MAX)
        exit_code, group = self._child.command_exit_code(), self._child.group
        if why == "exited" and exit_code is None and (self._child.returncode or 0) > 0:
            raise ChildNotStarted(self._stderr_tail.decode(errors="replace").strip())
        return Ending(
            why=why,
            exit_code=exit_code,
            wall_seconds=wall_seconds,
            stdout_bytes=self._bytes["stdout"],
            stderr_bytes=self._bytes["stderr"],
            stderr_tail=self._stderr_tail,
            nothing_left=nothing_left,
            out_of_memory=why == "memory_limit" or (group is not None and group.ran_out_of_memory()),
        )

    async def _until_over(self, cancel: asyncio.Event, finished: asyncio.Event) -> Why:
        linger_until: float | None = None
        while True:
            self._raise_what_a_sink_raised()
            now = self._loop.time()
            if self._exited.done():
                self._exited.result()
                return "exited"
            if cancel.is_set():
                return "cancelled"
            if self._too_much.done():
                return "output_limit"
            if self._taking.done():
                return self._taking.result()
            if not finished.is_set():
                linger_until = None
            elif linger_until is None:
                linger_until = now + self._watch.linger_seconds
            if (over := self._past_a_limit(now, linger_until)) is not None:
                return over
            await self._until_something((cancel, finished), self._next_limit(linger_until) - now)

    async def _until_something(self, events: tuple[asyncio.Event, ...], seconds: float) -> None:
        happening = {asyncio.ensure_future(_happened(event)) for event in events if not event.is_set()}
        pumps = {pump for pump in self._pumps if not pump.done()}
        wakers: set[asyncio.Future[Any]] = {self._exited, self._too_much, self._taking, *happening, *pumps}
        try:
            await asyncio.wait(wakers, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in happening:
                task.cancel()

    def _past_a_limit(self, now: float, linger_until: float | None) -> Why | None:
        if now >= self._started + self._watch.wall_seconds:
            return "wall_limit"
        if linger_until is not None and now >= linger_until:
            return "lingered"
        silence = self._watch.silence_seconds
        if silence is not None and not self._sinks_busy and now >= self._heard_at + silence:
            return "silence_limit"
        return None

    def _next_limit(self, linger_until: float | None) -> float:
        limits = [self._started + self._watch.wall_seconds]
        if linger_until is not None:
            limits.append(linger_until)
        if self._watch.silence_seconds is not None:
            heard_at = self._loop.time() if self._sinks_busy else self._heard_at
            limits.append(heard_at + self._watch.silence_seconds)
        return min(limits)

    async def _takes_too_much(self, limits: ResourceLimits) -> Over:
        """Return once the whole tree takes more than it may; never where a control group sees to that."""
        if self._child.group is not None:
            await self._loop.create_future()
        # In a thread: a tree may have thousands of processes.
        while True:
            over = await asyncio.to_thread(over_limit, self._child.root, limits)
            if over is not None:
                return over
            await asyncio.sleep(LOOK_SECONDS)

    async def _stop(self) -> None:
        """Ask the command itself, step by step; then end its world."""
        for step in self._watch.stop:
            if self._child.signal_command(step.signal) and await self._exit_within(step.grace_seconds):
                return
        self._child.kill()
        await self._exit_within(KILL_SECONDS_MAX)

    async def _exit_within(self, seconds: float) -> bool:
        await asyncio.wait({self._exited}, timeout=seconds)
        return self._exited.done()

    async def _drain(self) -> None:
        """Read what is still in the pipes. Whoever else holds them open gets `drain_seconds` of silence, a slow sink more."""
        ended_at = self._heard_at = self._loop.time()
        while pending := {pump for pump in self._pumps if not pump.done()}:
            now = self._loop.time()
            silent_until = now if self._sinks_busy else self._heard_at
            until = min(ended_at + DRAIN_SECONDS_MAX, silent_until + self._watch.drain_seconds)
            if now >= until:
                break
            await asyncio.wait(pending, timeout=until - now, return_when=asyncio.FIRST_COMPLETED)
        self._raise_what_a_sink_raised()

    def _raise_what_a_sink_raised(self) -> None:
        for pump in self._pumps:
            if pump.done():
                pump.result()

    async def _pump(self, name: Literal["stdout", "stderr"], fd: int, sink: Sink) -> None:
        while True:
            await readable(fd)
            while (chunk := _read(fd)) is not None:
                if not chunk:
                    return
                await self._take(name, chunk, sink)
                # A child that never pauses may not keep the others, and the leases, from their turn.
                await asyncio.sleep(0)

    async def _take(self, name: Literal["stdout", "stderr"], chunk: bytes, sink: Sink) -> None:
        self._heard_at = self._loop.time()
        self._bytes[name] += len(chunk)
        if name == "stderr":
            self._stderr_tail = (self._stderr_tail + chunk)[-STDERR_TAIL_BYTES:]
        if sum(self._bytes.values()) > self._watch.output_bytes_max:
            if not self._too_much.done():
                self._too_much.set_result(None)
            return
        self._sinks_busy += 1
        try:
            await sink(chunk)
        finally:
            self._sinks_busy -= 1
            self._heard_at = self._loop.time()

    async def leave_nothing(self) -> None:
        """Whatever happened: no process, no descriptor, no task stays."""
        if not self._exited.done():
            self._child.kill()
            await self._exit_within(KILL_SECONDS_MAX)
            await self._child.gone(KILL_SECONDS_MAX)
        tasks = {self._exited, self._taking, *self._pumps, *({self._feeding} if self._feeding is not None else ())}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._child.close()


def _read(fd: int) -> bytes | None:
    """What is there, at most CHUNK_BYTES; empty at the end, None while there is nothing."""
    try:
        return os.read(fd, CHUNK_BYTES)
    except BlockingIOError:
        return None


async def _happened(event: asyncio.Event) -> None:
    await event.wait()


async def _feed(child: Child, stdin: bytes | ChildInput) -> None:
    """Write all of `stdin`, then end the input. A child that does not read it, or not all of it, is in its right."""
    try:
        if isinstance(stdin, bytes):
            await _write(child.stdin, stdin)
            return
        while (part := await stdin.next()) is not None:
            await _write(child.stdin, part)
    except BrokenPipeError:
        pass
    finally:
        child.close_stdin()


async def _write(fd: int, part: bytes) -> None:
    rest = memoryview(part)
    while rest:
        try:
            rest = rest[os.write(fd, rest) :]
        except BlockingIOError:
            await writable(fd)
