"""A model's API without a model: it speaks the Anthropic Messages wire format and plays a script, for tests and trials.

    async with FakeModel(script(Say("hello"))) as model:
        ... point an agent at model.base_url ...
        assert model.requests[0].step == 0

`python -m fake_model --script file.json --port-file path` is the same as a program.
"""

from fake_model.script import (
    Break,
    Call,
    Calls,
    Conversation,
    Fail,
    Hang,
    Say,
    Script,
    Step,
    Tokens,
    Tries,
    bash,
    context_too_long,
    load_script,
    script,
    write_file,
)
from fake_model.server import FakeModel, Seen

__all__ = [
    "Break",
    "Call",
    "Calls",
    "Conversation",
    "Fail",
    "FakeModel",
    "Hang",
    "Say",
    "Script",
    "Seen",
    "Step",
    "Tokens",
    "Tries",
    "bash",
    "context_too_long",
    "load_script",
    "script",
    "write_file",
]
