"""redact: what an agent printed, looked through for secrets, against the same search by `re`, and against not looking.

Ours knows fifty secrets in every form and all shapes. `re` is given the same patterns, of which it takes one after the other at
every byte; so it gets a hundredth of the text. Without a redactor the lines are split and read by the vendor's parser, as a run
does; with it they are looked through before.
"""

from __future__ import annotations

import re
from typing import Final

from agent_recordings import RECORDINGS
from planted_secrets import planted

from bench.figures import Clock, Goal, Table, Took, clock
from bench.plan import Plan
from penstock_agent_exec.agents.claude_output import parse_line
from penstock_agent_exec.output import LineSplitter
from penstock_agent_exec.process import CHUNK_BYTES
from penstock_agent_exec.redact import Redactor, Stream
from penstock_agent_exec.secret_forms import forms_of
from penstock_agent_exec.secret_shapes import SHAPES

MIB: Final = 1024 * 1024
SHARE_FOR_RE: Final = 100


async def run(plan: Plan) -> list[Table]:
    secrets = planted(50)
    redactor = Redactor(secrets)
    text = _printed(plan.size(short=8, long=32) * MIB)
    little = text[: len(text) // SHARE_FOR_RE]
    patterns = _patterns(secrets)
    forms = sum(len(forms_of(secret)) for secret in secrets.values())
    table = Table(
        f"redact: {len(text) // MIB} MiB that an agent printed; 50 secrets in {forms} forms, {len(SHAPES)} shapes"
    )
    against_re = table.row("looked through by RE2 in a stream / by `re`, bytes per second", "/s", Goal(">=", 20))
    against_none = table.row("split and parsed with the redactor / without, bytes per second", "/s", Goal(">=", 0.6))
    for counted in plan.counted_rounds():
        with clock() as ours:
            _look(text, redactor.stream())
        with clock() as reference:
            assert not any(pattern.search(little) for pattern in patterns)
        with clock() as with_it:
            lines = _read(text, redactor.stream())
        with clock() as without:
            assert _read(text, None) == lines
        if counted:
            against_re.add(_each(ours, len(text)), _each(reference, len(little)))
            against_none.add(_each(with_it, len(text)), _each(without, len(text)))
    table.notes.append("CPU us/op: of a MiB")
    return [table]


def _printed(size_bytes: int) -> bytes:
    """Recordings of Claude Code, over and over."""
    once = b"".join(path.read_bytes() for path in sorted((RECORDINGS / "claude").glob("*/*.jsonl")))
    return (once * (size_bytes // len(once) + 1))[:size_bytes]


def _patterns(secrets: dict[str, str]) -> tuple[re.Pattern[bytes], ...]:
    forms = {form for secret in secrets.values() for form in forms_of(secret)}
    known = b"|".join(re.escape(form) for form in sorted(forms, key=len, reverse=True))
    shapes = "|".join(rule.replace(r"\z", r"\Z") for _, rule in SHAPES)
    return re.compile(known), re.compile(shapes.encode())


def _look(text: bytes, stream: Stream) -> None:
    for at in range(0, len(text), CHUNK_BYTES):
        stream.feed(text[at : at + CHUNK_BYTES])
    stream.finish()


def _read(text: bytes, stream: Stream | None) -> int:
    splitter, lines = LineSplitter(), 0
    for at in range(0, len(text), CHUNK_BYTES):
        chunk = text[at : at + CHUNK_BYTES]
        for line in splitter.feed(chunk if stream is None else stream.feed(chunk)):
            parse_line(line)
            lines += 1
    for line in splitter.feed(b"" if stream is None else stream.finish()):
        parse_line(line)
        lines += 1
    return lines


def _each(taken: Clock, size_bytes: int) -> Took:
    return Took(size_bytes / taken.wall_seconds, taken.cpu_seconds / size_bytes * MIB * 1e6)
