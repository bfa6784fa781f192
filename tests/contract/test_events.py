"""The published contract of the events: golden documents, their schemas, and that neither may drift."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
from contract.golden import EXPECTED, FOLDER, NEWEST, type_in, written
from msgspec import UNSET, Struct

from penstock.codec import Undecodable, decode_event, known_types
from penstock.events import Recorded, TaskBlocked, Unknown
from penstock.schema.__main__ import check, main

ROOT = Path(__file__).parents[2]
SCHEMAS = ROOT / "schemas"
GOLDEN = sorted(FOLDER.glob("*.json"))


def document(name: str) -> dict[str, object]:
    loaded = json.loads((FOLDER / f"{name}.json").read_bytes())
    assert isinstance(loaded, dict)
    return loaded


def data_of(found: dict[str, object]) -> dict[str, object]:
    data = found["data"]
    assert isinstance(data, dict)
    return data


formats = jsonschema.FormatChecker(formats=())


@formats.checks("date-time", raises=ValueError)
def _is_a_time(value: object) -> bool:
    return not isinstance(value, str) or datetime.fromisoformat(value).tzinfo is not None


def schema_of(type_: str) -> dict[str, Any]:
    schema = json.loads((SCHEMAS / "events" / f"{type_}.json").read_bytes())
    assert isinstance(schema, dict)
    return schema


def validator(type_: str) -> jsonschema.Draft202012Validator:
    schema = schema_of(type_)
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema, format_checker=formats)


def test_every_event_type_has_a_golden_document_an_expected_value_and_a_schema() -> None:
    published = {path.stem for path in (SCHEMAS / "events").glob("*.json")}
    assert {path.stem for path in GOLDEN} == set(EXPECTED)
    assert set(NEWEST) == set(known_types()) == published


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_a_golden_document_still_says_what_it_said(name: str) -> None:
    assert decode_event((FOLDER / f"{name}.json").read_bytes(), EXPECTED[name].seq) == EXPECTED[name]


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_what_is_written_today_is_the_golden_document_with_the_later_fields_at_their_defaults(name: str) -> None:
    found, event = document(name), EXPECTED[name]
    found["data"] = with_later_fields(found["data"], event.data)
    assert json.loads(written(event)) == found


@pytest.mark.parametrize("type_", sorted(NEWEST))
def test_the_newest_golden_document_of_a_type_lacks_no_field(type_: str) -> None:
    name = NEWEST[type_]
    assert json.loads(written(EXPECTED[name])) == document(name)


def with_later_fields(found: object, value: object) -> object:
    """The data of a document, and in it at every depth the fields that `value`'s Structs have gained since, at the defaults
    of their types. A gained field without a default fails the test."""
    if isinstance(value, tuple):
        assert isinstance(found, list)
        return [with_later_fields(item, of) for item, of in zip(found, value, strict=True)]
    if not isinstance(value, Struct):
        return found
    assert isinstance(found, dict)
    fields = {field.encode_name: field for field in msgspec.structs.fields(value)}
    later = {name: json.loads(msgspec.json.encode(fields[name].default)) for name in fields.keys() - found.keys()}
    there = {name: with_later_fields(of, getattr(value, name, None)) for name, of in found.items()}
    return there | later


def test_every_field_is_shown_with_a_value_that_is_not_its_default() -> None:
    found = [field for event in EXPECTED.values() for field in _fields(event.data)]
    shown = {path for path, value, default in found if value != default}
    assert {path for path, _, _ in found} == shown


def _fields(value: object) -> Iterator[tuple[str, object, object]]:
    """Every field in and below `value` by its Struct and name, with its value and its default."""
    if isinstance(value, tuple):
        for item in value:
            yield from _fields(item)
    if isinstance(value, Struct):
        for field in msgspec.structs.fields(value):
            found = getattr(value, field.name)
            yield f"{type(value).__name__}.{field.name}", found, field.default
            yield from _fields(found)


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_an_old_document_without_the_later_fields_has_their_defaults(name: str) -> None:
    schema, found = schema_of(type_in(name)), document(name)
    shape = schema["$defs"][schema["properties"]["data"]["$ref"].rsplit("/", 1)[1]]
    optional = [field for field in shape["properties"] if field not in shape["required"]]
    for field in optional:
        data_of(found).pop(field, None)
    validator(type_in(name)).validate(found)
    decoded = decode_event(json.dumps(found).encode(), 1).data
    defaults = {field.encode_name: field for field in msgspec.structs.fields(type(decoded))}
    for field in optional:
        assert getattr(decoded, field) == defaults[field].default


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_the_published_schema_takes_its_golden_documents(name: str) -> None:
    validator(type_in(name)).validate(document(name))


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_the_published_schema_takes_a_field_of_tomorrow(name: str) -> None:
    found = document(name)
    found["newextension"] = "x"
    data_of(found)["new_field"] = {"a": [1]}
    validator(type_in(name)).validate(found)
    assert decode_event(json.dumps(found).encode(), EXPECTED[name].seq) == EXPECTED[name]


def _wrong(found: dict[str, object]) -> Iterator[tuple[str, dict[str, object]]]:
    """The document with one thing wrong, many times over: every required field left out, every field of another type."""
    for place in ("envelope", "data"):
        for name in found if place == "envelope" else data_of(found):
            for wrong, value in (
                ("missing", UNSET),
                ("an object of nonsense", {"no": ["such", "shape"]}),
                ("true", True),
            ):
                changed = copy.deepcopy(found)
                target = changed if place == "envelope" else data_of(changed)
                if value is UNSET:
                    del target[name]
                elif type(target[name]) is type(value):
                    continue
                else:
                    target[name] = value
                yield f"{place}.{name} {wrong}", changed


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_schema_and_decoder_agree_about_wrong_documents(name: str) -> None:
    """Whatever the schema takes the decoder takes, and whatever it refuses is refused."""
    refused = 0
    check_against = validator(type_in(name))
    for what, changed in _wrong(document(name)):
        valid = check_against.is_valid(changed)
        try:
            decoded: Recorded | None = decode_event(json.dumps(changed).encode(), 1)
        except Undecodable:
            decoded = None
        assert (decoded is not None) == valid or what.startswith(
            ("envelope.specversion", "envelope.datacontenttype")
        ), what
        refused += not valid
    assert refused >= 15


@pytest.mark.parametrize(
    ("place", "name", "value"),
    [
        ("envelope", "specversion", "0.3"),
        ("envelope", "type", "penstock.task_succeeded"),
        ("envelope", "id", "UPPER-CASE-IS-NOT-AN-ID"),
        ("envelope", "repo", "a.b"),
        ("envelope", "time", "yesterday"),
        ("envelope", "datacontenttype", "text/xml"),
        ("data", "type", "task_succeeded"),
        ("data", "attempts", -1),
        ("data", "attempts", 1.5),
        ("data", "error_class", "x" * 101),
        ("data", "message", "x" * 4_001),
        ("data", "usage", None),
        ("data", "usage", {"cost_usd": -1}),
        ("data", "kept", {"ref": "r", "commit": "not hex"}),
        ("data", "kept", {"ref": "", "commit": "2" * 40}),
    ],
)
def test_the_published_schema_refuses_a_planted_wrong_document(place: str, name: str, value: object) -> None:
    found = document("task_failed")
    (found if place == "envelope" else data_of(found))[name] = value
    with pytest.raises(jsonschema.ValidationError):
        validator("task_failed").validate(found)


def test_an_old_shape_is_read_as_what_it_means_today() -> None:
    """How a type that is no longer written stays readable: its old data, turned into today's, `type` included."""
    found = document("task_blocked")
    found["type"] = "penstock.task_stuck"
    found["data"] = {
        "type": "task_stuck",
        "why": "vendor.auth",
        "text": "login expired",
        "help": "log in on h1, then unblock",
    }
    body = json.dumps(found).encode()
    assert decode_event(body, 1).data == Unknown(type="task_stuck")

    def upcast(old: dict[str, object]) -> dict[str, object]:
        return {"type": "task_blocked", "reason": old["why"], "message": old["text"], "can_do": old["help"]}

    expected = TaskBlocked(reason="vendor.auth", message="login expired", can_do="log in on h1, then unblock")
    assert decode_event(body, 1, {"task_stuck": upcast}).data == expected


