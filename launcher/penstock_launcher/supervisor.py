"""Keeps the children of one machine running: starts them in order, starts again what ends, stops all in order.

Rule of this room: one thread, which sleeps until a child ends, a signal comes or a look is due; and whatever happens here,
everything that was started is stopped.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Final, NamedTuple

from penstock_launcher.child import STOP_SECONDS_MAX, ChildFailed, ChildProcess
from penstock_launcher.timeline import plain

REASON_LENGTH_MAX: Final = 400
LOOK_SECONDS: Final = 1.0
LOOK_SECONDS_UNREADY: Final = 0.2
SAY_WAITING_SECONDS: Final = 5.0
BACK_OFF_SECONDS_MIN: Final = 0.1
BACK_OFF_SECONDS_MAX: Final = 30.0
STEADY_SECONDS: Final = 60.0
"""A child that ran this long has its earlier failures forgotten."""


class Stack(NamedTuple):
    """What runs on the machine. Servers start one after the other and are awaited, then `prepare` runs once, then the
    services start at the same time; they end in the opposite order."""

    servers: tuple[ChildProcess, ...]
    prepare: Callable[[], None]
    services: tuple[ChildProcess, ...]


class _Watch:
    """What the supervisor remembers of one child."""

    def __init__(self, child: ChildProcess) -> None:
        self.child = child
        self.launched_at = time.monotonic()
        self.failures = 0
        self.told = ""
        self.again_at: float | None = None
        """When it is to be launched again; None while it runs."""

    def ended(self, now: float) -> float:
        """Note an ending; returns after how many seconds it is launched again."""
        if now - self.launched_at >= STEADY_SECONDS:
            self.failures = 0
        pause = 0.0 if self.failures == 0 else min(BACK_OFF_SECONDS_MIN * 4**self.failures, BACK_OFF_SECONDS_MAX)
        self.failures += 1
        self.again_at = now + pause
        return pause


class Supervisor:
    """`say` prints a line for people. `on_change` is told whenever pids have changed, `on_ready` whenever all parts
    have become ready."""

    def __init__(
        self,
        stack: Stack,
        *,
        say: Callable[[str], None],
        on_change: Callable[[], None] = lambda: None,
        on_ready: Callable[[], None] = lambda: None,
    ) -> None:
        self._stack = stack
        self._say = say
        self._on_change = on_change
        self._on_ready = on_ready
        self._watches: list[_Watch] = []
        self._stop_asked = False
        self._all_ready = False
        self._said_waiting_at = time.monotonic()
        self._wakeup = -1

    def run(self) -> int:
        """Until SIGTERM, SIGINT or SIGHUP. Returns the exit code: 0 after an orderly end, 1 when the start failed."""
        with self._signals():
            try:
                self._start()
                while not self._stop_asked:
                    self._revive(time.monotonic())
                    self._look()
                    self._sleep()
            except ChildFailed as error:
                self._say(str(error))
                return 1
            finally:
                self._stop_all()
        return 0

    def _start(self) -> None:
        for server in self._stack.servers:
            if self._stop_asked:
                return
            self._watches.append(_Watch(server))
            server.start()
            self._on_change()
        if not self._stop_asked:
            self._stack.prepare()
        for service in self._stack.services:
            if self._stop_asked:
                return
            self._watches.append(_Watch(service))
            service.launch()
        self._on_change()

    def _revive(self, now: float) -> None:
        """Note who has ended, and launch again whose time has come."""
        for watch in self._watches:
            child = watch.child
            if child.pid is not None:
                continue
            if watch.again_at is None:
                pause = watch.ended(now)
                when = f"in {pause:.1f} s" if pause else "now"
                self._say(f"{child.name} has ended ({child.ending()}), starting it again {when}; its log: {child.log}")
                # Told once and not at every try: what is told for minutes is not read.
                if (reason := child.reason()) and reason != watch.told:
                    watch.told = reason
                    self._say(f"{child.name} said: {plain(reason, REASON_LENGTH_MAX)}")
                self._all_ready = False
            if watch.again_at is not None and now >= watch.again_at:
                watch.again_at, watch.launched_at = None, now
                try:
                    child.launch()
                except ChildFailed as error:
                    self._say(f"{child.name} cannot be started: {error}")
                self._on_change()

    def _look(self) -> None:
        """Whether all are ready, told when it becomes so, or from time to time who is not and why."""
        for watch in self._watches:
            watch.child.bound_log()
        if self._all_ready:
            return
        waiting = {watch.child.name: problems for watch in self._watches if (problems := watch.child.problems())}
        if not waiting and all(watch.child.pid is not None for watch in self._watches):
            self._all_ready = True
            self._on_ready()
        elif time.monotonic() - self._said_waiting_at >= SAY_WAITING_SECONDS:
            self._said_waiting_at = time.monotonic()
            for name, problems in waiting.items():
                self._say(f"waiting for {name}: {'; '.join(problems)}")

    def _sleep(self) -> None:
        """Until a signal comes (a child's end is one), or the next thing is due."""
        due = [watch.again_at for watch in self._watches if watch.again_at is not None]
        look = LOOK_SECONDS if self._all_ready else LOOK_SECONDS_UNREADY
        seconds = min([look, *(max(at - time.monotonic(), 0.0) for at in due)])
        if select.select([self._wakeup], [], [], seconds)[0]:
            os.read(self._wakeup, 4096)

    def _stop_all(self) -> None:
        """Services together, then the servers one by one from the last to the first."""
        servers = set(self._stack.servers)
        services = [watch.child for watch in self._watches if watch.child not in servers]
        self._say("stopping; an agent at work is ended, and goes on at the next start")
        for service in services:
            service.ask_to_stop()
        deadline = time.monotonic() + STOP_SECONDS_MAX
        for service in services:
            self._note_force(service, service.await_end(deadline - time.monotonic()))
        for watch in reversed(self._watches):
            if watch.child in servers:
                self._note_force(watch.child, watch.child.stop())

    def _note_force(self, child: ChildProcess, in_order: bool) -> None:
        if not in_order:
            self._say(f"{child.name} did not stop within {STOP_SECONDS_MAX:g} s and was killed; its log: {child.log}")

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        """Signals wake the one thread by a socket; none of them interrupts anything."""

        def stop(number: int, frame: FrameType | None) -> None:
            self._stop_asked = True

        def only_wake(number: int, frame: FrameType | None) -> None:
            return

        handlers = {signal.SIGTERM: stop, signal.SIGINT: stop, signal.SIGHUP: stop, signal.SIGCHLD: only_wake}
        reader, writer = socket.socketpair()
        reader.setblocking(False)
        writer.setblocking(False)
        if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:  # nohup: it is to outlive its terminal
            del handlers[signal.SIGHUP]
        before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
        wakeup_before = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
        self._wakeup = reader.fileno()
        try:
            yield
        finally:
            signal.set_wakeup_fd(wakeup_before)
            for number, handler in before.items():
                signal.signal(number, handler)
            reader.close()
            writer.close()
