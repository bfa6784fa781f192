"""Request bodies: bytes into a Struct, or a problem that names the field, what stood there and what would be right.

Rule of this room: one strict pass over the bytes. Whatever they are, the outcome is a value or a 4xx.
"""

from __future__ import annotations

import json
import re
from functools import cache
from typing import Final, TypeVar

import msgspec
from msgspec import Struct, inspect

from penstock import bounds
from penstock.bounds import clip
from penstock_api.problems import Problem, invalid

BODY_BYTES_MAX: Final = 256 * 1024
T = TypeVar("T", bound=Struct)

_PATH = re.compile(r" - at (?:`key` in )?`(?:key in )?\$\.?([^`]*)`$")
_NAMED = re.compile(r"(?:required|unknown) field `([^`]{1,200})`")

# A pattern is for machines: the same rule for people.
_IN_WORDS: Final = {
    bounds.NAME_PATTERN: "1 to 63 of a-z, 0-9, - and _, beginning with a letter or a digit",
    bounds.ID_PATTERN: "16 to 40 of a-z and 0-9",
    bounds.NO_NUL: "without NUL",
    r"^(?=[^\x00]*\S)[^\x00\r\n]*$": "on one line, not blank",
    r"^(?=[\s\S]*\S)[^\x00]*$": "not blank, without NUL",
    r"^([01][0-9]|2[0-3]):[0-5][0-9](?!\n)$": "a time of day such as 22:30",
}


def decode(body: bytes, content_type: str, kind: type[T]) -> T:
    """The body, which is not empty, as `kind`. Raises Problem."""
    # Anything else could be sent by a form on a stranger's page, without the browser asking first.
    if content_type != "application/json":
        raise Problem(
            415,
            "unsupported-media-type",
            f"the body is {clip(content_type, 100) or 'of no declared type'}",
            hint="send JSON with Content-Type: application/json",
        )
    try:
        value: T = _decoder(kind).decode(body)
    except msgspec.ValidationError as error:
        raise _field_problem(str(error), _any_json(body), kind) from error
    except _NO_JSON as error:
        raise _malformed(error) from error
    _each_name_once(body)
    return value


_NO_JSON: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError)


def _any_json(body: bytes) -> object:
    """The body without regard to what it should be. A field is only worth naming in a body that is JSON to its end."""
    try:
        return msgspec.json.decode(body)
    except _NO_JSON as error:
        raise _malformed(error) from error


def _each_name_once(body: bytes) -> None:
    """Raises Problem where an object has a name twice: readers of JSON differ in which of them counts, and whoever wrote
    `max_cost_usd` twice would learn by the bill which one did."""

    def checked(pairs: list[tuple[str, object]]) -> None:
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                raise invalid(clip(name, 200), "this field is given twice", hint="give it once")
            seen.add(name)

    # Numbers stay text: what they may be has been seen to, and Python refuses to read very long ones.
    json.loads(body, object_pairs_hook=checked, parse_int=str, parse_float=str)


def _malformed(error: Exception) -> Problem:
    reason = "it is nested too deeply" if isinstance(error, RecursionError) else clip(str(error), 200)
    return Problem(400, "malformed-json", f"the body is not the JSON that is expected here: {reason}")


@cache
def _decoder(kind: type[T]) -> msgspec.json.Decoder[T]:
    return msgspec.json.Decoder(kind)


def _field_problem(error: str, body: object, kind: type[Struct]) -> Problem:
    found = _PATH.search(error)
    path = found[1] if found else ""
    message = error[: found.start()] if found else error
    if named := _NAMED.search(message):
        path = f"{path}.{named[1]}" if path else named[1]
    hint = _expected(kind, path)
    return invalid(path, message, value=_value_at(body, path), hint=hint)


_STEP: Final = re.compile(r"\[(\d+|\.\.\.)\]|([^.\[\]]+)")


def _steps(path: str) -> list[str | int]:
    """`labels[3]` as `["labels", 3]`; an unnamed place is the first."""
    return [name or (int(index) if index != "..." else 0) for index, name in _STEP.findall(path)]


def _value_at(value: object, path: str) -> object:
    """What the client wrote at that path; None where that is not to be found."""
    for step in _steps(path):
        if isinstance(value, dict):
            value = value.get(step)
        elif isinstance(value, list) and isinstance(step, int) and step < len(value):
            value = value[step]
        else:
            return None
    return value


def _expected(kind: type[Struct], path: str) -> str:
    """What would be right at that path, in words; empty where there is nothing to say."""
    current: inspect.Type = inspect.type_info(kind)
    for step in _steps(path):
        current = _without_null(current)
        if isinstance(current, inspect.DictType):
            current = current.value_type
            continue
        if isinstance(step, int):
            if not isinstance(current, inspect.VarTupleType):
                return ""
            current = current.item_type
            continue
        if not isinstance(current, inspect.StructType):
            return ""
        fields = {field.name: field.type for field in current.fields}
        if step not in fields:
            return f"there are: {', '.join(fields)}"
        current = fields[step]
    return in_words(current)


def _without_null(type_: inspect.Type) -> inspect.Type:
    """What lies inside of an optional type, which alone can be gone into."""
    if isinstance(type_, inspect.Metadata):
        return _without_null(type_.type)
    if isinstance(type_, inspect.UnionType):
        parts = [part for part in type_.types if not isinstance(part, inspect.NoneType)]
        return parts[0] if len(parts) == 1 else type_
    return type_


def in_words(type_: inspect.Type) -> str:
    """A type and its bounds as a phrase: "a whole number from 1 to 9"."""
    if isinstance(type_, inspect.Metadata):
        return in_words(type_.type)
    if isinstance(type_, inspect.UnionType):
        return " or ".join(in_words(part) for part in type_.types)
    if isinstance(type_, inspect.NoneType):
        return "null"
    if isinstance(type_, inspect.BoolType):
        return "true or false"
    if isinstance(type_, inspect.LiteralType):
        return "one of: " + ", ".join(str(value) for value in type_.values)
    if isinstance(type_, inspect.IntType):
        return "a whole number" + _range(type_.ge, type_.le)
    if isinstance(type_, inspect.FloatType):
        return "a number" + _range(type_.ge, type_.le)
    if isinstance(type_, inspect.StrType):
        return _text_in_words(type_)
    if isinstance(type_, inspect.VarTupleType):
        most = "" if type_.max_length is None else f" of at most {type_.max_length}"
        return f"a list{most}, each entry " + in_words(type_.item_type)
    if isinstance(type_, inspect.DictType):
        return f"an object from {in_words(type_.key_type)} to {in_words(type_.value_type)}"
    if isinstance(type_, inspect.StructType):
        return "an object with " + ", ".join(field.name for field in type_.fields)
    return ""


def _text_in_words(type_: inspect.StrType) -> str:
    length = ""
    if type_.max_length is not None:
        length = f" of {type_.min_length or 0} to {type_.max_length} characters"
    rule = _IN_WORDS.get(type_.pattern or "", f"matching {type_.pattern}" if type_.pattern else "")
    return "text" + length + (f", {rule}" if rule else "")


def _range(low: float | None, high: float | None) -> str:
    from_ = "" if low is None else f" from {low:.16g}"
    return from_ + ("" if high is None else f" to {high:.16g}")
