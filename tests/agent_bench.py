"""A place for one agent to work in, for tests: a real repo, a state directory, the gate, and everything that was said."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from fake_model import FakeModel
from patience import WAIT_SECONDS_MAX

from penstock.settings import Secret
from penstock_agent_exec.agents.facts import AnyFact
from penstock_agent_exec.agents.run import Outcome, Steering, run_agent
from penstock_agent_exec.agents.vendor import AgentRun, Vendor
from penstock_agent_exec.broker.account import Account
from penstock_agent_exec.broker.budget import RunBudget
from penstock_agent_exec.broker.dialect import Dialect
from penstock_agent_exec.broker.gate import ModelGate
from penstock_agent_exec.process import Watch
from penstock_agent_exec.sandbox import Bind, Profile, python_binds

KEY = "sk-the-real-key-of-the-account"
WORK, STATE = "/workspace/repo", "/workspace/state"
SILENCES_SECONDS: Final = (4.0, 20.0, 100.0)
ASKED_SECONDS: Final = 3.0
"""So soon every program has asked its model where it is the only one at work."""


def git(folder: Path, *words: str) -> str:
    """What git prints."""
    return subprocess.run(["git", "-C", str(folder), *words], capture_output=True, text=True, check=True).stdout


class Bench:
    """`attempt` is one run of `vendor` on the repo; runs of one bench share its session id and its state. `asked_seconds`: how
    long the last one took to ask its model for the first time, which says how slow this machine is right now."""

    def __init__(
        self,
        vendor: Vendor,
        folder: Path,
        socket_folder: Path,
        *,
        dialect: Dialect = Dialect.ANTHROPIC,
        model: str = "claude-sonnet-5",
    ) -> None:
        self.vendor = vendor
        self.dialect = dialect
        self.repo = folder / "repo"
        self.state = folder / "state"
        self.socket = socket_folder / "model.sock"
        self.run = AgentRun(
            prompt="Do it.",
            session_id=str(uuid.uuid4()),
            model=model,
            state_dir=STATE,
            work_dir=WORK,
            base_url=f"unix:{self.socket}",
        )
        self.facts: list[AnyFact] = []
        self.output_bytes = 0
        self.asked_seconds = 0.0
        self.steering = Steering()
        self._news = asyncio.Condition()
        self.state.mkdir()
        self.repo.mkdir()
        git(self.repo, "init", "-q", "-b", "main")
        git(self.repo, "config", "user.name", "Agent")
        git(self.repo, "config", "user.email", "agent@example.org")
        (self.repo / "README.md").write_text("# sample\n")
        git(self.repo, "add", "-A")
        git(self.repo, "commit", "-q", "-m", "first")

    async def attempt(
        self,
        fake: FakeModel | None,
        /,
        prompt: str = "Do it.",
        *,
        watch: Watch | None = None,
        budget: RunBudget | None = None,
        account: Account | None = None,
        egress: Path | None = None,
        **changes: object,
    ) -> Outcome:
        """One run, with a gate to `fake` where the run is to use one. `changes` are fields of AgentRun."""
        run = dataclasses.replace(self.run, prompt=prompt, **changes)  # type: ignore[arg-type]  # fields by name
        work = Bind(self.repo, WORK, writable=not run.reads_only)
        binds = (work, Bind(self.state, STATE, writable=True), *python_binds())
        async with contextlib.AsyncExitStack() as stack:
            gate = None
            if fake is not None and run.gate_socket is not None:
                upstream = fake.base_url + self.dialect.path_inside
                gate = ModelGate(
                    self.socket,
                    upstream=upstream,
                    key=Secret(KEY),
                    dialect=self.dialect,
                    budget=budget,
                    account=account,
                )
                stack.enter_context(self._asking(fake))
                await stack.enter_async_context(gate)
            return await run_agent(
                self.vendor,
                run,
                profile=Profile(cwd=WORK, binds=binds),
                watch=watch or Watch(wall_seconds=600),
                on_facts=self._keep,
                on_output=self._count,
                steering=self.steering,
                gate=gate,
                egress=egress,
            )

    async def stalled(self, fake: FakeModel) -> Outcome:
        """A run that fell silent after it had asked its model. One that was not even that far is tried again with more time."""
        for silence_seconds in SILENCES_SECONDS:
            watch = Watch(wall_seconds=600, silence_seconds=silence_seconds)
            outcome = await self.attempt(fake, watch=watch, session_id=str(uuid.uuid4()))
            if fake.model_requests:
                return outcome
        raise AssertionError(f"it has asked for nothing: {outcome}")

    def seconds(self, on_a_quick_machine: float) -> float:
        """How long something after the first request of the last run may take."""
        return self.asked_seconds + on_a_quick_machine * max(1.0, self.asked_seconds / ASKED_SECONDS)

    @contextlib.contextmanager
    def _asking(self, fake: FakeModel) -> Iterator[None]:
        loop, count = asyncio.get_running_loop(), len(fake.model_requests)
        began = loop.time()

        async def note() -> None:
            await fake.arrived(count + 1, within_seconds=3_600)
            self.asked_seconds = loop.time() - began

        noting = asyncio.create_task(note())
        try:
            yield
        finally:
            noting.cancel()

    async def heard(self, wanted: type[AnyFact], within_seconds: float = WAIT_SECONDS_MAX) -> None:
        """Wait for a fact of this kind. Raises TimeoutError."""
        async with asyncio.timeout(within_seconds), self._news:
            await self._news.wait_for(lambda: any(isinstance(fact, wanted) for fact in self.facts))

    async def _keep(self, facts: tuple[AnyFact, ...]) -> None:
        async with self._news:
            self.facts += facts
            self._news.notify_all()

    async def _count(self, _stream: str, chunk: bytes) -> None:
        self.output_bytes += len(chunk)
