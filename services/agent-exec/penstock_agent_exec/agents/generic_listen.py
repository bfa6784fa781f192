"""Listening to an agent that a file describes: lines in, facts by its rules out.

The rule of this room: bounded, whatever is printed; and what nobody has a rule for is either said as text or is noise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, Literal, TypeAlias, assert_never

from msgspec.structs import replace

from penstock_agent_exec.agents.facts import (
    ANSWER_LENGTH_MAX,
    AnyFact,
    Finished,
    Garbage,
    Noise,
    Started,
    Text,
    Usage,
    shown,
)
from penstock_agent_exec.agents.generic_rules import Found, Rule, as_text, fact_of
from penstock_agent_exec.agents.json_lines import Object, json_object
from penstock_agent_exec.agents.vendor import Heard
from penstock_agent_exec.output import readable

DOCUMENT_BYTES_MAX: Final = 8 * 1024 * 1024
"""Of output that is one JSON document: what is longer is not read."""
TRIES_MAX: Final = 20
"""How often such a document is tried to be read in one run: each try reads all of it."""

Output: TypeAlias = Literal["text", "json", "json-lines"]


class Listening:
    """The dialogue of one run: its prompt at the start, `first`, and from then on only ears."""

    listens = False

    def __init__(self, first: bytes, output: Output, rules: tuple[Rule, ...], now: Callable[[], float]) -> None:
        self._first = first
        self._output = output
        self._rules = rules
        self._now = now
        self._session: Started | None = None
        self._answers = 0
        self._last_text = ""
        self._document = bytearray()
        self._tries = 0

    def begin(self) -> bytes:
        return self._first

    def hear(self, line: bytes) -> Heard:
        if not line.strip():
            return Heard()
        match self._output:
            case "text":
                said = readable(line)
                return Heard(self._facts(in_text(self._rules, said)) or (Text(text=shown(said)),))
            case "json-lines":
                found = json_object(line)
                return Heard((Garbage(text=shown(line)),) if found is None else self._of(found))
            case "json":
                return Heard(self._of_part(line))
            case _:
                assert_never(self._output)

    def say(self, text: str, message_id: str) -> bytes | None:
        return None

    def _of_part(self, line: bytes) -> tuple[AnyFact, ...]:
        """A document ends with its last brace, which stands at the beginning of a line unless all of it is one line: only there
        is it tried, for to try it at every brace would take long."""
        if len(self._document) + len(line) > DOCUMENT_BYTES_MAX:
            self._document.clear()
            return (Garbage(text=shown(line)),)
        begins = line.startswith(b"{")
        if begins and (found := json_object(line)) is not None:
            return self._of(found)
        if not begins and not self._document:
            return (Garbage(text=shown(line)),)
        self._document += line + b"\n"
        if not line.startswith(b"}") or self._tries >= TRIES_MAX:
            return ()
        self._tries += 1
        if (found := json_object(bytes(self._document))) is None:
            return ()
        self._document.clear()
        return self._of(found)

    def _of(self, document: Object) -> tuple[AnyFact, ...]:
        found = ((rule, taken) for rule in self._rules if (taken := rule.in_json(document)) is not None)
        return self._facts(found) or (Noise(kind="no rule"),)

    def _facts(self, found: Iterable[tuple[Rule, Found]]) -> tuple[AnyFact, ...]:
        """Of rules that say the same, the first that fits counts; a session is news once."""
        facts: dict[str, AnyFact] = {}
        for rule, taken in found:
            if rule.says in facts:
                continue
            fact = fact_of(rule, taken, self._now)
            if isinstance(fact, Started):
                if fact == self._session:
                    continue
                self._session = fact
            facts[rule.says] = self._in_its_place(fact, taken)
        return tuple(facts.values())

    def _in_its_place(self, fact: AnyFact, taken: Found) -> AnyFact:
        """With what only the lines before can tell: which answer it was, and what was said last."""
        if isinstance(fact, Text):
            self._last_text = shown(as_text(taken.get("text")), ANSWER_LENGTH_MAX)
        elif isinstance(fact, Usage) and not fact.message_id:
            self._answers += 1
            return replace(fact, message_id=f"#{self._answers}")
        elif isinstance(fact, Finished) and not fact.answer:
            return replace(fact, answer=self._last_text, text=shown(self._last_text))
        return fact


def in_text(rules: tuple[Rule, ...], line: str) -> list[tuple[Rule, Found]]:
    """Every rule that fits, with what it took."""
    return [(rule, taken) for rule in rules if (taken := rule.in_text(line)) is not None]
