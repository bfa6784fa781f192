"""The gate of the published schemas: planted changes, each of which it must call breaking, or must let through."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Annotated, Any

import msgspec
import pytest
from contract.test_events import schema_of
from msgspec import Meta, Struct

from penstock.schema.changes import breaking_changes, breaking_changes_of_all
from penstock.schema.documents import EVENT_TYPES, Schema, event_schema, tag_of


class Pause(Struct, kw_only=True, frozen=True):
    seconds: float = 5.0


class Inner(Struct, kw_only=True):
    a: int
    b: str = ""


class Limits(Struct, kw_only=True, frozen=True):
    tries_max: int = 3
    pause: Pause = Pause()


class Left(Struct, kw_only=True, tag="left"):
    x: int


class Right(Struct, kw_only=True, tag="right"):
    y: int


class Before(Struct, kw_only=True):
    name: Annotated[str, Meta(max_length=10, pattern="^[a-z]+$")]
    count: Annotated[int, Meta(ge=0, le=10)]
    ratio: float = 1.0
    note: str | None = None
    inner: Inner = msgspec.field(default_factory=lambda: Inner(a=1))
    many: tuple[Inner, ...] = ()
    either: Left | Right | None = None
    limits: Limits = Limits()


def schema(kind: type) -> Schema:
    found = json.loads(json.dumps(msgspec.json.schema(kind)))
    assert isinstance(found, dict)
    return found


def edited(edit: Callable[[dict[str, Any]], object]) -> Schema:
    """The schema of Before with one thing changed by hand."""
    found = copy.deepcopy(schema(Before))
    definitions = found["$defs"]
    assert isinstance(definitions, dict)
    edit(definitions)
    return found


def fields(definitions: dict[str, Any], name: str = "Before") -> dict[str, Any]:
    found = definitions[name]["properties"]
    assert isinstance(found, dict)
    return found


def limit(definitions: dict[str, Any], *, default: int | None, written: int, inside: str = "Limits") -> None:
    """A new field of the limits, with its own default or none, and its value in what the limits are by default."""
    field = {"type": "integer"} if default is None else {"type": "integer", "default": default}
    fields(definitions, inside).update(new=field)
    whole = fields(definitions)["limits"]["default"]
    (whole if inside == "Limits" else whole["pause"]).update(new=written)


BREAKING: list[tuple[str, Callable[[dict[str, Any]], object], str]] = [
    ("removed", lambda d: fields(d).pop("ratio"), "ratio is gone"),
    ("renamed", lambda d: fields(d).update(rate=fields(d).pop("ratio")), "ratio is gone"),
    ("removed inside", lambda d: fields(d, "Inner").pop("b"), "inner.b is gone"),
    ("removed inside a list", lambda d: fields(d, "Inner").pop("b"), "many[].b is gone"),
    ("retyped", lambda d: fields(d)["ratio"].update(type="string"), "ratio can no longer be number"),
    ("widened", lambda d: fields(d).update(count={"type": "number"}), "count can now be number"),
    ("null is new", lambda d: fields(d).update(ratio={"anyOf": [{"type": "number"}, {"type": "null"}]}), "ratio can now be null"),
    ("null is gone", lambda d: fields(d).update(note={"type": "string", "default": None}), "note can no longer be null"),
    ("required", lambda d: d["Before"]["required"].append("ratio"), "ratio is now required"),
    ("required inside", lambda d: d["Inner"]["required"].append("b"), "inner.b is now required"),
    ("a new required one", lambda d: d["Before"]["required"].append("new"), "new is now required"),
    ("not required any more", lambda d: d["Before"]["required"].remove("count"), "count may now be missing"),
    ("a shorter text", lambda d: fields(d)["name"].update(maxLength=9), "name has a tighter maxLength"),
    ("a first bound", lambda d: fields(d)["note"]["anyOf"][0].update(maxLength=5), "note has a tighter maxLength"),
    ("a smaller number", lambda d: fields(d)["count"].update(maximum=9), "count has a tighter maximum"),
    ("a larger least", lambda d: fields(d)["count"].update(minimum=1), "count has a tighter minimum"),
    ("another pattern", lambda d: fields(d)["name"].update(pattern="^a"), "name must now be of the pattern ^a"),
    ("another default", lambda d: fields(d)["ratio"].update(default=2.0), "ratio has another default"),
    ("a default is gone", lambda d: fields(d)["ratio"].pop("default"), "ratio has another default"),
    ("another default inside", lambda d: fields(d)["limits"]["default"].update(tries_max=4), "limits has another default"),
    ("a limit that is new and on", lambda d: limit(d, default=0, written=7), "limits has another default"),
    ("a limit without a default", lambda d: limit(d, default=None, written=7), "limits has another default"),
    ("an alternative is gone", lambda d: fields(d)["either"]["anyOf"].pop(), "either can no longer be"),
    ("a tag is renamed", lambda d: fields(d, "Right")["type"].update(enum=["recht"]), "an object whose type is ['recht']"),
]  # fmt: skip

HARMLESS: list[tuple[str, Callable[[dict[str, Any]], object]]] = [
    ("nothing", lambda d: None),
    ("a new field", lambda d: fields(d).update(new={"type": "string", "default": ""})),
    ("a new field inside", lambda d: fields(d, "Inner").update(new={"type": "string", "default": ""})),
    ("a new limit that is off", lambda d: limit(d, default=0, written=0)),
    ("a new limit that is off, further inside", lambda d: limit(d, default=0, written=0, inside="Pause")),
    ("a longer text", lambda d: fields(d)["name"].update(maxLength=11)),
    ("no bound any more", lambda d: fields(d)["count"].pop("maximum")),
    ("no pattern any more", lambda d: fields(d)["name"].pop("pattern")),
    ("other words", lambda d: d["Inner"].update(description="clearer", title="Another")),
]


@pytest.mark.parametrize(("edit", "says"), [case[1:] for case in BREAKING], ids=[case[0] for case in BREAKING])
def test_a_change_that_breaks_is_named(edit: Callable[[dict[str, Any]], object], says: str) -> None:
    found = breaking_changes(schema(Before), edited(edit))
    assert any(says in sentence for sentence in found), found


@pytest.mark.parametrize("edit", [case[1] for case in HARMLESS], ids=[case[0] for case in HARMLESS])
def test_a_change_that_breaks_nobody_is_let_through(edit: Callable[[dict[str, Any]], object]) -> None:
    assert breaking_changes(schema(Before), edited(edit)) == ()


def test_a_struct_may_get_another_name_since_that_is_not_on_the_wire() -> None:
    renamed = json.loads(json.dumps(schema(Before)).replace("Inner", "Inside"))
    assert breaking_changes(schema(Before), renamed) == ()


def test_a_type_that_is_no_longer_published_breaks_and_a_new_one_does_not() -> None:
    old, new = {"a": schema(Inner), "b": schema(Inner)}, {"b": schema(Inner), "c": schema(Inner)}
    assert breaking_changes_of_all(old, new) == ("a: is no longer published",)


@pytest.mark.parametrize("event", EVENT_TYPES, ids=[tag_of(event) for event in EVENT_TYPES])
def test_any_field_taken_out_of_any_event_is_noticed(event: type) -> None:
    published = schema_of(tag_of(event))
    assert breaking_changes(published, event_schema(event)) == ()
    for name, definition in published["$defs"].items():
        for field in definition["properties"]:
            changed = copy.deepcopy(published)
            del changed["$defs"][name]["properties"][field]
            found = breaking_changes(published, changed)
            says = f"{field} is gone" if field != "type" else "can no longer be an object whose type is"
            assert any(says in change for change in found), found
