"""The file that describes agents which Penstock does not know by itself: `[agents.<name>]` tables, in TOML.

The rule of this room: what is wrong in the file is refused at the start, by the name of its field and with what would be right;
a description that was read can be run without another look at it.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final, Literal, TypeAlias

import msgspec
from msgspec import Meta, Struct

from penstock.bounds import NAME_PATTERN
from penstock_agent_exec.agents.generic_rules import TAKES, BadRule, Condition, Pattern, Pointer, Rule, Says
from penstock_agent_exec.upstream import read_upstream

FILE_BYTES_MAX: Final = 1024 * 1024
ARGUMENTS_MAX: Final = 200
ARGUMENT_LENGTH_MAX: Final = 20_000
NO_CLASS_PATTERN: Final = r"^((vendor|agent)\.[a-z][a-z0-9_]{1,60})?(?!\n)$"
MEANING_PATTERN: Final = r"^(ok|(vendor|agent)\.[a-z][a-z0-9_]{1,60})(?!\n)$"
CODE_PATTERN: Final = r"^\d{1,3}(?!\n)$"
ABSOLUTE_PATTERN: Final = r"^/[^\x00]*$"
NO_PATH_PATTERN: Final = r"^(/[^\x00]*)?$"
VARIABLE_PATTERN: Final = r"^[A-Za-z_][A-Za-z0-9_]{0,99}(?!\n)$"
OK: Final = "ok"

Text: TypeAlias = Annotated[str, Meta(max_length=20_000, pattern=r"^[^\x00]*$")]
Full: TypeAlias = Annotated[str, Meta(min_length=1, max_length=20_000, pattern=r"^[^\x00]*$")]
Absolute: TypeAlias = Annotated[str, Meta(pattern=ABSOLUTE_PATTERN, max_length=1_000)]
Variable: TypeAlias = Annotated[str, Meta(pattern=VARIABLE_PATTERN)]
AbsoluteOrNone: TypeAlias = Annotated[str, Meta(pattern=NO_PATH_PATTERN, max_length=1_000)]
ClassOrNone: TypeAlias = Annotated[str, Meta(pattern=NO_CLASS_PATTERN)]
Meaning: TypeAlias = Annotated[str, Meta(pattern=MEANING_PATTERN)]
ExitCode: TypeAlias = Annotated[str, Meta(pattern=CODE_PATTERN)]
Argv: TypeAlias = tuple[tuple[str, ...], ...]
"""Arguments in groups, of one where none was made: a group is left out as a whole."""
# Its items are checked by hand: with a union of a text and a list in the type, msgspec 0.22.0 ended one process in four by
# SIGSEGV when it freed its types.
Written: TypeAlias = Annotated[tuple[object, ...], Meta(max_length=ARGUMENTS_MAX)]

OF_THE_TASK: Final = ("prompt", "model", "session_id", "max_turns")
"""Placeholders that stand alone, as a whole argument or value: whoever asks for a task chooses what is put there."""
OURS: Final = ("state_dir", "work_dir", "base_url", "token")
_BRACED: Final = re.compile(r"\{([a-z_]+)\}")


_RIGHT: Final = {
    repr(NO_CLASS_PATTERN): "a class of failure, such as vendor.rate_limit or agent.crashed",
    repr(MEANING_PATTERN): "ok, or a class of failure such as vendor.auth",
    repr(CODE_PATTERN): "an exit code",
    repr(ABSOLUTE_PATTERN): "an absolute path",
    repr(NO_PATH_PATTERN): "an absolute path",
    repr(VARIABLE_PATTERN): "the name of a variable",
}
"""What a pattern means, for whoever reads that something does not match it."""


class BadAgents(ValueError):
    """The file of agents cannot be used."""


class _Strict(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class VersionCheck(_Strict, frozen=True, kw_only=True):
    """How the program is asked for its version, where that stands in what it prints, and the least that will do."""

    argv: tuple[Full, ...] = ("--version",)
    pattern: Full = r"(\d+(?:\.\d+)+)"
    minimum: Annotated[str, Meta(pattern=r"^(\d{1,9}(\.\d{1,9}){0,5})?(?!\n)$")] = ""


class StopSignal(_Strict, frozen=True, kw_only=True):
    """A signal that asks the program to end, and how long it then has."""

    signal: Literal["SIGHUP", "SIGINT", "SIGQUIT", "SIGTERM", "SIGUSR1", "SIGUSR2"]
    grace_seconds: Annotated[float, Meta(ge=0, le=60)] = 5.0


class ModelTable(_Strict, frozen=True, kw_only=True):
    """The model behind the gate, and the file with the key to it; none where none is asked for."""

    dialect: Literal["anthropic", "responses", "chat", "gemini"]
    base_url: Full
    key_file: AbsoluteOrNone = ""
    key_header: Annotated[str, Meta(pattern=r"^([A-Za-z][A-Za-z0-9-]{0,63})?(?!\n)$")] = ""


class RuleTable(_Strict, frozen=True, kw_only=True):
    """One rule as it is written."""

    says: Says
    stream: Literal["stdout", "stderr"] = "stdout"
    when: dict[str, str | int | float | bool] = {}
    take: dict[str, Text] = {}
    match: Text = ""
    error_class: ClassOrNone = msgspec.field(default="", name="class")


class AgentTable(_Strict, frozen=True, kw_only=True):
    """One agent as it is written."""

    program: Full
    argv: Written = ()
    resume_argv: Written = ()
    reading_argv: Written = ()
    prompt: Literal["stdin", "argument"] = "stdin"
    visible: tuple[Absolute, ...] = ()
    env: dict[Variable, Text] = {}
    pass_env: tuple[Variable, ...] = ()
    output: Literal["text", "json", "json-lines"] = "text"
    rules: Annotated[tuple[RuleTable, ...], Meta(max_length=200)] = ()
    exit_codes: dict[ExitCode, Meaning] = {}
    stop: Annotated[tuple[StopSignal, ...], Meta(max_length=5)] = (StopSignal(signal="SIGTERM"),)
    session_files: tuple[Full, ...] = ()
    version: VersionCheck | None = None
    model: ModelTable | None = None


class Described(Struct, frozen=True, kw_only=True):
    """One agent, checked; `table` is what was written."""

    name: str
    table: AgentTable
    argv: Argv
    resume_argv: Argv
    reading_argv: Argv
    rules: tuple[Rule, ...]
    stderr_rules: tuple[Rule, ...]
    version: Pattern | None
    exit_codes: Mapping[int, str]


def read_agents(path: Path, known: tuple[str, ...]) -> dict[str, Described]:
    """The agents of the file by name. `known` are names that are taken. Raises BadAgents."""
    try:
        content = path.read_bytes()
        if len(content) > FILE_BYTES_MAX:
            raise BadAgents(f"{path} has more than {FILE_BYTES_MAX} bytes")
        tables = tomllib.loads(content.decode())
    except OSError as error:
        raise BadAgents(f"{path} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadAgents(f"{path} is not TOML: {error}") from error
    agents = tables.get("agents")
    if set(tables) != {"agents"} or not isinstance(agents, dict):
        raise BadAgents(f"{path} has tables named [agents.<name>] and nothing else")
    return {name: _described(path, name, table, known) for name, table in agents.items()}


def _described(path: Path, name: str, given: object, known: tuple[str, ...]) -> Described:
    where = f"{path}: agents.{name}"
    if re.match(NAME_PATTERN, name) is None:
        raise BadAgents(f"{where}: an agent's name has 1-63 of a-z, 0-9, - and _")
    if name in known or name.split("-")[0] == "scripted":
        raise BadAgents(f"{where}: there is an agent of this name already; give another one")
    try:
        table = msgspec.convert(given, AgentTable)
    except msgspec.ValidationError as error:
        raise BadAgents(f"{where}{_in_words(str(error))}") from error
    try:
        argvs = _argvs(table)
        _check_env(table)
        _check_model(table)
        rules = tuple((rule.stream, _rule(table, rule, f"rules[{at}]")) for at, rule in enumerate(table.rules))
        return Described(
            name=name,
            table=table,
            **argvs,
            rules=tuple(rule for stream, rule in rules if stream == "stdout"),
            stderr_rules=tuple(rule for stream, rule in rules if stream == "stderr"),
            version=_version(table),
            exit_codes={0: OK} | {int(code): meaning for code, meaning in table.exit_codes.items()},
        )
    except BadRule as error:
        raise BadAgents(f"{where}.{error}") from error


def _in_words(error: str) -> str:
    """msgspec's sentence, the field first: `.program: Expected `str`, got `int``."""
    found = re.fullmatch(r"(?P<what>.*?)(?: - at `(?:key in )?\$(?P<path>.*)`)?", error, re.DOTALL)
    assert found is not None
    expected = re.fullmatch(r"Expected `str` matching regex (?P<pattern>'.*')", found["what"], re.DOTALL)
    what = _RIGHT.get(expected["pattern"]) if expected is not None else None
    return f"{found['path'] or ''}: {f'must be {what}' if what else found['what']}"


