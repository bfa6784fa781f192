"""Whatever stands on the stream, decoding gives an event, an unknown one, or one error; never anything else."""

from __future__ import annotations

import copy
import json
import os
import random
from collections.abc import Callable
from typing import Any, Final

import pytest
from contract.golden import EXPECTED, FOLDER
from msgspec import convert, to_builtins

from penstock import codec
from penstock.codec import Undecodable, decode_event, known_types
from penstock.events import KnownEvent, Recorded, Unknown

DOCUMENTS: Final = [(FOLDER / f"{name}.json").read_bytes() for name in sorted(EXPECTED)]
MUTANTS: Final = int(os.environ.get("PENSTOCK_TEST_MUTANTS", "10000"))
SEED: Final = int(os.environ.get("PENSTOCK_TEST_SEED", "20260301"))

NASTY: Final[tuple[object, ...]] = (
    None, True, False, 0, -1, 1, 1.5, 2**31, 2**53 + 1, 2**63, 2**64, -(2**70), 10**400, "", " ", "\x00", "a\nb", "é" * 500,
    "x" * 30_000, "2026-13-45T99:99:99Z", "2026-01-01", "penstock.task_failed", "task_failed", "../../etc/passwd", "task.>",
    "\ud7ff", "\U0001f4a9", [], [[]], {}, {"type": "task_failed"}, {"$ref": "#"}, [None] * 100, "2" * 40, "NaN",
)  # fmt: skip


def outcome(body: bytes) -> Recorded | Undecodable:
    """What decoding gives; any other error fails the test."""
    try:
        found = decode_event(body, 1)
    except Undecodable as error:
        return error
    assert isinstance(found, Recorded)
    return found


