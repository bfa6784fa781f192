"""What an answer used, read from its bytes while they pass: streamed or plain, in any of the four dialects.

The rule of this room: nothing is held up and nothing is read whole. Of a line that is too long its head and its tail are kept,
where the id and the numbers stand. An answer that was broken off before its numbers came is estimated, never free: whoever
leaves early has still made the model work.
"""

from __future__ import annotations

import re
from typing import Annotated, Final, NamedTuple, TypeAlias, assert_never

import msgspec
from msgspec import Meta, Struct

from penstock_agent_exec.broker.dialect import Dialect

LINE_BYTES_MAX: Final = 1024 * 1024
HEAD_BYTES: Final = 4 * 1024
TAIL_BYTES: Final = 64 * 1024
BYTES_PER_TOKEN: Final = 4
"""Of text, as an estimate; measured ones lie between three and five."""

TOKENS_MAX: Final = 2**40
ID_LENGTH_MAX: Final = 100

Tokens: TypeAlias = Annotated[int, Meta(ge=0, le=TOKENS_MAX)] | None


_DATA: Final = re.compile(rb"^[ \t\r\x0b\x0c]*data:[^\n]*", re.MULTILINE)


class Used(NamedTuple):
    """Tokens of one answer, each counted once: `input_tokens` are those that no cache has saved or stored."""

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0


