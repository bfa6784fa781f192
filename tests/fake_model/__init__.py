"""A model's API without a model: by the path it speaks one of four wire formats, and it plays a script, for tests and trials.

    async with FakeModel(script(Say("hello"))) as model:
        ... point an agent at model.base_url ...
        assert model.requests[0].step == 0

The formats: Anthropic Messages (.../v1/messages), OpenAI Responses (.../responses), OpenAI chat completions
(.../chat/completions), Gemini (...:streamGenerateContent).

`python -m fake_model --script file.json --port-file path` is the same as a program.
"""

from fake_model.http import Seen
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
    Why,
    bash,
    context_too_long,
    edit_file,
    endless,
    load_script,
    read_file,
    refused,
    script,
    write_file,
)
from fake_model.server import FakeModel, Steps

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
    "Steps",
    "Tokens",
    "Tries",
    "Why",
    "bash",
    "context_too_long",
    "edit_file",
    "endless",
    "load_script",
    "read_file",
    "refused",
    "script",
    "write_file",
]
