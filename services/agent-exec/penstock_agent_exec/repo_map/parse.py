"""Files through grammars, in processes beside this one: git gives each of them the files, and each answers for one at a time.

Rule of this room: a worker that dies or hangs costs the file it had in hand and nothing else; all of it together has an end,
and what is not read by then is said.
"""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final

import msgspec

from penstock_agent_exec.git.environment import trusted_environment
from penstock_agent_exec.repo_map.answer import DIED, LENGTH, ORDER, READY, SLOW, Symbols
from penstock_agent_exec.repo_map.tree import Blob

AHEAD_MAX: Final = 24
"""How many files a worker is told of before it has answered: less than a pipe holds of the orders for them."""

WORKERS_MAX: Final = 8
FILES_OF_A_WORKER_MIN: Final = 40
"""Below that, starting another one takes longer than it saves."""

DEATHS_MAX: Final = 25
ANSWER_BYTES_MAX: Final = 16 * 1024 * 1024
SILENCE_SECONDS_MAX: Final = 30.0
"""Of one file, on a machine that may be busy; its CPU time is bounded more tightly."""

NO_TIME: Final = "no time left"
GIVEN_UP: Final = "parser died too often"

# What a large file took goes back to the system after it, instead of staying for the next one.
_ENVIRONMENT: Final = {
    "PATH": os.defpath,
    "LC_ALL": "C.UTF-8",
    "MALLOC_TRIM_THRESHOLD_": "131072",
    "MALLOC_MMAP_THRESHOLD_": "131072",
}

# What git maps of a pack stays in its memory, up to all of it; what it reads here it reads once.
_LITTLE_OF_A_PACK: Final = (
    ("core.packedGitWindowSize", "1m"),
    ("core.packedGitLimit", "4m"),
    ("core.deltaBaseCacheLimit", "2m"),
)

_decoder = msgspec.msgpack.Decoder(Symbols)


class ParserMissing(Exception):
    """No worker could be started."""


@dataclass(frozen=True, slots=True)
class Parsed:
    """`found`: by key, what was read, be it only that it cannot be. `unread`: the rest, and why."""

    found: dict[str, Symbols]
    unread: int = 0
    why: str = ""


