"""Bytes to values and back: one envelope for events (CloudEvents 1.0, JSON, structured), plain JSON for the rest.

Rule of this room: whatever the bytes, decoding raises `Undecodable` and nothing else; an unknown event type is a value, not
an error. An event is decoded in one pass; the slow path is for old shapes, unknown types and broken bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final, Generic, TypeVar

import msgspec
from msgspec import Raw, Struct

from penstock.bounds import EVENT_BYTES_MAX, Id, Name
from penstock.commands import Command, Reply
from penstock.events import Event, KnownEvent, Recorded, Unknown
from penstock.jobs import Job
from penstock.output import OutputBatch
from penstock.reports import Report
from penstock.values import Utc

TYPE_PREFIX: Final = "penstock."
SPEC_VERSION: Final = "1.0"
DATA_CONTENT_TYPE: Final = "application/json"

E_co = TypeVar("E_co", covariant=True)
T = TypeVar("T")


class Undecodable(ValueError):
    """These bytes are not what they should be."""


class Unreadable(ValueError):
    """The event to be written is outside the contract's bounds."""


class TooLarge(ValueError):
    """The encoded event is larger than an event may be."""


class Envelope(Struct, Generic[E_co], frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A CloudEvents 1.0 document. Extension attributes: `repo`, `taskid`, `causationid`, `correlationid`, `traceparent`.
    The stream's sequence is not in it: JetStream knows it, and a second copy could only disagree."""

    specversion: str
    id: Id
    source: str
    type: str
    subject: str
    time: Utc
    datacontenttype: str
    repo: Name
    taskid: Id
    correlationid: str
    causationid: str
    traceparent: str = ""
    data: E_co


Upcast = Callable[[dict[str, object]], dict[str, object]]

OLD_SHAPES: Final[Mapping[str, Upcast]] = {}
"""Types that were written once and are no longer: the old data, in today's shape (its `type` included). None so far."""

_encoder = msgspec.json.Encoder()
_fast: msgspec.json.Decoder[Envelope[KnownEvent]] = msgspec.json.Decoder(Envelope[KnownEvent])
_slow: msgspec.json.Decoder[Envelope[Raw]] = msgspec.json.Decoder(Envelope[Raw])
_tags: Final[Mapping[type[Event], str]] = {cls: str(cls.__struct_config__.tag) for cls in Event.__subclasses__()}
_types: Final[Mapping[type[Event], str]] = {cls: TYPE_PREFIX + tag for cls, tag in _tags.items()}
_known_types: Final = frozenset(_tags.values())
# What msgspec lets through from bytes: its own errors, UnicodeDecodeError, and RecursionError on deep nesting.
_DECODE_ERRORS = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError)


def type_of(event: Event) -> str:
    """The event's tag: the last token of its subject."""
    return _tags[type(event)]


def known_types() -> frozenset[str]:
    """Every tag of the catalogue."""
    return _known_types


def encode_event(
    event: KnownEvent,
    *,
    id: str,
    repo: str,
    task: str,
    at: datetime,
    causation_id: str,
    source: str,
    traceparent: str = "",
) -> bytes:
    """The event in its envelope, as stored, streamed and sent to webhooks. Raises Unreadable and TooLarge."""
    body = _encoder.encode(
        Envelope(
            specversion=SPEC_VERSION,
            id=id,
            source=source,
            type=_types[type(event)],
            subject=f"{repo}/{task}",
            time=at,
            datacontenttype=DATA_CONTENT_TYPE,
            repo=repo,
            taskid=task,
            correlationid=task,
            causationid=causation_id,
            traceparent=traceparent,
            data=event,
        )
    )
    try:
        _fast.decode(body)
    except _DECODE_ERRORS as error:
        # Structs do not check their bounds when they are made: better no event than one that nobody can read.
        raise Unreadable(f"{type_of(event)} of task {task} would not be readable: {error}") from error
    if len(body) > EVENT_BYTES_MAX:
        raise TooLarge(f"{type_of(event)} of task {task} is {len(body)} bytes, at most {EVENT_BYTES_MAX} are allowed")
    return body


