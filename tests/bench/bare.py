"""The contract's types with every bound taken off: what msgspec would decode into if it checked nothing.

Rule of this room: same names, tags and fields, so that the same bytes decode; made new, since a bound is part of a type.
"""

from __future__ import annotations

import functools
import operator
import types
import typing

import msgspec
from msgspec import Struct

Made = dict[object, object]


def unbounded(type_: object) -> msgspec.json.Decoder[object]:
    """A decoder of the same bytes that looks at no length, no pattern and no range."""
    return msgspec.json.Decoder(typing.cast("type[object]", _unbounded(type_, {})))


def _unbounded(type_: object, made: Made) -> object:
    origin, arguments = typing.get_origin(type_), typing.get_args(type_)
    if origin is typing.Annotated:
        return _unbounded(arguments[0], made)
    if origin in (typing.Union, types.UnionType):
        return functools.reduce(operator.or_, (_unbounded(argument, made) for argument in arguments))
    if origin is tuple:
        return types.GenericAlias(tuple, tuple(a if a is ... else _unbounded(a, made) for a in arguments))
    cls = origin or type_
    if not isinstance(cls, type) or not issubclass(cls, Struct):
        return type_
    if type_ not in made:
        made[type_] = _twin(type_, cls, made)
    return made[type_]


def _twin(type_: object, cls: type[Struct], made: Made) -> type[Struct]:
    config = cls.__struct_config__
    fields: list[tuple[str, object] | tuple[str, object, None]] = []
    for info in msgspec.structs.fields(typing.cast("type[Struct]", type_)):
        plain = _unbounded(info.type, made)
        fields.append((info.name, plain) if info.required else (info.name, plain, None))
    return msgspec.defstruct(
        cls.__name__,
        typing.cast("list[str]", fields),  # the stub knows no tuple of a computed type
        kw_only=True,
        frozen=True,
        tag=config.tag,
        tag_field=config.tag_field,
    )
