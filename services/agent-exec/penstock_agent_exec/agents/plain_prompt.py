"""A prompt that is only words, for Gemini CLI and for Qwen Code, which grew out of it.

The rule of this room: a task's text was written by anybody. Both programs put the file or the folder that follows an `@` into
the prompt, and take a first line with a slash for a command, of the repo's own where it has one.
"""

from __future__ import annotations

import re
from typing import Final

from penstock_agent_exec.agents.vendor import RunRefused

PROMPT_BYTES_MAX: Final = 8 * 1024 * 1024
"""Of their standard input they read no more, and one of them then ends at once and says that all is well."""

_AT: Final = re.compile(r"(?<!\\)@(?=[^\s,;!?()\[\]{}])")
_AT_NOTE: Final = r"(Wherever \@ stands below, a plain @ is meant.)"


def plain_prompt(said: str) -> bytes:
    """`said` as standard input. Raises RunRefused where it is too long."""
    escaped, found = _AT.subn(r"\\@", said)
    if found:
        escaped = f"{_AT_NOTE}\n{escaped}"
    elif escaped.lstrip().startswith("/"):
        escaped = f"Task:\n{escaped}"
    prompt = escaped.encode(errors="replace")
    if len(prompt) > PROMPT_BYTES_MAX:
        raise RunRefused("vendor.context_overflow", f"the prompt has {len(prompt)} bytes of at most {PROMPT_BYTES_MAX}")
    return prompt
