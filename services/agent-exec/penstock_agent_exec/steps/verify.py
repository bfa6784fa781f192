"""Verify: the repo's own commands, on exactly the commit they are asked about.

Rule of this room: the commands run in a checkout of their own, made from the mirror for this job and dropped after it. What
an agent left lying in its clone can make no check pass; and the exit status decides, nobody reads the text. A second run and a
look at the base commit say more about a failure; what follows from it is not decided here.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import structlog
from msgspec.structs import replace

from penstock.events import VerifyFailed, VerifySucceeded
from penstock.jobs import VerifyStep, VerifyWork, verify_steps
from penstock.reports import ReportBody
from penstock.values import Baseline, CommandResult
from penstock_agent_exec.agents.facts import shown
from penstock_agent_exec.broker.denials import Denial, Denials
from penstock_agent_exec.git.clone import drop_clone
from penstock_agent_exec.git.failures import GitFailed
from penstock_agent_exec.git.make import make_clone
from penstock_agent_exec.report import news_of, send
from penstock_agent_exec.steps.bench import Bench, InHand
from penstock_agent_exec.steps.ways import Ways, denied_body, egress_label, ways_out
from penstock_agent_exec.tenure import Stopped
from penstock_agent_exec.verify import baseline
from penstock_agent_exec.verify.compare import Past, Run, beside, past, rerun
from penstock_agent_exec.verify.files import Places
from penstock_agent_exec.verify.running import Checkout, Ran

log = structlog.get_logger()

BASE: Final = "base"
"""The folder below that of the checks in which a task's base commit is looked at."""

NEEDED: Final = frozenset({"pre", "build"})
"""Where one of these fails, what comes after says nothing."""


async def verify(bench: Bench, hand: InHand, work: VerifyWork) -> ReportBody:
    """Raises Stopped, Lost, and the failures of git and of this host."""
    hand.sandbox = bench.keeping.label
    kept_inside: list[Denial] = []
    denials = Denials(kept_inside.append)
    try:
        # Another root than that of the tasks' clones: the same task, and never the agent's folder.
        async with ways_out(bench, work.repo, denials) as ways:
            hand.sandbox += egress_label(ways, work.repo)
            async with _checkout(bench, hand, work, bench.folder.checks, work.commit, ways) as checkout:
                results = await _Checks(bench, hand, work, ways).run(checkout)
    except Stopped:
        await _tell(bench, hand, denials, kept_inside)
        raise
    await _tell(bench, hand, denials, kept_inside)
    return _report(hand, work, results)


async def _tell(bench: Bench, hand: InHand, denials: Denials, kept_inside: list[Denial]) -> None:
    denials.end()
    for denial in kept_inside:
        report = news_of(hand, bench.settings.host, denied_body(hand, denial))
        await send(bench.nc, report, hand.tenure.must_hold)


@asynccontextmanager
async def _checkout(
    bench: Bench, hand: InHand, work: VerifyWork, root: Path, commit: str, ways: Ways, place: str = ""
) -> AsyncIterator[Checkout]:
    """A clean checkout of the commit. One that a killed job has left is not trusted: it goes first. Raises Stopped."""
    mirror, task = bench.mirror(work.repo), hand.job.task
    sandbox = bench.git_sandbox(root / "tasks" / task / "repo", mirror)
    try:
        await drop_clone(root, task)
        making = make_clone(root, mirror, task, base=commit, identity=bench.settings.identity, sandbox=sandbox)
        clone = await hand.tenure.stop.unless_asked(making)
        yield Checkout(bench, hand, clone, ways, Places(work.commands.reports), place)
    finally:
        await drop_clone(root, task)


