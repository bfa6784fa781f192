"""Settings: one TOML file and `PENSTOCK_…` environment variables into one frozen Struct per service.

Rule of this room: a service refuses to start on a setting that is missing, misspelled, out of bounds or a placeholder, and
says which one. Precedence: `PENSTOCK_X_FILE`, then `PENSTOCK_X`, then the file's `[service]` table, then its `[common]`.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal, TypeVar, get_args, get_origin

import msgspec
from msgspec import Struct

PREFIX: Final = "PENSTOCK_"
PLACEHOLDERS: Final = frozenset(
    {"changeme", "change-me", "change_me", "placeholder", "secret", "password", "xxx", "todo"}
)
LOG_LEVELS: Final = ("debug", "info", "warning", "error", "critical")
S = TypeVar("S", bound=Struct)


class BadSettings(ValueError):
    """The settings do not let this service start."""


class Secret:
    """A value that does not print. `.reveal()` where it is used, and nowhere else."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        return self._value

    def __repr__(self) -> str:
        return "Secret(***)"

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)


class Common(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every service needs. `admin_port` 0 picks a free one and writes it into the log."""

    nats_url: str = "nats://127.0.0.1:4222"
    nats_user: str = ""
    nats_password: Secret = Secret("")
    admin_host: str = "127.0.0.1"
    admin_port: int = 0
    log_level: str = "info"


def load(kind: type[S], service: str, environ: Mapping[str, str]) -> S:
    """The settings of `service`. Raises BadSettings with the setting's name and what would be right."""
    names = {field.name for field in msgspec.structs.fields(kind)}
    values: dict[str, object] = _from_file(environ.get(PREFIX + "CONFIG", ""), service, names)
    for name in names:
        variable = PREFIX + name.upper()
        if (given := _from_environ(environ, variable)) is not None:
            values[name] = given
    for name, value in values.items():
        if isinstance(value, str) and value.strip().lower() in PLACEHOLDERS:
            raise BadSettings(f"{PREFIX}{name.upper()} is a placeholder ({value!r}): set a real value")
    try:
        found = msgspec.convert(values, kind, strict=False, dec_hook=_secret)
    except msgspec.ValidationError as error:
        raise BadSettings(_in_words(str(error), kind)) from error
    if isinstance(found, Common) and found.log_level.lower() not in LOG_LEVELS:
        raise BadSettings(
            f"{PREFIX}LOG_LEVEL: there is no level {found.log_level!r}; there are: {', '.join(LOG_LEVELS)}"
        )
    return found


def _in_words(error: str, kind: type[Struct]) -> str:
    """msgspec's sentence, with the variable's name in front instead of a path behind or a field within; and the values that
    there are, where they can be counted."""
    found = re.fullmatch(r"(?P<what>.*) - at `\$\.(?P<name>\w+).*`", error)
    if found is None:
        found = re.fullmatch(r"Object (?P<what>missing required|contains unknown) field `(?P<name>\w+)`", error)
    if found is None:
        return error
    what = {"missing required": "is missing", "contains unknown": "is not a setting"}.get(
        found["what"], found["what"].replace("`", "")
    )
    types = {field.name: field.type for field in msgspec.structs.fields(kind)}
    values = get_args(types.get(found["name"])) if get_origin(types.get(found["name"])) is Literal else ()
    there_are = f"; there are: {', '.join(map(str, values))}" if values else ""
    return f"{PREFIX}{found['name'].upper()}: {what}{there_are}"


def _from_environ(environ: Mapping[str, str], variable: str) -> str | None:
    path = environ.get(variable + "_FILE")
    if path is None:
        return environ.get(variable)
    if variable in environ:
        raise BadSettings(f"both {variable} and {variable}_FILE are set: keep one of them")
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise BadSettings(f"{variable}_FILE names {path}, which cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise BadSettings(f"{variable}_FILE names {path}, which is not text") from error


def _from_file(path: str, service: str, names: set[str]) -> dict[str, object]:
    if not path:
        return {}
    try:
        tables = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise BadSettings(f"{PREFIX}CONFIG names {path}, which cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadSettings(f"{path} is not TOML: {error}") from error
    if homeless := next((name for name, value in tables.items() if not isinstance(value, dict)), None):
        raise BadSettings(f"{path}: {homeless!r} stands in no table: put it below [common] or [{service}]")
    common, own = tables.get("common", {}), tables.get(service, {})
    if unknown := sorted(set(own) - names):
        raise BadSettings(
            f"{path}: [{service}] has no setting named {unknown[0]!r}; there are: {', '.join(sorted(names))}"
        )
    return {name: value for name, value in common.items() if name in names} | dict(own)


def _secret(kind: type, value: object) -> object:
    if kind is not Secret:
        raise NotImplementedError(f"settings of type {kind}")
    if not isinstance(value, str):
        raise TypeError(f"Expected str, got {type(value).__name__}")
    return Secret(value)


def environment() -> Mapping[str, str]:
    """The process's environment; here so that it is read in one place."""
    return os.environ
