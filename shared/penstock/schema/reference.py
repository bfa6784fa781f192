"""The reference of the events, in Markdown, for people.

Rule of this room: pure; the promises are written here, everything else is read off the published schemas.
"""

from __future__ import annotations

import json
from typing import Final

from penstock.codec import TYPE_PREFIX
from penstock.schema.documents import EVENT_TYPES, Json, Schema, event_schema, tag_of, words_of

HEAD: Final = """\
# Events

<!-- Written by `python -m penstock.schema write`; changes made here are lost. -->

Everything that happens to a task is an event on `task.event.<repo>.<task>.<type>`, a CloudEvents 1.0 document in JSON. The
same bytes are on NATS, in the api's live stream, and in webhooks. A schema per type (JSON Schema 2020-12) is in
[`schemas/events`](../../schemas/events), an AsyncAPI document in [`schemas/asyncapi.json`](../../schemas/asyncapi.json).
How to get them: [subscribe](../how-to/subscribe.md). What has changed: [CHANGELOG-events.md](../../CHANGELOG-events.md).

## What you can rely on

- A field is never removed, renamed or given another type or meaning, and none becomes required. A new meaning is a new type.
- New types and new fields may come at any time: skip the types and ignore the fields and values that you do not know.
- A field with a default may be absent in older events; the default is what was true before the field existed.
- Delivery is at least once: the same `id` may come again. The events of one task are in order on its stream.
- Vendors, models, error classes and reasons are open sets of words.

A machine compares every change with the published schemas and refuses one that breaks this.
"""


def reference() -> str:
    """The whole page."""
    schemas = {tag_of(event): event_schema(event) for event in EVENT_TYPES}
    lines = [HEAD, "## Types", "", "| type | when | fields |", "|---|---|---|"]
    for event in EVENT_TYPES:
        tag = tag_of(event)
        names = [name for name in _properties(_data(schemas[tag])) if name != "type"]
        fields = ", ".join(f"`{name}`" for name in names)
        lines.append(f"| [`{tag}`](#{tag}) | {_cell(words_of(event))} | {fields} |")
    envelope = event_schema(EVENT_TYPES[0])
    _properties(envelope)["type"] = {"const": f"{TYPE_PREFIX}<type>"}
    lines += ["", "## The envelope", "", *_table(envelope, leave_out=("data",)), ""]
    lines.append("`data` holds the fields below, and the type once more without its prefix.")
    shapes: dict[str, Schema] = {}
    for event in EVENT_TYPES:
        tag = tag_of(event)
        lines += ["", f"## {tag}", "", words_of(event), "", *_table(_data(schemas[tag]), leave_out=("type",))]
        shapes |= {name: _object(shape) for name, shape in _object(schemas[tag]["$defs"]).items()}
    lines += ["", "## Shapes inside"]
    for name in sorted(shapes.keys() - {event.__name__ for event in EVENT_TYPES}):
        lines += ["", f"### {name}", "", str(shapes[name].get("description", "")), "", *_table(shapes[name])]
    return "\n".join(lines) + "\n"


def _table(schema: Schema, leave_out: tuple[str, ...] = ()) -> list[str]:
    required = schema.get("required")
    lines = ["| field | type | default |", "|---|---|---|"]
    for name, field in _properties(schema).items():
        if name in leave_out:
            continue
        is_required = isinstance(required, list) and name in required
        default = "required" if is_required else _default(_object(field).get("default"))
        lines.append(f"| `{name}` | {_type(field)} | {default} |")
    return lines


def _default(value: Json) -> str:
    return "its own defaults" if isinstance(value, dict) else f"`{json.dumps(value, ensure_ascii=False)}`"


def _type(schema: Json) -> str:
    """A field's type and bounds in a few words."""
    field = _object(schema)
    if isinstance(reference := field.get("$ref"), str):
        name = reference.rsplit("/", 1)[1]
        return f"[{name}](#{name.lower()})"
    if isinstance(members := field.get("anyOf"), list):
        return " or ".join(_type(member) for member in members)
    if "const" in field:
        return f"`{field['const']}`"
    if isinstance(values := field.get("enum"), list):
        return " or ".join(f"`{value}`" for value in values)
    kind = str(field.get("type"))
    if kind == "array":
        return f"list of {_type(field.get('items'))}"
    if field.get("format") == "date-time":
        return "time (RFC 3339)"
    return kind + _bounds(field)


def _bounds(field: Schema) -> str:
    if "description" in field:
        return f": {_cell(str(field['description']))}"
    if "maxLength" in field:
        return f" of {field.get('minLength', 0)} to {field['maxLength']} characters"
    if "maximum" in field:
        return f" from {field.get('minimum', 0)} to {field['maximum']}"
    return f" like `{field['pattern']}`" if "pattern" in field else ""


def _data(schema: Schema) -> Schema:
    reference = str(_object(_properties(schema)["data"])["$ref"]).rsplit("/", 1)[1]
    return _object(_object(schema["$defs"])[reference])


def _properties(schema: Schema) -> Schema:
    return _object(schema.get("properties"))


def _object(value: Json) -> Schema:
    return value if isinstance(value, dict) else {}


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