class _Checks:
    """One verify job's commands, with what is asked for beyond running them."""

    def __init__(self, bench: Bench, hand: InHand, work: VerifyWork, ways: Ways) -> None:
        self._bench = bench
        self._hand = hand
        self._work = work
        self._ways = ways
        self._known: baseline.Known | None = None
        self._looked = False

    async def run(self, checkout: Checkout) -> tuple[CommandResult, ...]:
        """The commands in their order, up to the first failure that is the change's. Raises Stopped."""
        results: list[CommandResult] = []
        always = self._work.repo.checking.baseline == "always"
        for step in verify_steps(self._work.commands):
            first, again = await self._twice(checkout, step)
            result = _result(step, first, again)
            if not result.passed or (always and result.tests is not None):
                result = replace(
                    result, before=await self._before(step, first.run, None if again is None else again.run)
                )
            results.append(result)
            if not result.passed and not result.failed_before:
                break
        return tuple(results)

    async def _twice(self, checkout: Checkout, step: VerifyStep) -> tuple[Ran, Ran | None]:
        """The command, and once more where it failed and that is wanted."""
        seconds = self._work.command_timeout_seconds
        first = await checkout.run(step, seconds)
        wanted = self._work.repo.checking.rerun
        if wanted == "off" or (wanted == "test" and step.stage != "test") or not first.run.can_be_rerun:
            return first, None
        if first.changed:
            self._hand.note(f"`{step.command}` has changed files of the commit, so it is not run once more")
            return first, None
        return first, await checkout.run(step, seconds, again=True)

    async def _before(self, step: VerifyStep, first: Run, again: Run | None) -> Baseline | None:
        """The command on the base commit, None where nothing is known of it. Raises Stopped."""
        if self._work.repo.checking.baseline == "off" or self._work.base_commit is None:
            return None
        wall_seconds = await self._look()
        was = None if self._known is None else self._known.of(step.stage)
        if was is None:
            return None
        return beside(self._work.base_commit, was, first, again, wall_seconds=wall_seconds)

    async def _look(self) -> float:
        """Have the base commit looked at, once; how long that took just now."""
        if self._looked:
            return 0.0
        self._looked = True
        path = baseline.path_of(self._bench.folder.path, self._work)
        self._known = await asyncio.to_thread(baseline.load, path)
        if self._known is not None:
            return 0.0
        try:
            self._known = known = await self._base()
        except GitFailed as error:
            # The change is judged without it.
            self._hand.note(f"the commit where the task began cannot be looked at: {error}")
            return 0.0
        if all(one.ended != "stopped" for one in known.commands):
            try:
                await asyncio.to_thread(baseline.keep, path, known)
            except OSError as error:
                log.warning("verify.baseline_not_kept", task=self._hand.job.task, reason=str(error))
        return round(sum(one.wall_seconds for one in known.commands), 3)

    async def _base(self) -> baseline.Known:
        """Every command on the base commit, whatever becomes of the tests. Raises Stopped, GitFailed."""
        work, found = self._work, list[Past]()
        assert work.base_commit is not None
        root = self._bench.folder.checks / BASE
        place = "on the commit where the task began"
        async with _checkout(self._bench, self._hand, work, root, work.base_commit, self._ways, place) as checkout:
            for step in verify_steps(work.commands):
                first, again = await self._twice(checkout, step)
                found.append(past(step.stage, first.run, None if again is None else again.run))
                if found[-1].exit_code != 0 and step.stage in NEEDED:
                    break
        return baseline.Known(commit=work.base_commit, commands=tuple(found))


def _result(step: VerifyStep, first: Ran, again: Ran | None) -> CommandResult:
    return CommandResult(
        stage=step.stage,
        command=step.command,
        exit_code=first.run.exit_code,
        wall_seconds=first.run.wall_seconds,
        tail=first.tail,
        ended=first.run.ended,
        output=first.output,
        tests=first.run.tally,
        again=None if again is None else replace(rerun(first.run, again.run), output=again.output),
    )


def _report(hand: InHand, work: VerifyWork, results: tuple[CommandResult, ...]) -> ReportBody:
    last = next((result for result in results[::-1] if not result.passed), None)
    if last is None:
        return VerifySucceeded(
            job=hand.job.id, epoch=hand.tenure.epoch, commit=work.commit, commands=results, sandbox=hand.sandbox
        )
    match last.ended:
        case "timeout":
            error_class = "verify.timeout"
            said = f"was stopped after {work.command_timeout_seconds:g} s"
        case "out_of_memory":
            error_class = "env.out_of_memory"
            said = "wanted more memory than this host gives to a check"
        case "exited":
            error_class = f"{last.stage}.failed"
            said = f"ended with exit code {last.exit_code}"
        case other:
            error_class, said = f"{last.stage}.failed", f"was stopped: {other}"
    if last.failed_before:
        said += ", as on the commit where the task began"
    return VerifyFailed(
        job=hand.job.id,
        epoch=hand.tenure.epoch,
        commit=work.commit,
        error_class=error_class,
        message=shown(f"{last.stage}: `{last.command}` {said}"),
        commands=results,
        sandbox=hand.sandbox,
    )
