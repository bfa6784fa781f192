"""Given what a child prints, lines and readable text come out, and memory stays bounded."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock_agent_exec.output import LineSplitter, readable


def lines_of(chunks: list[bytes], line_bytes_max: int = 1000) -> list[bytes]:
    splitter = LineSplitter(line_bytes_max)
    return [line for chunk in chunks for line in splitter.feed(chunk)] + splitter.finish()


@given(st.lists(st.binary(max_size=20)))
def test_however_output_is_cut_into_chunks_the_lines_are_the_same(chunks: list[bytes]) -> None:
    whole = b"".join(chunks)
    expected = whole.split(b"\n")
    if not expected[-1]:
        expected.pop()
    assert lines_of(chunks) == expected


def test_a_last_line_without_a_newline_is_a_line() -> None:
    assert lines_of([b"one\ntw", b"o"]) == [b"one", b"two"]


@pytest.mark.parametrize("chunk_bytes", [1, 7, 100, 10_000])
def test_a_line_beyond_the_cap_keeps_its_head_and_says_what_is_missing(chunk_bytes: int) -> None:
    printed = b"before\n" + b"x" * 5_000 + b"\nafter\n"
    chunks = [printed[at : at + chunk_bytes] for at in range(0, len(printed), chunk_bytes)]
    splitter = LineSplitter(1_000)
    lines = [line for chunk in chunks for line in splitter.feed(chunk)] + splitter.finish()
    assert lines == [b"before", b"x" * 1_000 + b" [line cut: 4000 bytes left out]", b"after"]
    assert splitter.cut_lines == 1


def test_a_line_that_never_ends_is_not_held_in_memory() -> None:
    splitter = LineSplitter(10_000)
    for _ in range(1_000):
        assert splitter.feed(b"y" * 10_000) == []
    assert splitter.finish() == [b"y" * 10_000 + b" [line cut: 9990000 bytes left out]"]


@pytest.mark.parametrize(
    ("printed", "seen"),
    [
        (b"plain \xc3\xa9 text", "plain é text"),
        (b"bad \xff\xfe bytes", "bad \ufffd\ufffd bytes"),
        (b"\x1b[1;31mred\x1b[0m and \x1b]0;title\x07done", "red and done"),
        (b"\x1b]8;;https://evil.example\x1b\\click\x1b]8;;\x1b\\", "click"),
        (b"honest\rhidden\r\nnext", "honest\nhidden\nnext"),
        (b"nul\x00 bell\x07 tab\there\nline", "nul bell tab\there\nline"),
        (b"\xc2\x9b31mc1 \xc2\x9d0;t\x07x", "c1 x"),
        (b"\x1bcreset \x1b(Bset", "reset set"),
        (b"unfinished \x1b[", "unfinished "),
        ("lone \ud800 surrogate", "lone \ufffd surrogate"),
    ],
)
def test_text_for_people_holds_nothing_a_terminal_would_obey(printed: bytes | str, seen: str) -> None:
    assert readable(printed) == seen


@given(st.one_of(st.binary(), st.text(st.characters())))
def test_whatever_is_printed_becomes_text_that_can_be_stored(printed: bytes | str) -> None:
    text = readable(printed)
    text.encode("utf-8")
    assert not any((ord(char) < 32 and char not in "\t\n") or 127 <= ord(char) < 160 for char in text)


def test_a_hostile_line_costs_linear_time() -> None:
    assert readable(b"\x1b]" * 500_000 + b"\x1b[" * 500_000) == ""
