"""What may stand in a text that we write on a forge: nobody is called, nothing is closed, hidden, fetched or run by it.

Rule of this room: what would be more than text there is taken apart, inside code as outside of it, so that no fence or quote has
to be understood; what a reader sees stays the same. Only the few tags that fold a long part away are left whole.
"""

from __future__ import annotations

import re
from typing import Final

TITLE_LENGTH_MAX: Final = 250
TEXT_LENGTH_MAX: Final = 60_000
"""GitHub takes 65,536 characters, others more."""

APART: Final = "\u200b"
"""A space without a width: the usual way to keep `@name` from being a call."""

_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\U000e0000-\U000e007f]")
_CALL = re.compile(r"@(?=\w)")
_NUMBER = re.compile(r"([#!](?=\d)|\b(?:GH|gh)-(?=\d))")
_IMAGE = re.compile(r"!(?=\[)")
_TAG = re.compile(r"<(?!/?(?:details|summary)>)(?=[A-Za-z/!?])")
_ORDER = re.compile(r"^([ \t>*-]*)/(?=[A-Za-z])", re.MULTILINE)
_ISSUE = re.compile(r"\b(https?):(?=//\S+/(?:issues|pull|pulls|merge_requests|work_items|commit)/)", re.IGNORECASE)
_CROSS = re.compile(r"(?<=[\w)])#(?=\w*\d)")


def neutral(text: str, length_max: int = TEXT_LENGTH_MAX) -> str:
    """The text, fit for a forge: no calls of people or teams, no references to issues that it could close or be listed at, no
    images, no tags and so no hidden comments, no orders to bots at the beginning of a line, nothing that is not seen."""
    text = _UNSEEN.sub("", text.replace("\r\n", "\n"))
    text = _CALL.sub("@" + APART, text)
    text = _NUMBER.sub(rf"\1{APART}", text)
    text = _IMAGE.sub("!" + APART, text)
    text = _TAG.sub("<" + APART, text)
    text = _ORDER.sub(rf"\1{APART}/", text)
    text = _ISSUE.sub(rf"\1{APART}:", text)
    text = _CROSS.sub("#" + APART, text)
    return _closed(_cut(text, length_max))


def neutral_title(title: str) -> str:
    """The same for a title: one line."""
    return " ".join(neutral(title, TITLE_LENGTH_MAX).split()) or "(no title)"


def _cut(text: str, length_max: int) -> str:
    """The end is what a text is known by, so the middle goes."""
    if len(text) <= length_max:
        return text
    mark = "\n\n[…]\n\n"
    half = (length_max - len(mark) - 100) // 2
    return text[:half] + mark + text[-half:]


def _closed(text: str) -> str:
    """What was cut in the middle may fold the rest away for ever."""
    missing = text.count("<details>") - text.count("</details>")
    return text + "\n\n</details>" * max(min(missing, 10), 0)
