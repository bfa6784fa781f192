"""From the bytes a child prints to lines, and from lines to text that a person may look at.

The rule of this room: whatever a child prints, memory is bounded and nothing is raised. What is left out is counted.
"""

from __future__ import annotations

import re
from typing import Final

LINE_BYTES_MAX: Final = 16 * 1024 * 1024


class LineSplitter:
    """Chunks in, whole lines out, without their newline.

    A line longer than `line_bytes_max` comes out as its first bytes and a mark; at most that much is ever held back.
    """

    def __init__(self, line_bytes_max: int = LINE_BYTES_MAX) -> None:
        self.cut_lines = 0
        self._max = line_bytes_max
        self._held: list[bytes] = []
        self._held_bytes = 0
        self._left_out = 0

    def feed(self, chunk: bytes) -> list[bytes]:
        """The lines that `chunk` completes, oldest first."""
        if b"\n" not in chunk:
            self._hold(chunk)
            return []
        lines = chunk.split(b"\n")
        rest = lines.pop()
        goes_on = bool(self._held_bytes or self._left_out)
        if goes_on:
            self._hold(lines[0])
            lines[0] = self._release()
        if len(chunk) > self._max:
            lines[goes_on:] = [self._cut(line) if len(line) > self._max else line for line in lines[goes_on:]]
        self._hold(rest)
        return lines

    def finish(self) -> list[bytes]:
        """The last line where it did not end in a newline; then the splitter is as new."""
        return [self._release()] if self._held_bytes or self._left_out else []

    def _hold(self, part: bytes) -> None:
        room = self._max - self._held_bytes
        if len(part) > room:
            self._left_out += len(part) - room
            part = part[:room]
        if part:
            self._held.append(part)
            self._held_bytes += len(part)

    def _release(self) -> bytes:
        if self._left_out:
            self._held.append(self._mark(self._left_out))
        line = b"".join(self._held)
        self._held, self._held_bytes, self._left_out = [], 0, 0
        return line

    def _cut(self, line: bytes) -> bytes:
        return line[: self._max] + self._mark(len(line) - self._max)

    def _mark(self, left_out: int) -> bytes:
        self.cut_lines += 1
        return b" [line cut: %d bytes left out]" % left_out


# Sequences that move a terminal's cursor, colour it, name its window or make links: CSI, then OSC/DCS/SOS/PM/APC up to their
# terminator, then two-character escapes. Every alternative consumes what it matched once, so a hostile line costs linear time.
_ESCAPES: Final = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?"
    r"|(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?"
    r"|\x1b[ -/]*[0-~]?"
)
_CONTROLS: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_SURROGATES: Final = re.compile(r"[\ud800-\udfff]")


def readable(raw: bytes | str) -> str:
    """`raw` as text for people: invalid UTF-8 and lone surrogates replaced, terminal sequences and control characters gone.

    Tabs and newlines stay. A carriage return becomes a newline, so that nothing printed can hide what was printed before it.
    """
    text = raw.decode("utf-8", errors="replace") if isinstance(raw, bytes) else _SURROGATES.sub("�", raw)
    if text.isprintable():
        return text
    text = _ESCAPES.sub("", text).replace("\r\n", "\n").replace("\r", "\n")
    return _CONTROLS.sub("", text)
