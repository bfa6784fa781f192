"""The golden documents in `tests/golden/events/`, each with the event that it says.

Rule of this room: a document that is there is never edited and never removed, and its event neither. A new type brings a
document; a type that has gained fields brings another one, `<type>.2.json`, in which they have values.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from contract.golden_checks import CHECKS
from contract.golden_executor import EXECUTOR
from contract.golden_first import FIRST, TASK
from contract.golden_forges import FORGES
from contract.golden_map import MAP
from contract.golden_memory import MEMORY
from contract.golden_policy import AGAIN, POLICY
from contract.golden_preflight import PREFLIGHT
from contract.golden_proposals import PROPOSALS
from contract.golden_review import REVIEW

from penstock import events as e
from penstock.codec import encode_event, type_of

FOLDER: Final = Path(__file__).parents[1] / "golden" / "events"


def type_in(document: str) -> str:
    """The event type that the document of this name is of."""
    return document.split(".")[0]


def written(event: e.Recorded) -> bytes:
    """The event in the envelope that the golden documents have, as today's code writes it."""
    assert not isinstance(event.data, e.Unknown)
    return encode_event(
        event.data,
        id=event.id,
        repo=event.repo,
        task=event.task,
        at=event.at,
        causation_id=event.causation_id,
        source="/penstock/golden",
        traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    )


def _recorded(number: int, event: e.KnownEvent) -> e.Recorded:
    return e.Recorded(
        seq=number,
        id=f"01jqa0event{number:015d}",
        repo="shop",
        task=TASK,
        at=datetime(2026, 3, 1, 9, 30, tzinfo=UTC),
        causation_id=f"01jqa0event{number - 1:015d}",
        data=event,
    )


def _named(events: tuple[e.KnownEvent, ...]) -> Iterator[tuple[str, e.Recorded]]:
    """Each with its document's name: the type alone for its first, `<type>.2` for its second."""
    seen: Counter[str] = Counter()
    for number, event in enumerate(events, 1):
        seen[type_of(event)] += 1
        nth = seen[type_of(event)]
        yield type_of(event) + (f".{nth}" if nth > 1 else ""), _recorded(number, event)


def _of(
    room: str, begin: int, events: tuple[e.KnownEvent, ...], before: tuple[e.KnownEvent, ...] = ()
) -> Iterator[tuple[str, e.Recorded]]:
    """Those of a room of its own: numbered from `begin` on, so that rooms grow without minding each other. The document of a
    type that is new in it has the type's name, others (also those of a room `before` it) have the room's too: `<type>.<room>`,
    `<type>.<room>2`."""
    old = {type_of(event) for event in (*FIRST, *POLICY, *AGAIN, *EXECUTOR, *before)}
    seen: Counter[str] = Counter()
    for number, event in enumerate(events, begin):
        type_ = type_of(event)
        seen[type_] += 1
        nth = seen[type_] if seen[type_] > 1 else ""
        yield type_ + (f".{room}{nth}" if type_ in old or nth else ""), _recorded(number, event)


EXPECTED: Final[dict[str, e.Recorded]] = {
    **dict(_named((*FIRST, *POLICY, *AGAIN, *EXECUTOR))),
    **dict(_of("review", 2_000, REVIEW)),
    **dict(_of("memory", 3_000, MEMORY)),
    **dict(_of("checks", 4_000, CHECKS)),
    **dict(_of("map", 5_000, MAP)),
    **dict(_of("forges", 6_000, FORGES, REVIEW)),
    **dict(_of("preflight", 7_000, PREFLIGHT)),
    **dict(_of("proposals", 8_000, PROPOSALS)),
}
"""By the document's name without `.json`; every field of every event has a value in one of them that is not its default.
The last room that knows a type has a document with all of its fields."""

NEWEST: Final[dict[str, str]] = {type_in(document): document for document in EXPECTED}
"""By type: the document with all its fields."""