@pytest.mark.parametrize(
    "data", [{}, {"why": 1, "text": "", "help": ""}, [], None, {"why": "x" * 200, "text": "", "help": ""}]
)
def test_an_old_shape_that_is_broken_is_undecodable_like_any_other(data: object) -> None:
    found = document("task_blocked") | {"type": "penstock.task_stuck", "data": data}

    def upcast(old: dict[str, object]) -> dict[str, object]:
        return {"type": "task_blocked", "reason": old["why"], "message": old["text"], "can_do": old["help"]}

    with pytest.raises(Undecodable):
        decode_event(json.dumps(found).encode(), 1, {"task_stuck": upcast})


def test_what_is_published_is_what_the_code_says() -> None:
    assert check(ROOT) == []


def test_publishing_from_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(tmp_path)]) == 1
    assert main(["write", str(tmp_path)]) == 0
    assert main(["check", str(tmp_path)]) == 0
    schema = tmp_path / "schemas" / "events" / "task_failed.json"
    schema.write_text(schema.read_text().replace('"error_class"', '"error_kind"'))
    capsys.readouterr()
    assert main(["check", str(tmp_path)]) == 1
    assert "+" + " " * 8 + '"error_class": {' in capsys.readouterr().out
    assert main(["write", str(tmp_path)]) == 1
    assert "breaking: task_failed: data.error_kind is gone" in capsys.readouterr().out
    assert '"error_kind"' in schema.read_text()
    assert main([]) == main(["publish"]) == main(["write", "a", "b"]) == 2


def test_the_asyncapi_document_names_every_type_and_only_files_that_are_there() -> None:
    found = json.loads((SCHEMAS / "asyncapi.json").read_bytes())
    messages = found["components"]["messages"]
    assert set(messages) - {"output_batch"} == set(known_types())
    assert found["channels"]["taskEvents"]["parameters"]["type"]["enum"] == list(
        found["channels"]["taskEvents"]["messages"]
    )
    for message in messages.values():
        assert (SCHEMAS / message["payload"]["schema"]["$ref"]).is_file()


@pytest.mark.parametrize("path", sorted(SCHEMAS.glob("*.json")), ids=lambda path: str(path.stem))
def test_the_other_published_schemas_are_schemas(path: Path) -> None:
    if path.stem != "asyncapi":
        jsonschema.Draft202012Validator.check_schema(json.loads(path.read_bytes()))
    assert path.read_text().endswith("}\n")
