"""The repo's commands in one checkout: each run, what it printed, and what it reported.

Rule of this room: the exit status is what it is. Whatever was printed is bounded and without secrets before anybody sees it.
"""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final, assert_never

import nats.errors
import structlog

from penstock.artifacts import store
from penstock.bounds import TAIL_LENGTH_MAX, clip
from penstock.jobs import VerifyStep
from penstock.output import OutputLine
from penstock.values import Artifact
from penstock_agent_exec.git.clone import Clone, in_clone
from penstock_agent_exec.git.failures import GitFailed
from penstock_agent_exec.loopback import behind_loopback
from penstock_agent_exec.output import LineSplitter, readable
from penstock_agent_exec.process import Ending, Watch, run_child
from penstock_agent_exec.sandbox import Bind
from penstock_agent_exec.steps.bench import Bench, InHand
from penstock_agent_exec.steps.ways import Ways
from penstock_agent_exec.tenure import Stopped
from penstock_agent_exec.transcript import MEDIA_TYPE, Transcript
from penstock_agent_exec.verify.compare import Run
from penstock_agent_exec.verify.files import Marks, Places, read_new
from penstock_agent_exec.verify.printed import Printed
from penstock_agent_exec.verify.reading import Reading

log = structlog.get_logger()

LINE_BYTES_MAX: Final = 4_096
HEAD_BYTES: Final = 8 * 1024
TAIL_BYTES: Final = 32 * 1024
WHOLE_BYTES_MAX: Final = 1024 * 1024
"""Of a command's whole output, gzipped: so much of its beginning, and so much of its end."""

CHANGED_MAX: Final = 1_000
OUT_OF_MEMORY: Final = "out_of_memory"


@dataclass(frozen=True, slots=True)
class Ran:
    """One run with what is left of it. `changed`: it has changed files that git keeps, so that a second run is not the same."""

    run: Run
    tail: str
    output: Artifact | None
    changed: bool


class Checkout:
    """A clean checkout of one commit, and the commands in it. `place` is said of it to those who watch; empty for the change."""

    def __init__(self, bench: Bench, hand: InHand, clone: Clone, ways: Ways, places: Places, place: str = "") -> None:
        self._bench = bench
        self._hand = hand
        self._clone = clone
        self._ways = ways
        self._places = places
        self._place = place
        self._marks: Marks | None = None
        home = clone.path.parent / "home"
        home.mkdir()
        extras = bench.extras(hand.job.work.repo)
        binds = (Bind(clone.objects), Bind(clone.path, writable=True), Bind(home, writable=True), *extras.binds)
        env = {"HOME": str(home), "LANG": "C.UTF-8", "TERM": "dumb", "CI": "true"} | dict(extras.env)
        self._profile = bench.profile(clone.path, binds, env)

    async def run(self, step: VerifyStep, seconds: float, *, again: bool = False) -> Ran:
        """One command, once. Raises Stopped."""
        where = " and ".join(filter(None, ("once more" if again else "", self._place)))
        said = f"$ {step.command}" + (f"  ({where})" if where else "")
        self._hand.output.add(OutputLine(kind="verify", text=said[:LINE_BYTES_MAX], tool=step.stage))
        before = (
            self._marks if self._marks is not None else await asyncio.to_thread(self._places.marks, self._clone.path)
        )
        began = self._now()
        printed = _Printed(self._hand, step.stage)
        ending = await self._child(step, printed, seconds)
        ended = _ended(ending)
        if ended == OUT_OF_MEMORY:
            await printed.take(b"\nOut of memory: Killed process, by this host's limit for a check\n")
        printed.end()
        if ending.why == "cancelled":
            raise Stopped(self._hand.tenure.stop.reason)
        reading = await asyncio.to_thread(self._read, printed, before)
        code = ending.exit_code if ended == "exited" else None
        run = Run(code, ended, round(ending.wall_seconds, 3), reading)
        name = f"output-{step.stage}" + ("-again" if again else "")
        return Ran(
            run=run,
            tail=printed.tail(),
            # What was printed elsewhere is in no event.
            output=None if self._place else await self._keep(name, printed.whole()),
            changed=run.can_be_rerun and not again and await self._changed_since(began),
        )

    async def _child(self, step: VerifyStep, printed: _Printed, seconds: float) -> Ending:
        # One stream, so that what was printed last stands last.
        shell = ("sh", "-c", 'exec sh -c "$0" 2>&1', step.command)
        kept, argv = behind_loopback(self._profile, shell, egress=self._ways.egress)
        return await run_child(
            argv,
            kept,
            watch=Watch(wall_seconds=seconds, output_bytes_max=self._bench.settings.output_bytes_max),
            on_stdout=printed.take,
            on_stderr=printed.take,
            cancel=self._hand.tenure.stop.asked,
        )

    def _read(self, printed: _Printed, before: Marks) -> Reading | None:
        """In a thread: the loop has a lease to keep."""
        root = self._clone.path
        try:
            after = self._places.marks(root)
        except OSError:
            # It has taken its own work tree away.
            return None
        self._marks = after
        found = read_new(root, before, after, self._hand.redactor)
        return found if found is not None else printed.said.read(str(root))

    def _now(self) -> int:
        """The time by the clock of the checkout's file system."""
        mark = self._clone.path.parent / "began"
        mark.write_bytes(b"")
        return mark.stat().st_ctime_ns

    async def _changed_since(self, began: int) -> bool:
        """Whether a file that git keeps is another since then. Where git cannot say, nothing is claimed: it is."""
        path = self._clone.path
        sandbox = self._bench.sandbox(Bind(self._clone.objects), Bind(path, writable=True))
        try:
            done = await in_clone(self._clone, sandbox, "diff", "--name-only", "-z", "--no-ext-diff", "HEAD")
        except GitFailed:
            return True
        names = [name for name in done.stdout.split(b"\0") if name]
        return len(names) > CHANGED_MAX or any(_is_later(path / os.fsdecode(name), began) for name in names)

    async def _keep(self, name: str, content: bytes) -> Artifact | None:
        """Beside the log. No report waits for an output that is not taken."""
        if not content:
            return None
        hand = self._hand
        hand.tenure.must_hold()
        try:
            return await store(
                self._bench.nc, task=hand.job.task, job=hand.job.id, name=name, body=content, media_type=MEDIA_TYPE
            )
        except (nats.errors.Error, OSError) as error:
            reason = str(error) or type(error).__name__
            log.warning("verify.output_not_kept", task=hand.job.task, job=hand.job.id, reason=reason)
            return None


