"""Where one scenario is played: the whole of Penstock, a remote with a real package in it, and a model that follows a script.

The rule of this room: what is noted was looked up in the log, at the remote or in the model's requests, never assumed.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from fake_model import FakeModel, Script
from orchestrator_fixtures import tags
from real_package import COMMAND, FILE, RIGHT
from whole import REAL_KEY, Remote, Whole, git

from penstock.events import AgentFailed, AgentRequested, AgentSucceeded, KnownEvent, Recorded

E = TypeVar("E", bound=KnownEvent)
TITLE: Final = "get_bool_opt must say True for yes"


@dataclass
class Stand:
    """One program's. `checks`: what was looked at in the scenario at hand, and whether it was as expected."""

    vendor: str
    house: Whole
    model: FakeModel
    remote: Remote
    checks: list[tuple[str, bool]] = field(default_factory=list)
    seen: list[str] = field(default_factory=list)

    def check(self, what: str, good: bool) -> None:
        self.checks.append((what, good))

    def see(self, what: str) -> None:
        self.seen.append(what)

    async def submit(self, script: Script, **more: Any) -> str:
        self.model.script = script
        model = "gemini-2.5-pro" if self.vendor == "gemini" else "gpt-5" if self.vendor == "codex" else "some-model"
        model = "claude-sonnet-4-5" if self.vendor == "claude" else model
        plain: dict[str, Any] = {"repo": "pygments", "title": TITLE, "vendor": self.vendor, "model": model}
        return await self.house.submit(**(plain | more))

    async def until(self, task: str, tag: str) -> list[Recorded]:
        return await self.house.until(task, lambda event: tags(event) == tag)

    async def done(self, task: str) -> list[Recorded]:
        """The task's whole log; and that it has come to what was asked for, once."""
        events = await self.house.until(task)
        self.check("the task succeeded", tags(events[-1]) == "task_succeeded")
        self.check("its checks passed", "verify_succeeded" in [tags(event) for event in events])
        branch = f"agent/{task}"
        pushed = self.remote.branches().get(branch)
        mended = pushed is not None and RIGHT in git(self.remote.path, "show", f"{branch}:{FILE}")
        self.check("the branch on the remote holds the mended function", mended)
        lines = [line for line in self.remote.pushes if line.endswith(f"refs/heads/{branch}")]
        self.check("pushed once", len(lines) == 1)
        self.no_key()
        return events

    def no_key(self) -> None:
        told = any(REAL_KEY in seen.text or REAL_KEY in seen.target for seen in self.model.requests)
        asked = [seen for seen in self.model.requests if seen.step is not None]
        shown = all(any(REAL_KEY in value for value in seen.headers.values()) for seen in asked)
        self.check("the key was put in outside, and no agent has seen it", bool(asked) and shown and not told)

    def probed(self) -> dict[str, str]:
        """What the probe that the agent ran has printed."""
        text = "\n".join(seen.raw.decode(errors="replace") for seen in self.model.requests)
        return {name: value for name, value in re.findall(r"PROBE (\w+)=([^\\\n\"]*)", text) if "{" not in value}


def of_type(events: list[Recorded], kind: type[E]) -> list[E]:
    return [event.data for event in events if isinstance(event.data, kind)]


def sessions(events: list[Recorded]) -> list[str]:
    """Of each run that has ended by its own word: the session it was in."""
    return [one.session_id for event in events if isinstance(one := event.data, AgentSucceeded | AgentFailed)]


def runs(events: list[Recorded]) -> list[AgentRequested]:
    return of_type(events, AgentRequested)


async def add_repo(stand: Stand) -> None:
    await stand.house.add_repo("pygments", str(stand.remote.path), test=COMMAND)


Wanted = Callable[[Recorded], bool]
