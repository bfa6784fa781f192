"""Verify: the repo's own commands, on exactly the commit they are asked about.

Rule of this room: the commands run in a checkout of their own, made from the mirror for this job and dropped after it. What
an agent left lying in its clone can make no check pass; and the exit status decides, nobody reads the text.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, assert_never

from penstock.bounds import TAIL_LENGTH_MAX, clip
from penstock.events import VerifyFailed, VerifySucceeded
from penstock.jobs import VerifyStep, VerifyWork, verify_steps
from penstock.output import OutputLine
from penstock.reports import ReportBody
from penstock.values import CommandResult
from penstock_agent_exec.agents.facts import shown
from penstock_agent_exec.broker.denials import Denial, Denials
from penstock_agent_exec.git.clone import Clone, drop_clone
from penstock_agent_exec.git.make import make_clone
from penstock_agent_exec.loopback import behind_loopback
from penstock_agent_exec.output import LineSplitter, readable
from penstock_agent_exec.process import Ending, Watch, run_child
from penstock_agent_exec.report import news_of, send
from penstock_agent_exec.sandbox import Bind, Profile
from penstock_agent_exec.steps.bench import Bench, InHand
from penstock_agent_exec.steps.ways import Ways, denied_body, egress_label, ways_out
from penstock_agent_exec.tenure import Stopped

LINE_BYTES_MAX: Final = 4_096
HEAD_BYTES: Final = 8 * 1024
TAIL_BYTES: Final = 32 * 1024
OUT_OF_MEMORY: Final = "out_of_memory"


async def verify(bench: Bench, hand: InHand, work: VerifyWork) -> ReportBody:
    """Raises Stopped, Lost, and the failures of git and of this host."""
    # Another root than that of the tasks' clones: the same task, and never the agent's folder.
    checks = bench.folder.checks
    checkout = await hand.tenure.stop.unless_asked(_checkout(bench, hand, work, checks))
    hand.sandbox = bench.keeping.label
    kept_inside: list[Denial] = []
    denials = Denials(kept_inside.append)
    try:
        async with ways_out(bench, work.repo, denials) as ways:
            hand.sandbox += egress_label(ways, work.repo)
            results = await _run_all(bench, hand, work, checkout, ways)
    except Stopped:
        await _tell(bench, hand, denials, kept_inside)
        raise
    finally:
        await drop_clone(checks, hand.job.task)
    await _tell(bench, hand, denials, kept_inside)
    return _report(hand, work, results)


async def _tell(bench: Bench, hand: InHand, denials: Denials, kept_inside: list[Denial]) -> None:
    denials.end()
    for denial in kept_inside:
        report = news_of(hand, bench.settings.host, denied_body(hand, denial))
        await send(bench.nc, report, hand.tenure.must_hold)


async def _checkout(bench: Bench, hand: InHand, work: VerifyWork, checks: Path) -> Clone:
    """A clean checkout of the commit. One that a killed job has left is not trusted: it goes first."""
    mirror = bench.mirror(work.repo)
    task = hand.job.task
    await drop_clone(checks, task)
    sandbox = bench.git_sandbox(checks / "tasks" / task / "repo", mirror)
    return await make_clone(checks, mirror, task, base=work.commit, identity=bench.settings.identity, sandbox=sandbox)


async def _run_all(
    bench: Bench, hand: InHand, work: VerifyWork, checkout: Clone, ways: Ways
) -> tuple[CommandResult, ...]:
    """The commands in their order, up to the first that does not pass. Raises Stopped."""
    home = checkout.path.parent / "home"
    home.mkdir()
    extras = bench.extras(work.repo)
    binds = (Bind(checkout.objects), Bind(checkout.path, writable=True), Bind(home, writable=True), *extras.binds)
    env = {"HOME": str(home), "LANG": "C.UTF-8", "TERM": "dumb", "CI": "true"} | dict(extras.env)
    profile = bench.profile(checkout.path, binds, env)
    results: list[CommandResult] = []
    for step in verify_steps(work.commands):
        hand.output.add(OutputLine(kind="verify", text=f"$ {step.command}"[:LINE_BYTES_MAX], tool=step.stage))
        result = await _run_one(bench, hand, step, profile, work.command_timeout_seconds, ways)
        results.append(result)
        if not result.passed:
            break
    return tuple(results)


async def _run_one(
    bench: Bench, hand: InHand, step: VerifyStep, profile: Profile, seconds: float, ways: Ways
) -> CommandResult:
    printed = _Printed(hand, step.stage)
    # One stream, so that what was printed last stands last.
    kept, argv = behind_loopback(profile, ("sh", "-c", 'exec sh -c "$0" 2>&1', step.command), egress=ways.egress)
    ending = await run_child(
        argv,
        kept,
        watch=Watch(wall_seconds=seconds, output_bytes_max=bench.settings.output_bytes_max),
        on_stdout=printed.take,
        on_stderr=printed.take,
        cancel=hand.tenure.stop.asked,
    )
    ended = _ended(ending)
    if ended == OUT_OF_MEMORY:
        await printed.take(b"\nOut of memory: Killed process, by this host's limit for a check\n")
    printed.end()
    if ending.why == "cancelled":
        raise Stopped(hand.tenure.stop.reason)
    return CommandResult(
        stage=step.stage,
        command=step.command,
        exit_code=ending.exit_code if ended == "exited" else None,
        wall_seconds=round(ending.wall_seconds, 3),
        tail=printed.tail(),
        ended=ended,
    )


def _ended(ending: Ending) -> str:
    match ending.why:
        case "exited":
            # A check that lost a part of itself and passes all the same has passed.
            return OUT_OF_MEMORY if ending.out_of_memory and ending.exit_code != 0 else "exited"
        case "memory_limit":
            return OUT_OF_MEMORY
        case "process_limit":
            return "process_limit"
        case "wall_limit":
            return "timeout"
        case "output_limit":
            return "output_limit"
        case "silence_limit" | "lingered" | "cancelled":
            return "stopped"
        case _:
            assert_never(ending.why)


def _report(hand: InHand, work: VerifyWork, results: tuple[CommandResult, ...]) -> ReportBody:
    last = results[-1] if results else None
    if last is None or last.passed:
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
    return VerifyFailed(
        job=hand.job.id,
        epoch=hand.tenure.epoch,
        commit=work.commit,
        error_class=error_class,
        message=shown(f"{last.stage}: `{last.command}` {said}"),
        commands=results,
        sandbox=hand.sandbox,
    )


class _Printed:
    """What one command prints: every line to those who watch, the beginning and the end for the report."""

    def __init__(self, hand: InHand, stage: str) -> None:
        self._output = hand.output
        self._without_secrets = hand.redactor.stream()
        self._stage = stage
        self._lines = LineSplitter(LINE_BYTES_MAX)
        self._head = b""
        self._tail = b""
        self._bytes = 0

    async def take(self, chunk: bytes) -> None:
        self._printed(self._without_secrets.feed(chunk))

    def end(self) -> None:
        self._printed(self._without_secrets.finish())
        self._say(self._lines.finish())

    def _printed(self, part: bytes) -> None:
        self._bytes += len(part)
        room = HEAD_BYTES - len(self._head)
        self._head += part[:room]
        self._tail = (self._tail + part[room:])[-TAIL_BYTES:]
        self._say(self._lines.feed(part))

    def tail(self) -> str:
        """As much as an event may hold: how it began, and how it ended."""
        left_out = self._bytes - len(self._head) - len(self._tail)
        mark = b"\n[... %d bytes left out ...]\n" % left_out if left_out else b""
        return clip(readable(self._head + mark + self._tail), TAIL_LENGTH_MAX)

    def _say(self, lines: list[bytes]) -> None:
        self._output.add_printed("verify", lines, self._stage)
