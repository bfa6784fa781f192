"""A job's live output on its way to whoever watches: lines in, numbered batches out.

Rule of this room: watching costs the work nothing. Lines are taken at once; while the broker is slow or away they wait in a
bounded place, and what does not fit there is left out and counted.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import Final, Literal

import nats.errors
import structlog
from nats.aio.client import Client
from nats.js.errors import APIError

from penstock import subjects as s
from penstock.codec import encode
from penstock.ending import end
from penstock.jobs import Job
from penstock.output import BATCH_BYTES_MAX, BATCH_LINES_MAX, OutputBatch, OutputLine
from penstock_agent_exec.agents.facts import shown
from penstock_agent_exec.redact import NOTHING_KNOWN, Redactor

log = structlog.get_logger()

FLUSH_SECONDS: Final = 0.2
LINE_BYTES: Final = 100
"""What a line takes in a batch besides its text, rounded up."""
WAITING_BYTES_MAX: Final = 4 * 1024 * 1024
WAITING_LINES_MAX: Final = 20_000
PUBLISH_SECONDS_MAX: Final = 3.0
RETRY_PAUSE_SECONDS: Final = 0.5
LAST_WORDS_SECONDS_MAX: Final = 5.0
LINES_AT_ONCE_MAX: Final = 500
"""Of what one read of a child brings: enough for anything that people follow, and some milliseconds of work."""


class OutputStream:
    """Takes lines for one job under one epoch."""

    def __init__(self, nc: Client, job: Job, epoch: int, redactor: Redactor = NOTHING_KNOWN) -> None:
        self._js = nc.jetstream(timeout=PUBLISH_SECONDS_MAX)
        self._job = job
        self._epoch = epoch
        self._redactor = redactor
        self._number = 0
        self._waiting: deque[tuple[OutputLine, int]] = deque()
        self._waiting_bytes = 0
        self._left_out = 0
        self._much = asyncio.Event()
        self._ending = False

    def add(self, line: OutputLine) -> None:
        """Take a line; the oldest ones go where there is no room for it."""
        # A character takes at most six bytes in JSON.
        size = 6 * len(line.text) if not line.text.isascii() else 2 * len(line.text)
        self._waiting.append((line, size + LINE_BYTES))
        self._waiting_bytes += size + LINE_BYTES
        while self._waiting_bytes > WAITING_BYTES_MAX or len(self._waiting) > WAITING_LINES_MAX:
            self._waiting_bytes -= self._waiting.popleft()[1]
            self._left_out += 1
        if self._waiting_bytes > BATCH_BYTES_MAX or len(self._waiting) > BATCH_LINES_MAX:
            self._much.set()

    def add_printed(self, kind: Literal["verify", "stderr"], lines: Sequence[bytes], tool: str = "") -> None:
        """Take what one read of a child has brought: the last lines, and how many there were before them."""
        if left_out := max(0, len(lines) - LINES_AT_ONCE_MAX):
            self.note(f"{left_out} lines left out: printed faster than anybody reads")
        for line in lines[left_out:]:
            self.add(OutputLine(kind=kind, text=shown(line), tool=tool))

    def note(self, text: str) -> None:
        """A line of our own."""
        self.add(OutputLine(kind="note", text=text))

    async def run(self) -> None:
        """Publish batches until `end` was called and nothing is left."""
        while self._waiting or not self._ending:
            if not self._ending:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(FLUSH_SECONDS):
                        await self._much.wait()
            self._much.clear()
            while self._waiting:
                await self._publish(self._next_batch())

    def end(self) -> None:
        """No more lines will come."""
        self._ending = True
        self._much.set()

    def _next_batch(self) -> OutputBatch:
        self._number += 1
        lines: list[OutputLine] = []
        if self._left_out:
            lines.append(
                OutputLine(kind="note", text=f"{self._left_out} lines left out: the broker was not fast enough")
            )
            self._left_out = 0
        size_bytes = 0
        while self._waiting and len(lines) < BATCH_LINES_MAX:
            line, line_bytes = self._waiting[0]
            if lines and size_bytes + line_bytes > BATCH_BYTES_MAX:
                break
            self._waiting.popleft()
            lines.append(line)
            size_bytes += line_bytes
            self._waiting_bytes -= line_bytes
        return OutputBatch(
            task=self._job.task,
            repo=self._job.repo,
            job=self._job.id,
            epoch=self._epoch,
            number=self._number,
            at=datetime.now(UTC),
            lines=tuple(lines),
        )

    async def _publish(self, batch: OutputBatch) -> None:
        """Until the stream has it: the next batch comes after this one."""
        subject = s.output(batch.repo, batch.task, batch.job)
        # Once more, now that terminal sequences are gone which a secret may have been printed with.
        body = self._redactor.whole(encode(batch))
        while True:
            headers = {s.MSG_ID: f"{batch.job}.{batch.epoch}.{batch.number}"}
            try:
                await self._js.publish(subject, body, stream=s.OUTPUT, headers=headers)
                return
            except (nats.errors.Error, APIError, OSError) as error:
                log.debug("output.retry", job=batch.job, reason=str(error) or type(error).__name__)
                await asyncio.sleep(RETRY_PAUSE_SECONDS)


@contextlib.asynccontextmanager
async def output_stream(
    nc: Client, job: Job, epoch: int, redactor: Redactor = NOTHING_KNOWN
) -> AsyncIterator[OutputStream]:
    """A stream for one job. After it, what it took has been published, or LAST_WORDS_SECONDS_MAX have passed."""
    stream = OutputStream(nc, job, epoch, redactor)
    running = asyncio.create_task(stream.run())
    try:
        yield stream
        stream.end()
        await asyncio.wait({running}, timeout=LAST_WORDS_SECONDS_MAX)
    finally:
        await end(running)
