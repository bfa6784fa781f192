"""What an agent's program printed, kept for whoever wants to know later how it went: gzipped, bounded, secrets hidden.

Rule of this room: the beginning and the end are kept, whatever the length; what lies between is counted. What a program printed
on its standard output stands here as it was, line by line; everything else is a line of JSON with the one key `penstock`.
"""

from __future__ import annotations

import json
import zlib
from collections import deque
from typing import Final, Literal

HEAD_BYTES_MAX: Final = 4 * 1024 * 1024
TAIL_BYTES_MAX: Final = 4 * 1024 * 1024
"""Compressed, both. The tail goes by whole blocks, so that it may have a block less."""

BLOCK_BYTES: Final = 256 * 1024
"""Of what is printed, in one block of the tail: each is a gzip file of its own, and may be dropped alone."""

NAME: Final = "transcript"
MEDIA_TYPE: Final = "application/gzip"
_LEVEL: Final = 3
"""Faster than any program prints, and within a fifth of the best."""


class Transcript:
    """Takes what is printed as it comes; `content` is all of it, empty where nothing was."""

    def __init__(self, head_bytes_max: int = HEAD_BYTES_MAX, tail_bytes_max: int = TAIL_BYTES_MAX) -> None:
        self._head_bytes_max = head_bytes_max
        self._tail_bytes_max = tail_bytes_max
        self._head: list[bytes] = []
        self._head_bytes = 0
        self._tail: deque[tuple[bytes, int]] = deque()
        self._tail_bytes = 0
        self._left_out_bytes = 0
        self._block = _Block()
        self._on_a_new_line = True

    def begin(self, vendor: str, session_id: str) -> None:
        """A run begins; a job may have two."""
        self._own(run=vendor, session=session_id)

    def take(self, name: Literal["stdout", "stderr"], printed: bytes) -> None:
        """A piece of what was printed; of standard error, whole lines."""
        if name == "stderr":
            self._own(stderr=printed.decode("utf-8", "replace"))
        elif printed:
            self._add(printed)

    def content(self) -> bytes:
        """Everything so far as one gzip file. Nothing may be taken after it."""
        self._close_block()
        middle = b""
        if self._left_out_bytes:
            middle = _gzip(_line(left_out_bytes=self._left_out_bytes))
        return b"".join((*self._head, middle, *(block for block, _ in self._tail)))

    def _own(self, **fields: str) -> None:
        self._add((b"" if self._on_a_new_line else b"\n") + _line(**fields))

    def _add(self, printed: bytes) -> None:
        self._on_a_new_line = printed.endswith(b"\n")
        self._block.add(printed)
        if self._block.printed_bytes >= BLOCK_BYTES:
            self._close_block()

    def _close_block(self) -> None:
        """The head as long as there is room in it; afterwards the tail, whose oldest blocks go."""
        printed_bytes = self._block.printed_bytes
        if not printed_bytes:
            return
        block, self._block = self._block.closed(), _Block()
        if not self._tail and not self._left_out_bytes and self._head_bytes + len(block) <= self._head_bytes_max:
            self._head.append(block)
            self._head_bytes += len(block)
            return
        self._tail.append((block, printed_bytes))
        self._tail_bytes += len(block)
        while self._tail_bytes > self._tail_bytes_max:
            dropped, dropped_printed_bytes = self._tail.popleft()
            self._tail_bytes -= len(dropped)
            self._left_out_bytes += dropped_printed_bytes


class _Block:
    """A gzip file that grows; each piece is compressed as it comes, so that no block is work for one long moment."""

    def __init__(self) -> None:
        self.printed_bytes = 0
        self._parts: list[bytes] = []
        self._gzip = zlib.compressobj(_LEVEL, wbits=31)

    def add(self, printed: bytes) -> None:
        self.printed_bytes += len(printed)
        self._parts.append(self._gzip.compress(printed))

    def closed(self) -> bytes:
        return b"".join((*self._parts, self._gzip.flush()))


def _line(**fields: str | int) -> bytes:
    return json.dumps({"penstock": fields}).encode() + b"\n"


def _gzip(printed: bytes) -> bytes:
    block = _Block()
    block.add(printed)
    return block.closed()
