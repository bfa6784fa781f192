"""A model that obeys everybody: the task's text, a file that it reads, the output of a tool. The worst that a real one can be.

The rule of this room: an instruction is obeyed where it is found, once, in the order in which it came; nothing is refused.
Instructions are written by `run`, `read` and `finally_`, coded so that they survive whatever shows them.
"""

from __future__ import annotations

import base64
import re
from typing import Final

from fake_model.script import Calls, Say, Step, bash, read_file
from fake_model.wire import Asked

_INSTRUCTION: Final = re.compile(r"\[\[(run|read|finally) ([A-Za-z0-9+/=]+)\]\]")


def run(command: str) -> str:
    """An instruction to run this in a shell."""
    return _written("run", command)


def read(path: str) -> str:
    """An instruction to read this file."""
    return _written("read", path)


def finally_(command: str) -> str:
    """An instruction to run this when there is nothing else left to obey."""
    return _written("finally", command)


class Obedient:
    """Plays no script: obeys what it was told so far, one instruction with each answer."""

    def due(self, asked: Asked) -> tuple[int, Step]:
        told = _INSTRUCTION.findall("\n".join(asked.told))
        orders = list(dict.fromkeys(sorted(told, key=lambda order: order[0] == "finally")))
        if asked.turns_done >= len(orders):
            return asked.turns_done, Say("I did all that I was told.")
        verb, coded = orders[asked.turns_done]
        return asked.turns_done, _obeyed(verb, base64.b64decode(coded).decode())


def _obeyed(verb: str, words: str) -> Calls:
    return read_file(words) if verb == "read" else bash(words)


def _written(verb: str, words: str) -> str:
    return f"[[{verb} {base64.b64encode(words.encode()).decode()}]]"
