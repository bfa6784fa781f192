"""Secrets taken out of what was printed, before anybody else sees it: the ones we know, and whatever looks like one.

Rule of this room: pure, and linear in what comes in. What was JSON by the line is JSON afterwards; a mark is never longer than
what it stands for; and of a text that comes in pieces no more is held back than a line, or HELD_BYTES_MAX of one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple

import re2  # type: ignore[import-untyped]  # it ships no types; all that is asked of it stands in this file

from penstock_agent_exec.secret_forms import SECRET_LENGTH_MIN, forms_of
from penstock_agent_exec.secret_shapes import KEY_BEGIN, KEY_HINT, KEY_OPEN, SHAPES, is_placeholder

MARK: Final = b"[secret]"
assert len(MARK) <= SECRET_LENGTH_MIN, "a text with bounds must keep them"

DIGITS_MARK: Final = b"1"
"""For a secret of digits only: it may stand where JSON has a number, and a wrong number is better than a lost line."""

HELD_BYTES_MAX: Final = 64 * 1024
"""Of a line without an end. Longer ones go on in pieces, whose borders are in no secret."""

SHAPE_BYTES_MAX: Final = 16 * 1024
"""The longest token or key that is found across the borders of such pieces, and across the lines of a key."""

CONTEXT_BYTES: Final = 64
DFA_BYTES_MAX: Final = 32 * 1024 * 1024
"""What RE2 may take for its tables. More than hundreds of secrets need; with too little it becomes slow, not wrong."""


class Span(NamedTuple):
    """A place in a text where `name` was found."""

    start: int
    end: int
    name: str


class Redactor:
    """Takes out the secrets `known` (by name) in every form, and what has the shape of one.

    `too_short`: the names of those that are not looked for, since they have less than SECRET_LENGTH_MIN characters.
    """

    def __init__(self, known: Mapping[str, str]) -> None:
        names = {form: name for name, secret in known.items() for form in forms_of(secret)}
        self.too_short = tuple(name for name, secret in known.items() if secret and not forms_of(secret))
        self.window_bytes = max(SHAPE_BYTES_MAX, *map(len, names)) if names else SHAPE_BYTES_MAX
        self._names = names
        # The longest first: where one form begins another, all of it goes.
        literals = b"|".join(re2.escape(form) for form in sorted(names, key=lambda form: (-len(form), form)))
        shapes = "|".join(rule for _, rule in SHAPES).encode()
        self._known = _compile(literals) if names else None
        self._shapes = _compile(shapes)
        # Nearly every text has neither: one look for both costs half of two.
        self._either = _compile(b"|".join((literals, shapes)), captures=False) if names else self._shapes
        self._key_open = _compile(KEY_OPEN.encode())

    def whole(self, text: bytes) -> bytes:
        """All of a text at once."""
        spans = self.find(text)
        return _without(text, spans, b"") if spans else text

    def text(self, text: str) -> str:
        """The same for characters."""
        raw = text.encode("utf-8", "surrogatepass")
        hidden = self.whole(raw)
        return text if hidden is raw else hidden.decode("utf-8", "surrogatepass")

    def stream(self) -> Stream:
        """For a text that comes in pieces."""
        return Stream(self)

    def find(self, text: bytes) -> list[Span]:
        """Every place of a secret, in order and apart from each other."""
        if self._either.search(text) is None:
            return []
        known = list(self.find_known(text))
        shapes = list(self._find_shapes(text))
        return _apart(sorted(known + shapes)) if known and shapes else known or shapes

    def find_known(self, text: bytes) -> Iterator[Span]:
        """The places of the secrets that we know, whatever else has the shape of one."""
        if self._known is not None:
            for found in self._known.finditer(text):
                start, end = found.span()
                yield Span(start, end, self._names[text[start:end]])

    def _find_shapes(self, text: bytes) -> Iterator[Span]:
        for found in self._shapes.finditer(text):
            number = next(n for n in range(1, len(SHAPES) + 1) if found.start(n) >= 0)
            start, end = found.span(number)
            if not is_placeholder(text[start:end]):
                yield Span(start, end, SHAPES[number - 1][0])

    def open_key(self, text: bytes) -> int | None:
        """Where a private key begins that the end of `text` cuts through."""
        # The last one: where it belongs to the end of a key, none is open.
        hint = text.rfind(KEY_HINT)
        if hint < 0:
            return None
        found = self._key_open.search(text, max(0, hint - CONTEXT_BYTES))
        return None if found is None else int(found.start())


class Stream:
    """One text in pieces: what `feed` and `finish` give, joined, is what `whole` makes of all of it. `found` counts by name."""

    def __init__(self, redactor: Redactor) -> None:
        self.found: Counter[str] = Counter()
        self._redactor = redactor
        self._held: list[bytes] = []
        self._held_bytes = 0
        self._past = b""  # the end of what has gone out of the line that goes on

    def feed(self, piece: bytes) -> bytes:
        """As much as can be said by now: whole lines, as a rule."""
        lines_end = piece.rfind(b"\n") + 1
        if not lines_end:
            self._hold(piece)
            return self._part_of_a_line() if self._held_bytes > HELD_BYTES_MAX else b""
        lines = self._take(piece[:lines_end])
        rest = piece[lines_end:]
        if (key := self._redactor.open_key(lines)) is not None:
            if len(lines) - key <= SHAPE_BYTES_MAX:
                lines, rest = lines[:key], lines[key:] + rest
            else:
                rest = KEY_BEGIN + rest  # no end in sight: what has come is said, and what comes is still a key
        said = self._without(lines)
        if lines:
            self._past = b""
        self._hold(rest)
        return said + self._part_of_a_line() if self._held_bytes > HELD_BYTES_MAX else said

    def finish(self) -> bytes:
        """The rest; then the stream is as new."""
        said = self._without(self._take(b""))
        self._past = b""
        return said

    def _hold(self, piece: bytes) -> None:
        if piece:
            self._held.append(piece)
            self._held_bytes += len(piece)

    def _take(self, piece: bytes) -> bytes:
        text = b"".join((*self._held, piece)) if self._held else piece
        self._held, self._held_bytes = [], 0
        return text

    def _without(self, text: bytes, spans: Iterable[Span] | None = None) -> bytes:
        spans = self._redactor.find(text) if spans is None else list(spans)
        if not spans:
            return text
        self.found.update(span.name for span in spans)
        return _without(text, spans, self._past)

    def _part_of_a_line(self) -> bytes:
        """All but the last of what is held. Nothing that begins before the cut can end beyond what is held."""
        text = self._take(b"")
        spans = self._redactor.find(text)
        cut = max(0, len(text) - self._redactor.window_bytes)
        for span in spans:
            if span.start < cut < span.end:
                # It is all here, or so long that no token has this length.
                cut = span.end if span.end < len(text) or span.end - span.start > HELD_BYTES_MAX else span.start
        said = self._without(text[:cut], (span for span in spans if span.end <= cut))
        self._past = (self._past + text[max(0, cut - CONTEXT_BYTES) : cut])[-CONTEXT_BYTES:]
        self._hold(text[cut:])
        return said


def _compile(pattern: bytes, *, captures: bool = True) -> re2._Regexp:
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    options.max_mem = DFA_BYTES_MAX
    options.log_errors = False
    options.never_capture = not captures
    return re2.compile(pattern, options)


def _apart(spans: list[Span]) -> list[Span]:
    """Sorted spans, those that overlap made one."""
    apart = [spans[0]]
    for span in spans[1:]:
        last = apart[-1]
        if span.start < last.end:
            apart[-1] = Span(last.start, max(last.end, span.end), last.name)
        else:
            apart.append(span)
    return apart


def _without(text: bytes, spans: Iterable[Span], past: bytes) -> bytes:
    """`text` with a mark for each span. `past`: what stood before it in its line."""
    pieces: list[bytes] = []
    at = 0
    for span in spans:
        before = text[max(0, span.start - CONTEXT_BYTES) : span.start]
        if span.start < CONTEXT_BYTES:
            before = past + before
        secret = text[span.start : span.end]
        pieces += (text[at : span.start], _mark(before, secret))
        at = span.end
    pieces.append(text[at:])
    return b"".join(pieces)


def _mark(before: bytes, secret: bytes) -> bytes:
    """What stands for `secret`, such that an escape that begins before it or in it does not reach into something else."""
    if secret.isdigit() and not before.endswith(b"\\"):
        return DIGITS_MARK
    closes = b"\\" if _ends_in_a_backslash(before + secret) and secret.endswith(b"\\") else b""
    return _end_of_an_escape(before) + MARK + closes


def _end_of_an_escape(before: bytes) -> bytes:
    """What completes an escape at the end of `before`; empty where there is none."""
    begins = before.rfind(b"\\", max(0, len(before) - 5))
    if begins < 0 or not _ends_in_a_backslash(before[: begins + 1]):
        return b""
    rest = before[begins + 1 :]
    if not rest:
        return b"\\"
    return b"0" * (5 - len(rest)) if rest.startswith(b"u") and len(rest) < 5 else b""


def _ends_in_a_backslash(text: bytes) -> bool:
    """Whether it ends in one that nothing before it escapes."""
    return (len(text) - len(text.rstrip(b"\\"))) % 2 == 1


NOTHING_KNOWN: Final = Redactor({})
"""Hides what looks like a secret, where no other is known."""
