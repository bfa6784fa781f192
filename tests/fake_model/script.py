"""What the fake model says, and how it decides which step is due.

The rule of this room: the step is decided by the conversation in the request alone (the number of answers the assistant has
given in it and that came to something), so a script survives an agent that is killed and resumed, and any number of agents at
once. Only `Tries` counts requests.

As JSON: {"conversations": [{"when": "text in the first user message", "steps": [...]}, {"steps": [...]}]}, each step an object
with "do": "say", "calls", "fail", "hang", "break" or "tries". The first conversation whose `when` fits is played; a step beyond
the last is the last again.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, TypeAlias

import msgspec
from msgspec import Struct, field

Object: TypeAlias = dict[str, object]


class Tokens(Struct, frozen=True, kw_only=True):
    """What an answer says it used."""

    input: int = 1200
    output: int = 40


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
    """Tool calls, after some text."""

    calls: tuple[Call, ...]
    text: str = ""
    tokens: Tokens = Tokens()


class Fail(Struct, frozen=True, tag="fail", tag_field="do"):
    """An HTTP error in the API's shape."""

    status: int
    type: str = "api_error"
    message: str = "scripted failure"
    headers: dict[str, str] = field(default_factory=dict)


class Hang(Struct, frozen=True, tag="hang", tag_field="do"):
    """Nothing, until the client gives up: not even headers, or silence after `text`."""

    text: str = ""


class Break(Struct, frozen=True, tag="break", tag_field="do"):
    """An answer that is none: the connection cut in the middle of `text`, an empty body, a web page, nonsense in the stream."""

    how: Literal["cut", "empty", "html", "nonsense"] = "cut"
    text: str = "half an answer"


class Tries(Struct, frozen=True, tag="tries", tag_field="do"):
    """The first time this conversation comes here the first step, then the second...; the last one for ever after."""

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


def script(*steps: Step) -> Script:
    """A script of one conversation for everybody."""
    return Script((Conversation(steps),))


def load_script(path: Path) -> Script:
    """Read a script. Raises msgspec.ValidationError with the place of what is wrong."""
    return msgspec.json.decode(path.read_bytes(), type=Script)


def bash(command: str, text: str = "") -> Calls:
    """One shell command."""
    return Calls((Call("Bash", {"command": command, "description": "scripted"}),), text)


def write_file(path: str, content: str) -> Calls:
    """One file written."""
    return Calls((Call("Write", {"file_path": path, "content": content}),))


def context_too_long() -> Fail:
    """How the API says that a conversation no longer fits."""
    return Fail(400, "invalid_request_error", "prompt is too long: 215000 tokens > 200000 maximum")