def _places(value: Any, at: tuple[object, ...] = ()) -> list[tuple[object, ...]]:
    """The path of everything in a JSON value but its root."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place for key, item in items for place in [(*at, key), *_places(item, (*at, key))]]


def _mutate_value(document: Any, chance: random.Random) -> None:
    place = chance.choice(_places(document))
    target = document
    for step in place[:-1]:
        target = target[step]
    match chance.randrange(5):
        case 0:
            del target[place[-1]]
        case 1 if isinstance(target, dict):
            target[chance.choice(["", "type", "data", "x" * 1_000, "\x00", "id"])] = copy.deepcopy(chance.choice(NASTY))
        case 2 if isinstance(target, dict):
            target[f"{place[-1]}_"] = target.pop(place[-1])
        case _:
            target[place[-1]] = copy.deepcopy(chance.choice(NASTY))


def _mutate_bytes(body: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(body))
    match chance.randrange(5):
        case 0:
            return body[:at]
        case 1:
            return body[:at] + bytes([chance.randrange(256)]) + body[at + 1 :]
        case 2:
            return body[:at] + bytes(chance.randrange(256) for _ in range(chance.randrange(1, 8))) + body[at:]
        case 3:
            return body[:at] + body[at + chance.randrange(1, 20) :]
        case _:
            return body[:at] + body + body[at:]


def mutant(number: int) -> bytes:
    """The mutant of that number; the same for the same seed."""
    chance = random.Random(SEED * 1_000_003 + number)
    body = chance.choice(DOCUMENTS)
    if chance.random() < 0.6:
        document = json.loads(body)
        for _ in range(chance.choice([1, 1, 1, 2, 5])):
            _mutate_value(document, chance)
        body = json.dumps(document, ensure_ascii=chance.random() < 0.5).encode("utf-8", "surrogatepass")
    if chance.random() < 0.5:
        body = _mutate_bytes(body, chance)
    return body


def test_no_mutant_gets_past_the_one_error() -> None:
    seen = {"event": 0, "unknown": 0, "undecodable": 0}
    for number in range(MUTANTS):
        found = outcome(mutant(number))
        if isinstance(found, Undecodable):
            assert str(found), f"mutant {number} of seed {SEED} is refused without a reason"
            assert len(str(found)) < 700
            seen["undecodable"] += 1
        elif isinstance(found.data, Unknown):
            assert found.data.type not in known_types(), f"mutant {number} of seed {SEED}"
            assert len(found.data.type) <= 100
            seen["unknown"] += 1
        else:
            # It holds all bounds of its type: what was let in can be written again.
            assert convert(to_builtins(found.data), KnownEvent) == found.data, f"mutant {number} of seed {SEED}"
            seen["event"] += 1
    assert sum(seen.values()) == MUTANTS
    assert min(seen.values()) >= MUTANTS // 2_000, f"the mutants are lopsided: {seen}"


def test_no_mutant_gets_past_the_one_error_of_the_other_messages() -> None:
    codecs = (codec.commands, codec.replies, codec.jobs, codec.reports, codec.batches)
    for number in range(MUTANTS // 10):
        body = mutant(number)
        for one in codecs:
            with pytest.raises(Undecodable, match=r"."):
                one.decode(body)


def edited(edit: Callable[[dict[str, Any]], object], type_: str = "task_failed") -> bytes:
    document = json.loads((FOLDER / f"{type_}.json").read_bytes())
    edit(document)
    return json.dumps(document).encode()


UNDECODABLE: dict[str, bytes] = {
    "nothing": b"",
    "only NUL": b"\x00" * 100,
    "not UTF-8": DOCUMENTS[0].replace(b"penstock", b"\xff\xfe", 1),
    "not UTF-8 inside a text": edited(lambda d: d).replace(b"nothing changed", b"\xc3\x28"),
    "half a surrogate": edited(lambda d: d).replace(b"nothing changed", b"\\ud800"),
    "100,000 brackets": b"[" * 100_000,
    "100,000 objects": b'{"a":' * 100_000,
    "100,000 deep in an unknown field": edited(lambda d: d)[:-1] + b',"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "100,000 deep in the data": edited(lambda d: d.update(data="@")).replace(b'"@"', b"[" * 100_000 + b"]" * 100_000),
    "a number beyond all bounds": edited(lambda d: d["data"].update(attempts="@")).replace(b'"@"', b"9" * 5_000),
    "a number that is no number": edited(lambda d: d["data"].update(attempts="@")).replace(b'"@"', b"NaN"),
    "an infinite cost": edited(lambda d: d["data"]["usage"].update(cost_usd="@")).replace(b'"@"', b"1e999"),
    "a list": b"[]",
    "null": b"null",
    "two documents": DOCUMENTS[0] + DOCUMENTS[0],
    "another known type in the data": edited(lambda d: d.update(type="penstock.task_succeeded")),
    "an unknown type in the data alone": edited(lambda d: d["data"].update(type="task_reviewed")),
    "an unknown type in the envelope alone": edited(lambda d: d.update(type="penstock.task_reviewed")),
    "no prefix": edited(lambda d: d.update(type="task_failed")),
    "no data": edited(lambda d: d.pop("data")),
    "no id": edited(lambda d: d.pop("id")),
    "a time without a zone": edited(lambda d: d.update(time="2026-03-01T09:30:00")),
    "an id with dots": edited(lambda d: d.update(id="a.b.c.d.e.f.g.h.i")),
    "a repo that is a wildcard": edited(lambda d: d.update(repo=">")),
    "a repo with a newline at its end": edited(lambda d: d.update(repo="shop\n")),
    "a later type in a broken envelope": edited(lambda d: d.update(type="penstock.task_reviewed", id=7, data={})),
}


@pytest.mark.parametrize("body", UNDECODABLE.values(), ids=UNDECODABLE)
def test_it_is_undecodable(body: bytes) -> None:
    assert isinstance(outcome(body), Undecodable)


@pytest.mark.parametrize("data", [{"type": "task_reviewed", "stars": 5}, {}, [], None, "text", 7, {"type": 5}])
def test_a_type_of_a_later_version_is_unknown_whatever_its_data(data: object) -> None:
    found = outcome(edited(lambda d: d.update(type="penstock.task_reviewed", data=data)))
    assert isinstance(found, Recorded)
    assert found.data == Unknown(type="task_reviewed")
    assert (found.id, found.repo) == (EXPECTED["task_failed"].id, "shop")


def test_fields_that_nobody_knows_are_ignored_at_every_depth() -> None:
    def add(document: dict[str, Any]) -> None:
        for target in (document, document["data"], document["data"]["usage"], document["data"]["kept"]):
            target |= {"zz": {"deep": [1, {"er": None}]}, "": 0, "\x00": 1}

    found = outcome(edited(add))
    assert isinstance(found, Recorded)
    assert found.data == EXPECTED["task_failed"].data


def test_the_order_of_the_keys_and_white_space_do_not_matter() -> None:
    for name, expected in EXPECTED.items():
        document = json.loads((FOLDER / f"{name}.json").read_bytes())
        reversed_ = {key: document[key] for key in reversed(document)}
        reversed_["data"] = {key: document["data"][key] for key in reversed(document["data"])}
        body = json.dumps(reversed_, indent=7).encode().replace(b"\n", b"\r\n\t")
        assert decode_event(body, expected.seq) == expected
