"""Which changes of a published schema break somebody who relies on it.

Rule of this room: pure; judged from both sides. A subscriber breaks when something it was promised goes away or becomes
something else; our own log breaks when a document that was valid is valid no more.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from penstock.schema.documents import Json, Schema

_TIGHTER_WHEN_LARGER: Final = ("minimum", "minLength", "minItems")
_TIGHTER_WHEN_SMALLER: Final = ("maximum", "maxLength", "maxItems")
_DEPTH_MAX: Final = 40


def breaking_changes(old: Schema, new: Schema) -> tuple[str, ...]:
    """One sentence per change from `old` to `new` that breaks; empty where there is none."""
    return tuple(_compare("", old, new, old, new, 0))


def breaking_changes_of_all(old: Mapping[str, Schema], new: Mapping[str, Schema]) -> tuple[str, ...]:
    """The same over whole sets of schemas by name, where one may also go missing."""
    found = []
    for name, schema in old.items():
        if name not in new:
            found.append(f"{name}: is no longer published")
        else:
            found += [f"{name}: {change}" for change in breaking_changes(schema, new[name])]
    return tuple(found)


def _compare(at: str, old: Json, new: Json, old_root: Schema, new_root: Schema, depth: int) -> list[str]:
    if depth > _DEPTH_MAX:
        return []
    before = {_kind(schema): schema for schema in _alternatives(old, old_root)}
    after = {_kind(schema): schema for schema in _alternatives(new, new_root)}
    where = at or "the document"
    found = [f"{where} can no longer be {kind}" for kind in before if kind not in after]
    found += [f"{where} can now be {kind}" for kind in after if kind not in before]
    if _has_another_default(_flat(old, old_root), _flat(new, new_root), new_root):
        found.append(f"{where} has another default")
    for kind in before.keys() & after.keys():
        found += _compare_one(at, before[kind], after[kind], old_root, new_root, depth)
    return found


def _compare_one(at: str, old: Schema, new: Schema, old_root: Schema, new_root: Schema, depth: int) -> list[str]:
    """Two schemas of the same kind."""
    where = at or "the document"
    found = [
        f"{where} has a tighter {name}"
        for names, is_tighter in ((_TIGHTER_WHEN_LARGER, _is_more), (_TIGHTER_WHEN_SMALLER, _is_less))
        for name in names
        if is_tighter(new.get(name), old.get(name))
    ]
    for name in ("pattern", "format"):
        if name in new and new[name] != old.get(name):
            found.append(f"{where} must now be of the {name} {new[name]}")
    old_fields, new_fields = _object(old.get("properties")), _object(new.get("properties"))
    old_required, new_required = _strings(old.get("required")), _strings(new.get("required"))
    for name, field in old_fields.items():
        path = f"{at}.{name}" if at else name
        if name not in new_fields:
            found.append(f"{path} is gone")
            continue
        if name in old_required and name not in new_required:
            found.append(f"{path} may now be missing")
        found += _compare(path, field, new_fields[name], old_root, new_root, depth + 1)
    found += [f"{at}.{name}".removeprefix(".") + " is now required" for name in new_required - old_required]
    if "items" in old:
        found += _compare(f"{at}[]", old["items"], new.get("items", {}), old_root, new_root, depth + 1)
    return found


def _has_another_default(old: Schema, new: Schema, new_root: Schema) -> bool:
    """Whether who leaves the field out now means something else. A default that is an object is written out in full in its
    schema: it changes with every field that the object gains, and still means the same where that field has its own default."""
    if "default" not in old:
        return False
    return "default" not in new or _filled(old["default"], new, new_root) != _filled(new["default"], new, new_root)


def _filled(value: Json, schema: Json, root: Schema) -> Json:
    """The value as a reader of `schema` has it: fields that are left out are their defaults."""
    if isinstance(value, list):
        return [_filled(item, _flat(schema, root).get("items", {}), root) for item in value]
    shapes = [
        _object(shape.get("properties")) for shape in _alternatives(schema, root) if shape.get("type") == "object"
    ]
    if not isinstance(value, dict) or len(shapes) != 1:
        return value  # in a union of objects it is left as it stands: then every difference counts
    (fields,) = shapes
    flat = {name: _flat(field, root) for name, field in fields.items()}
    left_out = {name: field["default"] for name, field in flat.items() if "default" in field and name not in value}
    return {name: _filled(item, fields.get(name, {}), root) for name, item in (value | left_out).items()}


def _flat(schema: Json, root: Schema) -> Schema:
    """The schema with its reference followed."""
    found = _object(schema)
    while isinstance(reference := found.get("$ref"), str):
        target: Json = root
        for step in reference.removeprefix("#/").split("/"):
            target = _object(target)[step]
        found = {name: value for name, value in found.items() if name != "$ref"} | _object(target)
    return found


def _alternatives(schema: Json, root: Schema) -> list[Schema]:
    flat = _flat(schema, root)
    unions = flat.get("anyOf", flat.get("oneOf"))
    if not isinstance(unions, list):
        return [flat]
    return [alternative for member in unions for alternative in _alternatives(member, root)]


def _kind(schema: Schema) -> str:
    """What a reader sees on the wire: a fixed value, a tagged object by its tag, or a JSON type. Never a Struct's name."""
    if "const" in schema:
        return f"exactly {schema['const']!r}"
    if isinstance(values := schema.get("enum"), list):
        return "one of " + ", ".join(sorted(repr(value) for value in values))
    if schema.get("type") == "object":
        for tag_field in ("kind", "type"):
            tag = _object(_object(schema.get("properties")).get(tag_field))
            if "enum" in tag or "const" in tag:
                return f"an object whose {tag_field} is {tag.get('const', tag.get('enum'))}"
        return "an object"
    return str(schema.get("type", "anything"))


def _object(value: Json) -> Schema:
    return value if isinstance(value, dict) else {}


def _strings(value: Json) -> set[str]:
    return {item for item in value if isinstance(item, str)} if isinstance(value, list) else set()


def _is_more(new: Json, old: Json) -> bool:
    return isinstance(new, int | float) and (not isinstance(old, int | float) or new > old)


def _is_less(new: Json, old: Json) -> bool:
    return isinstance(new, int | float) and (not isinstance(old, int | float) or new < old)