def _is_later(path: Path, began: int) -> bool:
    try:
        return path.lstat().st_ctime_ns > began
    except OSError:
        # Deleted, nobody knows when.
        return True


def _ended(ending: Ending) -> str:
    match ending.why:
        case "exited":
            # A check that lost a part of itself and passes all the same has passed.
            return OUT_OF_MEMORY if ending.out_of_memory and ending.exit_code != 0 else "exited"
        case "memory_limit":
            return OUT_OF_MEMORY
        case "process_limit":
            return "process_limit"
        case "wall_limit":
            return "timeout"
        case "output_limit":
            return "output_limit"
        case "silence_limit" | "lingered" | "cancelled":
            return "stopped"
        case _:
            assert_never(ending.why)


class _Printed:
    """What one command prints: every line to those who watch, the beginning and the end for the report, and all of it, up to a
    bound, for whoever wants to read more."""

    def __init__(self, hand: InHand, stage: str) -> None:
        self.said = Printed()
        self._output = hand.output
        self._without_secrets = hand.redactor.stream()
        self._stage = stage
        self._lines = LineSplitter(LINE_BYTES_MAX)
        self._all = Transcript(WHOLE_BYTES_MAX, WHOLE_BYTES_MAX)
        self._head = b""
        self._tail = b""
        self._bytes = 0

    async def take(self, chunk: bytes) -> None:
        self._printed(self._without_secrets.feed(chunk))

    def end(self) -> None:
        self._printed(self._without_secrets.finish())
        self._say(self._lines.finish())

    def _printed(self, part: bytes) -> None:
        self._bytes += len(part)
        room = HEAD_BYTES - len(self._head)
        self._head += part[:room]
        self._tail = (self._tail + part[room:])[-TAIL_BYTES:]
        self._all.take("stdout", part)
        self.said.take(part)
        self._say(self._lines.feed(part))

    def tail(self) -> str:
        """As much as an event may hold: how it began, and how it ended."""
        left_out = self._bytes - len(self._head) - len(self._tail)
        mark = b"\n[... %d bytes left out ...]\n" % left_out if left_out else b""
        return clip(readable(self._head + mark + self._tail), TAIL_LENGTH_MAX)

    def whole(self) -> bytes:
        """Gzipped. Nothing may be taken after it."""
        return self._all.content()

    def _say(self, lines: list[bytes]) -> None:
        self._output.add_printed("verify", lines, self._stage)
