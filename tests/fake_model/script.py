"""What the fake model says, and how it decides which step is due.

The rule of this room: the step is decided by the conversation in the request alone (the number of answers the assistant has
given in it and that came to something), so a script survives an agent that is killed and resumed, and any number of agents at
once. Only `Tries` counts requests.

As JSON: {"conversations": [{"when": "text in the first user message", "steps": [...]}, {"steps": [...]}]}, each step an object
with "do": "say", "calls", "fail", "hang", "break" or "tries". The first conversation whose `when` fits is played; a step beyond
the last is the last again.

One vocabulary for every wire format: a tool is called `bash` {command}, `read_file` {path}, `write_file` {path, content} or
`edit_file` {path, old, new} and arrives under the name that the asking program offered; a failure's `type` is one of `Why` and
arrives in the format's own words. A program's own tool names and an API's own types go through as they are.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

import msgspec
from msgspec import Struct, field

if TYPE_CHECKING:
    from fake_model.wire import Asked

Object: TypeAlias = dict[str, object]

Why: TypeAlias = Literal[
    "rate_limit",
    "usage_limit",
    "overloaded",
    "server",
    "auth",
    "forbidden",
    "billing",
    "model_not_found",
    "context_full",
    "bad_request",
]
"""What every API can say in its own words."""


class Tokens(Struct, frozen=True, kw_only=True):
    """What an answer says it used. `cached` is part of `input`."""

    input: int = 1200
    output: int = 40
    cached: int = 0


class Say(Struct, frozen=True, tag="say", tag_field="do"):
    """Text. `seconds_per_word` makes it come slowly; `stop_reason` e.g. "max_tokens" or "refusal"."""

    text: str
    seconds_per_word: float = 0.0
    stop_reason: str = "end_turn"
    tokens: Tokens = Tokens()


class Call(Struct, frozen=True):
    """One tool call."""

    name: str
    input: Object


class Calls(Struct, frozen=True, tag="calls", tag_field="do"):
    """Tool calls, after some text. `numbered`: "{turn}" in what they are given is the number of the turn."""

    calls: tuple[Call, ...]
    text: str = ""
    tokens: Tokens = Tokens()
    numbered: bool = False


class Fail(Struct, frozen=True, tag="fail", tag_field="do"):
    """An HTTP error in the API's shape; with `in_stream` an error after an answer has begun, as an event.

    `type`: one of `Why`, or the API's own word. `message` and `status` 0 stand for what the API says itself. `seconds`: when to
    come again, said as the API says it.
    """

    status: int = 0
    type: str = "server"
    message: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    seconds: float | None = None
    in_stream: bool = False


class Hang(Struct, frozen=True, tag="hang", tag_field="do"):
    """Nothing, until the client gives up: not even headers, or silence after `text`."""

    text: str = ""


class Break(Struct, frozen=True, tag="break", tag_field="do"):
    """An answer that is none: the connection cut in the middle of `text`, an empty body, a web page, nonsense in the stream."""

    how: Literal["cut", "empty", "html", "nonsense"] = "cut"
    text: str = "half an answer"


class Tries(Struct, frozen=True, tag="tries", tag_field="do"):
    """The first time this conversation comes here the first step, then the second...; the last one for ever after.

    A conversation is known by its session's id, or in formats that have none by the user's first words."""

    steps: tuple[Step, ...]


Step: TypeAlias = Say | Calls | Fail | Hang | Break | Tries


class Conversation(Struct, frozen=True):
    """Steps for conversations whose first user message holds `when`; an empty one fits all."""

    steps: tuple[Step, ...]
    when: str = ""


class Script(Struct, frozen=True):
    """Everything a fake model knows."""

    conversations: tuple[Conversation, ...]

    def steps_for(self, first_message: str) -> tuple[Step, ...]:
        """The steps of the first conversation that fits; something to say where none does."""
        fitting = (one.steps for one in self.conversations if one.when in first_message)
        return next(fitting, ()) or (Say("nothing in the script fits this conversation"),)

    def due(self, asked: Asked) -> tuple[int, Step]:
        """The step that answers this request, and its number."""
        steps = self.steps_for(asked.first_text)
        number = min(asked.turns_done, len(steps) - 1)
        return number, steps[number]


def script(*steps: Step) -> Script:
    """A script of one conversation for everybody."""
    return Script((Conversation(steps),))


def load_script(path: Path) -> Script:
    """Read a script. Raises msgspec.ValidationError with the place of what is wrong."""
    return msgspec.json.decode(path.read_bytes(), type=Script)


def bash(command: str, text: str = "") -> Calls:
    """One shell command."""
    return Calls((Call("bash", {"command": command}),), text)


def read_file(path: str) -> Calls:
    """One file read."""
    return Calls((Call("read_file", {"path": path}),))


def write_file(path: str, content: str) -> Calls:
    """One file written."""
    return Calls((Call("write_file", {"path": path, "content": content}),))


def edit_file(path: str, old: str, new: str) -> Calls:
    """One piece of a file replaced. Some programs ask that it was read before."""
    return Calls((Call("edit_file", {"path": path, "old": old, "new": new}),))


def endless() -> Calls:
    """As a last step: one command after the other, for ever, no two the same."""
    return Calls((Call("bash", {"command": "echo round {turn}"}),), numbered=True)


def refused(why: Why, seconds: float | None = None, *, in_stream: bool = False) -> Fail:
    """How the API refuses for this reason, and when to come again."""
    return Fail(type=why, seconds=seconds, in_stream=in_stream)


def context_too_long() -> Fail:
    """How the API says that a conversation no longer fits."""
    return refused("context_full")
