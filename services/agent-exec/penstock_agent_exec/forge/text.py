"""What may stand in a text that we write on a forge: nobody is called, nothing is closed, hidden, fetched or run by it.

Rule of this room: what would be more than text there is taken apart, inside code as outside of it, so that no fence or quote has
to be understood; what a reader sees stays the same. Only the few tags that fold a long part away are left whole.
"""

from __future__ import annotations

import html
import re
from typing import Final

TITLE_LENGTH_MAX: Final = 250
TEXT_LENGTH_MAX: Final = 60_000
"""GitHub takes 65,536 characters, others more."""

APART: Final = "\u200b"
"""A space without a width: the usual way to keep `@name` from being a call."""

# But for the two that say whether a sign is an emoji: people write those.
_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f"
    "\u3164\ufe00-\ufe0d\ufeff\uffa0\ufff0-\ufffb\U000e0000-\U000e0fff]"
)
_ENTITY = re.compile(r"&(?=(#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});)")
_MEANS = re.compile(r"[A-Za-z0-9@#!/:]")
_CALL = re.compile(r"@(?=\w)")
_NUMBER = re.compile(r"([#!](?=\d)|\b[Gg][Hh]-(?=\d))")
_IMAGE = re.compile(r"!(?=\[)")
_FOLD = re.compile(r"(</?(?:details|summary)>)")
_TAG = re.compile(r"<(?=[A-Za-z/!?])")
_SKIP_WORDS: Final = r"[ \t]{0,3}(?:(?:skip|no)[ \t_-]{1,3}[a-z]{2,20}|[a-z]{2,20}[ \t_-]{1,3}skip)[ \t]{0,3}\]"
_SKIP = re.compile(rf"\[(?={_SKIP_WORDS})|\*(?=\*\*NO_CI)", re.IGNORECASE)
_SKIPPING = re.compile(rf"\[{_SKIP_WORDS}|\*\*\*NO_CI|^skip-checks:[ \t]*true", re.IGNORECASE | re.MULTILINE)
_ORDER = re.compile(r"^([ \t>*-]*)/(?=[A-Za-z])", re.MULTILINE)
_ISSUE = re.compile(r"\b(https?):(?=//\S+/(?:issues|pull|pulls|merge_requests|work_items|commit)/)", re.IGNORECASE)
_CROSS = re.compile(r"(?<=[\w)])#(?=\w*\d)")


def neutral(text: str, length_max: int = TEXT_LENGTH_MAX) -> str:
    """The text, fit for a forge: no calls of people or teams, no references to issues that it could close or be listed at, no
    images, no tags and so no hidden comments, no orders to bots at the beginning of a line or to leave out checks, nothing that
    is not seen, and none of it under the name that HTML has for a letter."""
    text = _untagged(text.replace("\r\n", "\n"))
    text = _ENTITY.sub(_told_apart, text)
    text = _CALL.sub("@" + APART, text)
    text = _NUMBER.sub(rf"\1{APART}", text)
    text = _IMAGE.sub("!" + APART, text)
    text = _SKIP.sub(lambda found: found[0] + APART, text)
    text = _ORDER.sub(rf"\1{APART}/", text)
    text = _ISSUE.sub(rf"\1{APART}:", text)
    text = _CROSS.sub("#" + APART, text)
    return _closed(_cut(text, length_max))


def neutral_title(title: str) -> str:
    """The same for a title: one line."""
    return " ".join(neutral(title, TITLE_LENGTH_MAX).split()) or "(no title)"


def leaves_out_checks(message: str) -> bool:
    """Whether a commit's message is one for which forges run none of their checks."""
    return _SKIPPING.search(message) is not None


def _untagged(text: str) -> str:
    """Nothing unseen, and no tag but those that fold, as they were written: one that something unseen was in is none of ours."""
    parts = _FOLD.split(text)
    parts[::2] = [_TAG.sub("<" + APART, _UNSEEN.sub("", part)) for part in parts[::2]]
    return "".join(parts)


def _told_apart(found: re.Match[str]) -> str:
    """A forge looks for calls and numbers in what a reader sees, where `&#64;` is an @."""
    letter = html.unescape(f"&{found[1]};")
    return "&" + APART if _MEANS.search(letter) or _UNSEEN.search(letter) else "&"


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