def workers_for(files: int) -> int:
    """How many processes are worth their start for so many files."""
    return max(1, min(len(os.sched_getaffinity(0)), WORKERS_MAX, files // FILES_OF_A_WORKER_MIN))


def parse(
    git_dir: Path,
    blobs: Iterable[Blob],
    *,
    until: float,
    workers: int | None = None,
    command: tuple[str, ...] | None = None,
    keep: Callable[[dict[str, bytes]], None] = lambda _: None,
) -> Parsed:
    """Read the files until `time.monotonic()` says `until`. `keep` is handed the answers as they came, some at a time.
    `command`: the worker, where it is to be another one. Raises ParserMissing."""
    waiting = deque({blob.key: blob for blob in blobs}.values())
    if not waiting:
        return Parsed({})
    count = workers or workers_for(len(waiting))
    work = _Work(git_dir, waiting, command or (sys.executable, "-I", "-m", "penstock_agent_exec.repo_map.worker"), keep)
    try:
        why = work.run(count, until)
    finally:
        work.end()
    work.hand_over(everything=True)
    # Only now, when the workers' memory is free again.
    return Parsed({key: _decoder.decode(raw) for key, raw in work.found.items()}, len(work.waiting), why)


@dataclass(slots=True)
class _Lane:
    """One worker, and the git that feeds it."""

    git: subprocess.Popen[bytes]
    worker: subprocess.Popen[bytes]
    ahead: deque[Blob] = field(default_factory=deque)
    unread: bytearray = field(default_factory=bytearray)
    is_ready: bool = False
    heard_at: float = field(default_factory=time.monotonic)

    @property
    def answers(self) -> IO[bytes]:
        assert self.worker.stdout is not None
        return self.worker.stdout

    def end(self) -> None:
        for process in (self.worker, self.git):
            process.kill()
            process.wait()
        for pipe in (self.git.stdin, self.worker.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except BrokenPipeError:
                    continue


KEEP_EVERY: Final = 2_000


class _Work:
    def __init__(
        self,
        git_dir: Path,
        waiting: deque[Blob],
        command: tuple[str, ...],
        keep: Callable[[dict[str, bytes]], None],
    ) -> None:
        self.waiting = waiting
        self.found: dict[str, bytes] = {}
        self._new: dict[str, bytes] = {}
        self._git_dir = git_dir
        self._command = command
        self._keep = keep
        self._lanes: list[_Lane] = []
        self._deaths = 0
        self._selector = selectors.DefaultSelector()

    def run(self, count: int, until: float) -> str:
        """Why it ended before everything was read; empty where it did not."""
        for _ in range(count):
            self._start()
        while any(lane.ahead for lane in self._lanes) or self.waiting:
            now = time.monotonic()
            if now >= until:
                self._take_back()
                return NO_TIME
            if self._deaths > DEATHS_MAX:
                self._take_back()
                return GIVEN_UP
            for key, _ in self._selector.select(min(until - now, 1.0)):
                self._hear(key.data)
            for lane in [lane for lane in self._lanes if lane.ahead]:
                if time.monotonic() - lane.heard_at > SILENCE_SECONDS_MAX:
                    self._bury(lane, SLOW)
        return ""

    def end(self) -> None:
        for lane in self._lanes:
            lane.end()
        self._lanes.clear()
        self._selector.close()

    def hand_over(self, *, everything: bool) -> None:
        if self._new and (everything or len(self._new) >= KEEP_EVERY):
            self._keep(self._new)
            self._new = {}

    def _take_back(self) -> None:
        for lane in self._lanes:
            self.waiting.extend(lane.ahead)
            lane.ahead.clear()

    def _start(self) -> None:
        git = subprocess.Popen(
            ["git", f"--git-dir={self._git_dir}", "cat-file", f"--batch={ORDER}"],
            env=trusted_environment(settings=_LITTLE_OF_A_PACK),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        try:
            worker = subprocess.Popen(
                self._command,
                env=_ENVIRONMENT,
                stdin=git.stdout,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
        except OSError as error:
            git.kill()
            git.wait()
            raise ParserMissing(str(error)) from error
        assert git.stdout is not None
        git.stdout.close()
        lane = _Lane(git, worker)
        os.set_blocking(lane.answers.fileno(), False)
        self._selector.register(lane.answers, selectors.EVENT_READ, lane)
        self._lanes.append(lane)
        self._feed(lane)

    def _feed(self, lane: _Lane) -> None:
        orders = []
        while self.waiting and len(lane.ahead) < AHEAD_MAX:
            blob = self.waiting.popleft()
            lane.ahead.append(blob)
            orders.append(f"{blob.oid} {blob.language.grammar}\n")
        if orders:
            assert lane.git.stdin is not None
            try:
                lane.git.stdin.write("".join(orders).encode("ascii"))
                lane.git.stdin.flush()
            except BrokenPipeError:
                # The worker's end is heard next.
                return

    def _hear(self, lane: _Lane) -> None:
        chunk = os.read(lane.answers.fileno(), 1 << 16)
        lane.heard_at = time.monotonic()
        if not chunk:
            self._bury(lane, "")
            return
        lane.unread += chunk
        if not lane.is_ready:
            if len(lane.unread) < len(READY):
                return
            if not lane.unread.startswith(READY):
                raise ParserMissing("the worker speaks another language")
            del lane.unread[: len(READY)]
            lane.is_ready = True
        self._answers(lane)

    def _answers(self, lane: _Lane) -> None:
        while len(lane.unread) >= LENGTH.size:
            (size_bytes,) = LENGTH.unpack_from(lane.unread)
            end = LENGTH.size + size_bytes
            if size_bytes > ANSWER_BYTES_MAX or not lane.ahead:
                self._bury(lane, DIED)
                return
            if len(lane.unread) < end:
                break
            answer = bytes(lane.unread[LENGTH.size : end])
            try:
                _decoder.decode(answer)
            except msgspec.MsgspecError:
                self._bury(lane, DIED)
                return
            del lane.unread[:end]
            self._note(lane.ahead.popleft(), answer)
        if len(lane.ahead) <= AHEAD_MAX // 2:
            self._feed(lane)

    def _note(self, blob: Blob, answer: bytes) -> None:
        self.found[blob.key] = self._new[blob.key] = answer
        self.hand_over(everything=False)

    def _bury(self, lane: _Lane, why: str) -> None:
        """It is dead, or is to be: the file that it had in hand is to blame, those behind it are read by another one."""
        self._selector.unregister(lane.answers)
        self._lanes.remove(lane)
        lane.end()
        code = lane.worker.returncode
        if not lane.is_ready:
            raise ParserMissing(f"the worker ended with {code} before it had begun")
        if lane.ahead:
            self._deaths += 1
            why = why or (SLOW if code == -signal.SIGPROF else DIED)
            self._note(lane.ahead.popleft(), msgspec.msgpack.encode(Symbols(left_out=why)))
            self.waiting.extendleft(reversed(lane.ahead))
        if self.waiting and self._deaths <= DEATHS_MAX:
            self._start()