class AnswerMeter:
    """Takes the bytes of one answer in whatever pieces they come. `streamed`: it comes as server-sent events."""

    def __init__(self, dialect: Dialect, *, streamed: bool) -> None:
        self.answer_id = ""
        self._dialect = dialect
        self._streamed = streamed
        self._line = _Line()
        self._said: Used | None = None
        self._complete = False
        self._events = 0
        self._event_bytes = 0
        self._event_bytes_min = LINE_BYTES_MAX

    def feed(self, part: bytes) -> None:
        """The next piece."""
        if not self._streamed:
            self._line.add(part)
            return
        first = part.find(b"\n")
        if first < 0:
            self._line.add(part)
            return
        self._line.add(part[:first])
        self._end_of_line()
        last = part.rfind(b"\n")
        # What is no data is not looked at line by line: somebody may send nothing but ends of lines.
        for found in _DATA.finditer(part, first + 1, last):
            self._line.add(found[0])
            self._end_of_line()
        self._line.add(part[last + 1 :])

    def used(self, *, body_bytes: int, broken_off: bool) -> Used | None:
        """What the answer used, by its own word or by estimate; None where it was none. `body_bytes`: of the request.
        `broken_off`: it was not heard to its end."""
        self._end_of_line()
        if self._complete and self._said is not None:
            return self._said
        if not self._events and not broken_off:
            return self._said
        said = self._said or Used(input_tokens=-(-body_bytes // BYTES_PER_TOKEN))
        return said._replace(output_tokens=max(said.output_tokens, self._estimated_output()))

    def _estimated_output(self) -> int:
        """Of events, the shortest is all envelope; what others have beyond it is text, and each of them at least a token."""
        if not self._events:
            return 0
        if not self._streamed:
            return self._event_bytes // BYTES_PER_TOKEN
        text_bytes = self._event_bytes - self._events * self._event_bytes_min
        return self._events + text_bytes // BYTES_PER_TOKEN

    def _end_of_line(self) -> None:
        line, self._line = self._line, _Line()
        data = line.content.strip()
        if self._streamed:
            if not data.startswith(b"data:"):
                return
            data = data[5:].lstrip()
        if not data or data == b"[DONE]":
            return
        size_bytes = line.size_bytes
        self._events += 1
        self._event_bytes += size_bytes
        self._event_bytes_min = min(self._event_bytes_min, size_bytes)
        if b'"usage' in data:
            self._read(data, line.is_cut)

    def _read(self, data: bytes, is_cut: bool) -> None:
        found = _cut_answer(self._dialect, data) if is_cut else _answer(self._dialect, data)
        if found is None:
            return
        self.answer_id = self.answer_id or found.id[:ID_LENGTH_MAX]
        if found.used is not None:
            before = self._said or Used()
            # Counts only grow within an answer; a later word leaves out what an earlier one said.
            self._said = Used(*(max(pair) for pair in zip(before, found.used, strict=True)))
            self._complete = self._complete or found.complete or not self._streamed


class _Line:
    """One line, or a whole plain body: in full up to a bound, beyond it only head and tail."""

    def __init__(self) -> None:
        self.size_bytes = 0
        self.is_cut = False
        self._kept = bytearray()

    def add(self, piece: bytes) -> None:
        self.size_bytes += len(piece)
        self._kept += piece
        if len(self._kept) > LINE_BYTES_MAX:
            self.is_cut = True
            del self._kept[HEAD_BYTES:-TAIL_BYTES]

    @property
    def content(self) -> bytes:
        return bytes(self._kept)


class _Found(NamedTuple):
    id: str
    used: Used | None
    complete: bool


class _Details(Struct):
    cached_tokens: Tokens = None
    cache_write_tokens: Tokens = None


class _Usage(Struct):
    """Of Anthropic and of both of OpenAI's; what one has no name for stays None."""

    input_tokens: Tokens = None
    output_tokens: Tokens = None
    cache_read_input_tokens: Tokens = None
    cache_creation_input_tokens: Tokens = None
    prompt_tokens: Tokens = None
    completion_tokens: Tokens = None
    input_tokens_details: _Details | None = None
    prompt_tokens_details: _Details | None = None


class _Message(Struct):
    id: str = ""
    usage: _Usage | None = None


class _Event(Struct):
    """A server-sent event, or a plain answer."""

    type: str = ""
    id: str = ""
    usage: _Usage | None = None
    message: _Message | None = None
    response: _Message | None = None


class _GeminiUsage(Struct, rename="camel"):
    prompt_token_count: Tokens = None
    tool_use_prompt_token_count: Tokens = None
    cached_content_token_count: Tokens = None
    candidates_token_count: Tokens = None
    thoughts_token_count: Tokens = None


class _GeminiChunk(Struct, rename="camel"):
    response_id: str = ""
    usage_metadata: _GeminiUsage | None = None


_EVENTS: Final = msgspec.json.Decoder(_Event)
_CHUNKS: Final = msgspec.json.Decoder(_GeminiChunk | list[_GeminiChunk])
_USAGES: Final = msgspec.json.Decoder(_Usage)
_GEMINI_USAGES: Final = msgspec.json.Decoder(_GeminiUsage)


def _answer(dialect: Dialect, data: bytes) -> _Found | None:
    """What one whole event or body says; None where it is no JSON of the kind that is expected."""
    try:
        match dialect:
            case Dialect.GEMINI:
                chunks = _CHUNKS.decode(data)
                last = (chunks[-1] if chunks else None) if isinstance(chunks, list) else chunks
                if last is None:
                    return None
                # Every chunk says what was used until then.
                return _Found(last.response_id, _gemini_used(last.usage_metadata), True)
            case Dialect.ANTHROPIC:
                event = _EVENTS.decode(data)
                about = event.message or _Message(event.id, event.usage)
                return _Found(about.id, _anthropic_used(about.usage or event.usage), event.type != "message_start")
            case Dialect.RESPONSES:
                event = _EVENTS.decode(data)
                about = event.response or _Message(event.id, event.usage)
                return _Found(about.id, _openai_used(about.usage), True)
            case Dialect.CHAT:
                event = _EVENTS.decode(data)
                return _Found(event.id, _openai_used(event.usage), True)
            case _:
                assert_never(dialect)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


_ID: Final = re.compile(rb'"(?:id|responseId)"\s*:\s*"([A-Za-z0-9_.:-]{1,100})"')
_USAGE_OPENS: Final = re.compile(rb'"usage(?:Metadata)?"\s*:\s*\{')


def _cut_answer(dialect: Dialect, data: bytes) -> _Found | None:
    """The same of one whose middle is missing: its first id, and the last usage in it that can be read."""
    found = _ID.search(data)
    answer_id = found[1].decode() if found else ""
    for opening in reversed(list(_USAGE_OPENS.finditer(data))[-10:]):
        if (used := _usage_at(dialect, data[opening.end() - 1 :])) is not None:
            return _Found(answer_id, used, True)
    return _Found(answer_id, None, False)


def _usage_at(dialect: Dialect, data: bytes) -> Used | None:
    """From an object with which `data` begins: of what follows it nothing is known."""
    depth = 0
    for at, byte in enumerate(data[:HEAD_BYTES]):
        depth += (byte == ord("{")) - (byte == ord("}"))
        if depth == 0:
            try:
                if dialect is Dialect.GEMINI:
                    return _gemini_used(_GEMINI_USAGES.decode(data[: at + 1]))
                usage = _USAGES.decode(data[: at + 1])
                return _anthropic_used(usage) if dialect is Dialect.ANTHROPIC else _openai_used(usage)
            except (msgspec.MsgspecError, UnicodeDecodeError):
                return None
    return None


def _anthropic_used(usage: _Usage | None) -> Used | None:
    if usage is None:
        return None
    return Used(
        usage.input_tokens or 0,
        usage.output_tokens or 0,
        usage.cache_read_input_tokens or 0,
        usage.cache_creation_input_tokens or 0,
    )


def _openai_used(usage: _Usage | None) -> Used | None:
    """OpenAI counts what was cached as input too; thoughts are in the output already."""
    if usage is None:
        return None
    details = usage.input_tokens_details or usage.prompt_tokens_details or _Details()
    read, write = details.cached_tokens or 0, details.cache_write_tokens or 0
    whole = usage.input_tokens or usage.prompt_tokens or 0
    return Used(max(whole - read - write, 0), usage.output_tokens or usage.completion_tokens or 0, read, write)


def _gemini_used(usage: _GeminiUsage | None) -> Used | None:
    """Gemini counts what was cached as prompt too, and thoughts beside the candidates."""
    if usage is None:
        return None
    read = usage.cached_content_token_count or 0
    whole = (usage.prompt_token_count or 0) + (usage.tool_use_prompt_token_count or 0)
    return Used(max(whole - read, 0), (usage.candidates_token_count or 0) + (usage.thoughts_token_count or 0), read)