def _argvs(table: AgentTable) -> dict[str, Argv]:
    """The three lists of arguments by their fields. Raises BadRule."""
    found: dict[str, Argv] = {}
    for field in ("argv", "resume_argv", "reading_argv"):
        given: tuple[object, ...] = getattr(table, field)
        groups = tuple(_group(f"{field}[{at}]", part) for at, part in enumerate(given))
        words = [word for group in groups for word in group]
        for word in words:
            for name in _BRACED.findall(word):
                _check_placeholder(field, name, whole=word == f"{{{name}}}", alone=True)
        if (given or field == "argv") and (table.prompt == "argument") != ("{prompt}" in words):
            said = "has no {prompt}" if table.prompt == "argument" else "has a {prompt}"
            raise BadRule(
                f'{field}: {said}, and the prompt is given by {table.prompt} (prompt = "stdin" or "argument")'
            )
        found[field] = groups
    return found


def _group(field: str, part: object) -> tuple[str, ...]:
    """An argument, or several that belong together. Raises BadRule."""
    words = part if isinstance(part, list) else [part]
    for word in words:
        if not isinstance(word, str):
            raise BadRule(f"{field}: an argument is a text, or a list of texts that belong together, not {word!r}")
        if "\x00" in word or len(word) > ARGUMENT_LENGTH_MAX:
            raise BadRule(f"{field}: an argument has at most {ARGUMENT_LENGTH_MAX} characters, and no NUL among them")
    return tuple(words)


