"""The forms in which a secret may be printed: as it is, escaped, encoded, backwards.

Rule of this room: a form is bytes that stand somewhere in a text just so, without a newline; what was split, encrypted or
compressed has no form, and nobody finds it.
"""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Iterator
from typing import Final
from urllib.parse import quote, quote_plus

SECRET_LENGTH_MIN: Final = 8
"""Characters. A shorter value would hide half of what is printed, and is soon guessed."""

QUOTED_MAX: Final = 3
"""Of JSON within JSON: what a tool printed, in an agent's argument, in its program's line."""

LINE_LENGTH_MIN: Final = 12
"""Of one line of a secret that has several, such as a key in PEM: each is looked for by itself."""

_UNKNOWN_IN_FRONT: Final = {0: 0, 1: 2, 2: 3}
"""Characters of base64 that hang on what stood before, by how many bytes of that share their group."""

_URL_ALPHABET: Final = bytes.maketrans(b"+/", b"-_")


def forms_of(secret: str) -> frozenset[bytes]:
    """Every form of `secret`, or of its lines where it has several. Empty where there is nothing long enough to look for."""
    lines = [line.strip() for line in secret.splitlines() if line.strip()]
    if len(lines) == 1:
        return _of_a_line(lines[0]) if len(lines[0]) >= SECRET_LENGTH_MIN else frozenset()
    telling = [line for line in lines if len(line) >= LINE_LENGTH_MIN and not line.startswith("-----")]
    return frozenset(form for line in telling for form in _of_a_line(line))


def _of_a_line(secret: str) -> frozenset[bytes]:
    raw = secret.encode("utf-8", "surrogatepass")
    forms = {raw, raw[::-1], raw.hex().encode(), raw.hex().upper().encode(), *_base64(raw)}
    forms |= {text.encode("utf-8", "surrogatepass") for text in (secret[::-1], html.escape(secret))}
    for quoted in _percent(raw):
        forms |= {quoted.encode(), _lower_percent(quoted).encode()}
    # A program that prints JSON quotes what its tool printed, and that may have been JSON.
    for text in (secret, secret[::-1], html.escape(secret), *(form.decode() for form in _base64(raw))):
        forms |= {escaped.encode("utf-8", "surrogatepass") for escaped in _json(text)}
    return frozenset(forms)


def _json(text: str) -> Iterator[str]:
    """`text` as a string of JSON, and as one within JSON that is such a string itself, as programs do."""
    for ascii_only in (True, False):
        for slash in ("/", "\\/"):
            escaped = text
            for _ in range(QUOTED_MAX):
                escaped = json.dumps(escaped, ensure_ascii=ascii_only)[1:-1].replace("/", slash)
                yield escaped
    # An outer program may write ASCII only where an inner one did not, or the other way round.
    for once in {json.dumps(text, ensure_ascii=ascii_only)[1:-1] for ascii_only in (True, False)}:
        yield from (json.dumps(once, ensure_ascii=ascii_only)[1:-1] for ascii_only in (True, False))


def _percent(raw: bytes) -> Iterator[str]:
    """As URLs have it; nobody agrees on what needs it besides letters and digits."""
    yield quote(raw, safe="")
    yield quote(raw)
    yield quote(raw, safe="!~*'()")  # encodeURIComponent
    yield quote_plus(raw)
    yield "".join(chr(byte) if chr(byte).isascii() and chr(byte).isalnum() else f"%{byte:02X}" for byte in raw)


def _lower_percent(quoted: str) -> str:
    head, *rest = quoted.split("%")
    return head + "".join(f"%{part[:2].lower()}{part[2:]}" for part in rest)


def _base64(raw: bytes) -> Iterator[bytes]:
    """What of its base64 is the same wherever it stands in something larger, in both alphabets."""
    for shift, unknown in _UNKNOWN_IN_FRONT.items():
        whole = (shift + len(raw)) * 8 // 6
        form = base64.b64encode(b"\0" * shift + raw)[unknown:whole]
        yield form
        yield form.translate(_URL_ALPHABET)
