"""Live output of a job, in batches. Not part of a task's truth: it may be lost in a power cut, the log may not."""

from __future__ import annotations

from msgspec import Struct

from penstock.bounds import Count, Id, Message, Name, Word
from penstock.values import Utc

BATCH_LINES_MAX = 200
BATCH_BYTES_MAX = 192 * 1024


class OutputLine(Struct, frozen=True, kw_only=True):
    """One fact of a run. `kind`: text, tool_use, tool_result, file_changed, usage, retrying, rate_limited, verify, note, ..."""

    kind: Word
    text: Message = ""
    tool: Word = ""
    ok: bool | None = None


class OutputBatch(Struct, frozen=True, kw_only=True):
    """Some lines of one job, in order; `number` counts a job's batches from 1 within an epoch."""

    task: Id
    repo: Name
    job: Id
    epoch: Count
    number: Count
    at: Utc
    lines: tuple[OutputLine, ...]