def decode_event(body: bytes, seq: int, old_shapes: Mapping[str, Upcast] = OLD_SHAPES) -> Recorded:
    """The recorded event; `data` is `Unknown` for a type of a later version. Raises Undecodable."""
    try:
        envelope = _fast.decode(body)
    except _DECODE_ERRORS:
        return _decode_slowly(body, seq, old_shapes)
    if envelope.type != _types[type(envelope.data)]:
        raise Undecodable(f"the envelope says {envelope.type[:100]}, its data says {type_of(envelope.data)}")
    return _recorded(envelope, envelope.data, seq)


def _decode_slowly(body: bytes, seq: int, old_shapes: Mapping[str, Upcast]) -> Recorded:
    try:
        envelope = _slow.decode(body)
        type_ = envelope.type.removeprefix(TYPE_PREFIX)
        if type_ in old_shapes:
            data = msgspec.json.decode(envelope.data, type=dict[str, object])
            event = msgspec.convert(old_shapes[type_](data), KnownEvent)
            return _recorded(envelope, event, seq)
        if type_ in _known_types:
            # A known type that the fast path refused: decode it again for the error text alone.
            msgspec.json.decode(envelope.data, type=KnownEvent)
    except (*_DECODE_ERRORS, LookupError, TypeError) as error:
        # An upcast that meets data it was not written for stumbles in Python's own ways.
        raise Undecodable(f"{type(error).__name__}: {error}"[:500]) from error
    return _recorded(envelope, Unknown(type=type_[:100]), seq)


def _recorded(envelope: Envelope[E_co], data: KnownEvent | Unknown, seq: int) -> Recorded:
    return Recorded(
        seq=seq,
        id=envelope.id,
        repo=envelope.repo,
        task=envelope.taskid,
        at=envelope.time,
        causation_id=envelope.causationid,
        data=data,
    )


def encode(value: Struct) -> bytes:
    """A command, reply, job, report, batch or catalogue entry as JSON."""
    return _encoder.encode(value)


class Codec(Generic[T]):
    """Decoder for one message kind. `decode` raises Undecodable and nothing else."""

    def __init__(self, decoder: msgspec.json.Decoder[T]) -> None:
        self._decoder = decoder

    def decode(self, body: bytes) -> T:
        try:
            return self._decoder.decode(body)
        except _DECODE_ERRORS as error:
            raise Undecodable(str(error)[:500]) from error


class StrictCodec(Codec[T]):
    """Codec for what people write. Values that events share take fields of tomorrow; in a wish such a field is a slip of the
    pen, and refused at every depth: who misspells a limit must not be left without one."""

    def decode(self, body: bytes) -> T:
        value = super().decode(body)
        try:
            # Names that were skipped are read for the first time here, and need not be text.
            given = msgspec.json.decode(body)
        except _DECODE_ERRORS as error:
            raise Undecodable(str(error)[:500]) from error
        if unknown := _unknown_field("$", given, msgspec.to_builtins(value)):
            raise Undecodable(unknown[:500])
        return value


def _unknown_field(at: str, given: object, taken: object) -> str:
    """The first field of `given` that is not in `taken`, in msgspec's own words; empty where there is none."""
    if isinstance(given, dict) and isinstance(taken, dict):
        for name, value in given.items():
            if name not in taken:
                return f"Object contains unknown field `{name}` - at `{at}`"
            if found := _unknown_field(f"{at}.{name}", value, taken[name]):
                return found
    if isinstance(given, list) and isinstance(taken, list | tuple):
        for item, of in zip(given, taken, strict=True):
            if found := _unknown_field(f"{at}[...]", item, of):
                return found
    return ""


commands: Final[Codec[Command]] = StrictCodec(msgspec.json.Decoder(Command))
replies: Final[Codec[Reply]] = Codec(msgspec.json.Decoder(Reply))
jobs: Final[Codec[Job]] = Codec(msgspec.json.Decoder(Job))
reports: Final[Codec[Report]] = Codec(msgspec.json.Decoder(Report))
batches: Final[Codec[OutputBatch]] = Codec(msgspec.json.Decoder(OutputBatch))