def _check_env(table: AgentTable) -> None:
    """Raises BadRule."""
    for name, value in table.env.items():
        for placeholder in _BRACED.findall(value):
            if placeholder == "prompt":
                raise BadRule(
                    f"env.{name}: a prompt does not belong into the environment; give it by stdin or argument"
                )
            if placeholder in (*OF_THE_TASK, *OURS):
                _check_placeholder(f"env.{name}", placeholder, whole=value == f"{{{placeholder}}}", alone=False)
    if not table.model and any("{base_url}" in value for value in table.env.values()):
        raise BadRule("env: {base_url} is the model's address, and there is no table `model`")
    if secret := next((name for name in table.pass_env if name.startswith("PENSTOCK_")), None):
        raise BadRule(f"pass_env: {secret} is not for agents to see; leave it out")


def _check_placeholder(field: str, name: str, *, whole: bool, alone: bool) -> None:
    """Raises BadRule for one that there is not, or that has to stand alone. `alone`: all have to, here."""
    if name not in (*OF_THE_TASK, *OURS):
        known = ", ".join(f"{{{one}}}" for one in (*OF_THE_TASK, *OURS))
        raise BadRule(f"{field}: there is no placeholder {{{name}}}; there are {known}")
    if not whole and (alone or name in OF_THE_TASK):
        raise BadRule(f"{field}: {{{name}}} must be the whole of it; nothing may stand before or behind")


def _check_model(table: AgentTable) -> None:
    """Raises BadRule."""
    if (model := table.model) is None:
        return
    try:
        read_upstream(model.base_url)
    except ValueError as error:
        raise BadRule(f"model.base_url: {error}") from error


def _rule(table: AgentTable, given: RuleTable, field: str) -> Rule:
    """Raises BadRule."""
    by_text = given.stream == "stderr" or table.output == "text"
    if by_text and (given.when or given.take or not given.match):
        raise BadRule(f"{field}: text is read by `match`, a pattern with named groups, and not by `when` and `take`")
    if not by_text and (given.match or not (given.when or given.take)):
        raise BadRule(f"{field}: JSON is read by `when` and `take`, paths such as /type, and not by `match`")
    if given.error_class and given.says not in ("error", "limit"):
        raise BadRule(f"{field}.class: only what says `error` or `limit` has one")
    try:
        match = Pattern(given.match) if by_text else None
    except BadRule as error:
        raise BadRule(f"{field}.match: {error}") from error
    takes = match.names if match is not None else tuple(given.take)
    if unknown := [name for name in takes if name not in TAKES[given.says]]:
        right = ", ".join(TAKES[given.says])
        raise BadRule(f"{field}: what says `{given.says}` takes no `{unknown[0]}`; it may take {right}")
    return Rule(
        says=given.says,
        error_class=given.error_class,
        when=tuple(_condition(field, path, wanted) for path, wanted in given.when.items()),
        take={name: _pointer(f"{field}.take.{name}", path) for name, path in given.take.items()},
        match=match,
    )


def _condition(field: str, path: str, wanted: str | int | float | bool) -> Condition:
    try:
        return Condition(path, wanted)
    except BadRule as error:
        raise BadRule(f"{field}.when.{path!r}: {error}") from error


def _pointer(field: str, path: str) -> Pointer:
    try:
        return Pointer(path)
    except BadRule as error:
        raise BadRule(f"{field}: {error}") from error


def _version(table: AgentTable) -> Pattern | None:
    if table.version is None:
        return None
    try:
        return Pattern(table.version.pattern)
    except BadRule as error:
        raise BadRule(f"version.pattern: {error}") from error
