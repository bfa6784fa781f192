"""What a vendor's output says, in one vocabulary for all vendors.

The rule of this room: a fact is what was printed, not what it is worth. Whether a run went well is a verdict, and that is made
at the end from all of them. Texts are bounded and safe to show, because a child chose every character of them.
"""

from __future__ import annotations

from typing import Annotated, Final, TypeAlias

from msgspec import Meta, Struct

from penstock.bounds import MESSAGE_LENGTH_MAX, clip
from penstock_agent_exec.output import readable

SUMMARY_LENGTH_MAX: Final = 500
ANSWER_LENGTH_MAX: Final = 100_000
"""Of a last word that is read by a program: a plan, a summary."""
TODO_ITEMS_MAX: Final = 100
COUNT_MAX: Final = 2**53

REQUEST_LIMIT: Final = "requests"
"""The kind of a limit on requests or tokens per minute, as an answer's headers say it: not a subscription's window."""

Count = Annotated[int, Meta(ge=0, le=COUNT_MAX)]


class Fact(Struct, frozen=True, kw_only=True, tag_field="fact"):
    """One thing that a line of output said."""


class Started(Fact, frozen=True, kw_only=True, tag="started"):
    """A session has begun or goes on. `key_source` is the vendor's word for who pays."""

    session_id: str = ""
    model: str = ""
    vendor_version: str = ""
    key_source: str = ""


class Text(Fact, frozen=True, kw_only=True, tag="text"):
    """The agent said something."""

    text: str


class ToolUse(Fact, frozen=True, kw_only=True, tag="tool_use"):
    """The agent asked for a tool; `summary` is the telling part of its input."""

    id: str
    name: str
    summary: str = ""


class ToolResult(Fact, frozen=True, kw_only=True, tag="tool_result"):
    """A tool has answered; `summary` is the beginning of what it said."""

    id: str
    ok: bool
    summary: str = ""


class FileChanged(Fact, frozen=True, kw_only=True, tag="file_changed"):
    """A tool of the agent says it wrote this file. What really changed, git knows."""

    path: str


class TodoChanged(Fact, frozen=True, kw_only=True, tag="todo_changed"):
    """The agent's own list of what is to do, or the one item of it that changed."""

    items: tuple[str, ...]


class Usage(Fact, frozen=True, kw_only=True, tag="usage"):
    """Tokens of one model answer. The same `message_id` may come several times; it counts once.

    An estimate while a run goes on: what the vendor says at the end replaces the sum. `cost_usd` is None where the vendor's
    program does not say it with the answer.
    """

    message_id: str = ""
    input_tokens: Count = 0
    output_tokens: Count = 0
    cache_read_tokens: Count = 0
    cache_write_tokens: Count = 0
    turns: Count = 1
    cost_usd: float | None = None


class Retrying(Fact, frozen=True, kw_only=True, tag="retrying"):
    """The vendor's program tries a failed request again by itself. `status` is 0 where there was no answer."""

    attempt: Count = 0
    status: Count = 0
    error: str = ""
    delay_seconds: float = 0.0


class RateLimited(Fact, frozen=True, kw_only=True, tag="rate_limited"):
    """An account's limit: `refused` or only near. `resets_at` is Unix time in seconds, 0 where nobody said."""

    kind: str
    refused: bool
    resets_at: float = 0.0


class Compacted(Fact, frozen=True, kw_only=True, tag="compacted"):
    """The conversation was summarised to fit; details of its beginning are gone."""


class Decision(Fact, frozen=True, kw_only=True, tag="decision"):
    """The agent will not go on with something before a person has decided. `subject` is the kind of thing it is."""

    subject: str
    question: str
    options: tuple[str, ...] = ()


class VendorError(Fact, frozen=True, kw_only=True, tag="vendor_error"):
    """A request to the model failed for good. `kind` is the vendor's word; `status` is 0 where there was no answer."""

    kind: str
    status: Count = 0
    message: str = ""


class Finished(Fact, frozen=True, kw_only=True, tag="finished"):
    """The vendor's last word on a run; there may be several, and the last one counts.

    `kind` is its class of result and `reason` its word for why it ended. Tokens and cost are what was used since the result
    before, or since the program's start where `cumulative`. `cost_usd` is None where the vendor cannot know it. `answer` is
    `text` with more room, for what a program has to read.
    """

    is_error: bool
    kind: str = ""
    reason: str = ""
    status: Count = 0
    text: str = ""
    answer: str = ""
    errors: tuple[str, ...] = ()
    session_id: str = ""
    turns: Count = 0
    input_tokens: Count = 0
    output_tokens: Count = 0
    cache_read_tokens: Count = 0
    cache_write_tokens: Count = 0
    cost_usd: float | None = None
    cumulative: bool = False


class Noise(Fact, frozen=True, kw_only=True, tag="noise"):
    """A line of a kind that nothing depends on."""

    kind: str


class Garbage(Fact, frozen=True, kw_only=True, tag="garbage"):
    """A line that is not what this vendor prints: a warning, a crash, a cut line."""

    text: str


AnyFact: TypeAlias = (
    Started
    | Text
    | ToolUse
    | ToolResult
    | FileChanged
    | TodoChanged
    | Usage
    | Retrying
    | RateLimited
    | Compacted
    | Decision
    | VendorError
    | Finished
    | Noise
    | Garbage
)


def shown(text: str | bytes, length_max: int = MESSAGE_LENGTH_MAX) -> str:
    """`text` as a fact may hold it: for people's eyes, and no longer than `length_max`, with a mark where it was cut."""
    # A line of ten megabytes is cut before it is cleaned; what is left is more than enough to be cut again.
    limit = 4 * length_max
    return clip(readable(text[:limit]), length_max) if len(text) > limit else clip(readable(text), length_max)
