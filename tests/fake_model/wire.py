"""What a wire format is to the fake model: how a request is read, and how a step of the script is said in it.

The rule of this room: a format knows nothing of scripts and of sockets. It reads what came and writes what is to go.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from fake_model.script import Calls, Fail, Object, Say


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request for an answer, whatever its format. `aside` answers one that is beside the conversation and moves no step."""

    model: str
    streams: bool
    turns_done: int
    first_text: str
    """What the user said before the first answer."""
    last_text: str
    told: tuple[str, ...] = ()
    """Everything that was said to the model, in order: by the user, by files, by the output of tools. Not its own words."""
    offered: frozenset[str] = frozenset()
    """The names of the tools that it may call."""
    counts_in_stream: bool = True
    """Whether it wants to be told in the stream what it used."""
    conversation: str
    aside: str | None = None
    folder: str = ""
    """Where the program says that it works. Some take only absolute paths."""


@dataclass(frozen=True, slots=True)
class Failure:
    """An answer that says no."""

    status: int
    body: Object
    headers: Mapping[str, str] = field(default_factory=dict)


class Wire(Protocol):
    """One wire format."""

    def asked(self, path: str, headers: Mapping[str, str], body: Object) -> Asked:
        """What the request comes to."""
        ...

    def whole(self, step: Say | Calls, asked: Asked) -> Object:
        """The answer to a request that does not stream."""
        ...

    def events(self, step: Say | Calls, asked: Asked) -> list[bytes]:
        """The same answer as server-sent events, one word of text per event."""
        ...

    def begun(self, text: str, asked: Asked) -> list[bytes]:
        """The events of an answer with this text as far as its last word; nothing of its end."""
        ...

    def failure(self, fail: Fail) -> Failure:
        """The error in the format's own shape."""
        ...

    def failing(self, fail: Fail) -> bytes:
        """The same error as an event in the middle of an answer."""
        ...


_FOLDER: Final = re.compile(rb'working (?:directory|in the directory): (/[^\s"\\<]+)', re.IGNORECASE)


def folder_in(raw: bytes) -> str:
    """Where the program that asks says that it works; empty where it does not say."""
    found = _FOLDER.search(raw)
    return found[1].decode(errors="replace") if found else ""


def objects(found: object) -> list[Object]:
    """The objects in a list; nothing where it is none."""
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def text_of(content: object) -> str:
    """The text of a message's content: a string, or parts that have some."""
    if isinstance(content, str):
        return content
    return "\n".join(str(part["text"]) for part in objects(content) if "text" in part)


def words_of(text: str) -> list[str]:
    """The text in pieces, one per word."""
    words = text.split(" ")
    return [word if number == len(words) - 1 else word + " " for number, word in enumerate(words)]


def groups(spoken: Sequence[bool]) -> int:
    """How many unbroken runs of the assistant's words there are."""
    return sum(now and not before for before, now in zip([False, *spoken], spoken, strict=False))


def sse(data: Object, event: str | None = None) -> bytes:
    """One server-sent event."""
    head = f"event: {event}\n" if event is not None else ""
    return f"{head}data: {json.dumps(data)}\n\n".encode()
