"""Given what an agent prints, its transcript is a gzip file of lines, whole where it is short, its two ends where it is long."""

from __future__ import annotations

import gzip
import json
import random

from penstock_agent_exec.transcript import BLOCK_BYTES, Transcript

KIB = 1024


def lines_of(transcript: Transcript) -> list[bytes]:
    return gzip.decompress(transcript.content()).splitlines()


def test_what_was_printed_stands_there_as_it_was_and_the_rest_as_lines_of_ours() -> None:
    transcript = Transcript()
    transcript.begin("claude", "s-1")
    transcript.take("stdout", b'{"type":"system"}\n{"type":')
    transcript.take("stderr", b"npm warn \xff\n")
    transcript.take("stdout", b'"result"}\n')
    transcript.begin("claude", "s-2")
    assert lines_of(transcript) == [
        b'{"penstock": {"run": "claude", "session": "s-1"}}',
        b'{"type":"system"}',
        b'{"type":',
        b'{"penstock": {"stderr": "npm warn \\ufffd\\n"}}',
        b'"result"}',
        b'{"penstock": {"run": "claude", "session": "s-2"}}',
    ]


def test_where_nothing_was_printed_there_is_no_transcript() -> None:
    transcript = Transcript()
    transcript.take("stdout", b"")
    assert transcript.content() == b""


def test_of_a_long_one_the_beginning_and_the_end_are_kept_and_what_is_between_is_counted() -> None:
    dice = random.Random(2)
    transcript = Transcript(head_bytes_max=600 * KIB, tail_bytes_max=600 * KIB)
    printed = [b'{"n": %d, "x": "%s"}\n' % (n, dice.randbytes(500).hex().encode()) for n in range(8_000)]
    for line in printed:
        transcript.take("stdout", line)
    content = transcript.content()
    assert len(content) <= 1_201 * KIB
    found = gzip.decompress(content).splitlines(keepends=True)
    (middle,) = (at for at, line in enumerate(found) if b"penstock" in line)
    head, tail = found[:middle], found[middle + 1 :]
    assert head == printed[: len(head)]
    assert tail == printed[-len(tail) :]
    left_out = b"".join(printed[len(head) : len(printed) - len(tail)])
    assert json.loads(found[middle]) == {"penstock": {"left_out_bytes": len(left_out)}}
    assert min(len(b"".join(head)), len(b"".join(tail))) > 2 * BLOCK_BYTES


def test_one_that_just_fits_is_whole() -> None:
    transcript = Transcript(head_bytes_max=40 * KIB, tail_bytes_max=400 * KIB)
    line = random.Random(5).randbytes(3_000).hex().encode() + b"\n"
    for _ in range(90):
        transcript.take("stdout", line)
    assert lines_of(transcript) == [line.rstrip()] * 90
