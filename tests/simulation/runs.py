"""Hosts at work: they claim orders, run them in steps, and report; or fall silent, or come back from the dead.

Rule of this room: a run does to the outside what a real one does (it pushes, it spends) whether or not anybody hears of it.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final, Literal, TypeAlias, assert_never

from msgspec import Struct
from msgspec.structs import replace

from penstock.commands import SendMessage
from penstock.events import (
    AgentFailed,
    AgentProgressed,
    AgentSucceeded,
    CompactFailed,
    CompactSucceeded,
    DecisionRaised,
    JobStopped,
    MessageTold,
    NetworkDenied,
    PlanFailed,
    PlanProposed,
    PrepareFailed,
    PrepareSucceeded,
    PublishFailed,
    PublishSucceeded,
    VerifyFailed,
    VerifySucceeded,
)
from penstock.jobs import AgentWork, CompactWork, Job, ObserveWork, PlanWork, PrepareWork, PublishWork, VerifyWork
from penstock.reports import Report, ReportBody
from penstock.values import Baseline, Change, CommandResult, Delivery, Evidence, Kept, Plan, Rerun, Tally, Usage
from penstock_orchestrator.core.budget import add
from simulation import forge
from simulation.dice import Dice
from simulation.ground import (
    AGENT_TROUBLES,
    CHECK_TAILS,
    FILES,
    LIMITS,
    OF_SESSION,
    PLAN_TROUBLES,
    PREPARE_TROUBLES,
    PUBLISH_TROUBLES,
    SILENT,
    TOKENS_PER_USD,
    Trouble,
)
from simulation.world import World

Habit: TypeAlias = Literal["honest", "slow", "dead", "zombie", "twice"]
"""`dead`: it will never report again. `zombie`: its lease ends, and it goes on. `twice`: it says everything twice."""

HABITS: Final[tuple[Habit, ...]] = (*("honest",) * 6, "slow", "dead", "zombie", "twice")
NOTHING: Final = Usage(cost_usd=0.0)
SLICES_MAX: Final = 4
"""An agent run is so many slices of work at most, each with its cost."""


class Run(Struct):
    """A job in somebody's hands. `leased`: the holder still has its lease; `used`: what it has used so far."""

    job: Job
    host: str
    epoch: int
    instance: str
    habit: Habit
    slices: int
    leased: bool = True
    over: bool = False
    used: Usage = NOTHING
    asked_decision: bool = False


def begin(world: World, dice: Dice, job: Job, host: str, epoch: int) -> Run:
    """The claim was granted."""
    habit: Habit = dice.pick(HABITS) if world.stormy and dice.percent(world.trouble) else "honest"
    instance = f"{host}.{world.hosts[host].instance}"
    run = Run(job=job, host=host, epoch=epoch, instance=instance, habit=habit, slices=dice.below(SLICES_MAX))
    world.runs[job.id, epoch] = run
    return run


def work(world: World, dice: Dice, run: Run) -> None:
    """One step of the run; what it has to say goes on its way."""
    if run.over or world.hosts[run.host].gone or (not run.leased and run.habit != "zombie"):
        return
    if run.habit == "slow" and world.stormy and dice.percent(60):
        return
    if run.habit in ("dead", "zombie") and world.stormy and dice.percent(40):
        run.leased = False
        if run.habit == "dead":
            return
    body = _stopped(world, dice, run) or _step(world, dice, run)
    if body is not None:
        _send(world, dice, run, body)


def _send(world: World, dice: Dice, run: Run, body: ReportBody) -> None:
    last = not isinstance(body, AgentProgressed | DecisionRaised | MessageTold | NetworkDenied)
    report = Report(
        id=world.fresh("r"),
        task=run.job.task,
        repo=run.job.repo,
        job=run.job.id,
        epoch=run.epoch,
        host=run.host,
        at=world.now,
        body=body,
    )
    if last:
        run.over = True
    if world.stormy and dice.percent(world.trouble // 6):
        # The report is lost with its host's process: nobody holds the lease any more.
        run.leased = run.leased and not last
        return
    world.reports.append(report)
    if run.habit == "twice" or (world.stormy and dice.percent(world.trouble // 5)):
        world.reports.append(report)


def _stopped(world: World, dice: Dice, run: Run) -> JobStopped | None:
    if run.job.id not in world.stops or (world.stormy and dice.percent(30)):
        return None
    kept = Kept(ref="refs/kept/1", commit=_commit(world)) if dice.percent(50) else None
    return JobStopped(job=run.job.id, epoch=run.epoch, reason="told to", usage=_said(run, run.used), kept=kept)


def _step(world: World, dice: Dice, run: Run) -> ReportBody | None:
    match run.job.work:
        case PrepareWork():
            return _prepare(world, dice, run, run.job.work)
        case PlanWork() | AgentWork() | CompactWork():
            return _agent(world, dice, run, run.job.work)
        case VerifyWork():
            return _verify(world, dice, run, run.job.work)
        case PublishWork():
            return _publish(world, dice, run, run.job.work)
        case ObserveWork():
            return forge.look(world, dice, run, run.job.work)
        case _:
            assert_never(run.job.work)


def _trouble(world: World, dice: Dice, some: tuple[Trouble, ...]) -> Trouble | None:
    return dice.pick(some) if world.stormy and dice.percent(world.trouble) else None


def _commit(world: World) -> str:
    return f"{int(world.fresh('k')[1:]):040x}"


def _prepare(world: World, dice: Dice, run: Run, order: PrepareWork) -> ReportBody:
    job, epoch = run.job.id, run.epoch
    trouble = _trouble(world, dice, PREPARE_TROUBLES) if dice.percent(50) else None
    tip = None
    if order.continues is not None:
        tip = world.remote.get(order.branch)
        if tip is None:
            trouble = Trouble("git.branch_gone")
    if trouble is not None:
        return PrepareFailed(
            job=job, epoch=epoch, error_class=trouble.error_class, message="no clone", transient=trouble.transient
        )
    if order.rebase is not None:
        return _on_top(world, dice, run, order, order.rebase)
    base = order.base_commit or (_tip(world, dice, run) if order.continues is None else order.continues.base_commit)
    words = 4 if order.words else 0
    evidence = Evidence(
        words=words,
        overlap=dice.below(5) if words else None,
        recent_commits=dice.below(4),
        open_pull_requests=dice.below(2),
    )
    return PrepareSucceeded(
        job=job, epoch=epoch, host=run.host, base_commit=base, branch=order.branch, tip=tip, evidence=evidence
    )


def _tip(world: World, dice: Dice, run: Run) -> str:
    """Where the default branch is. Others push to it now and then."""
    if world.stormy and dice.percent(world.trouble // 4):
        world.tips[run.job.repo] = _commit(world)
    return world.tips[run.job.repo]


def _on_top(world: World, dice: Dice, run: Run, order: PrepareWork, commit: str) -> PrepareSucceeded:
    """The change on top of where the default branch is now. It may not fit, and it may not work there any more."""
    stands = PrepareSucceeded(
        job=run.job.id,
        epoch=run.epoch,
        host=run.host,
        base_commit=_tip(world, dice, run),
        branch=order.branch,
    )
    if world.stormy and dice.percent(30):
        return replace(stands, conflicts=("src/cart.py",))
    moved = _commit(world)
    world.passing[moved] = world.passing.get(commit, True) and not (world.stormy and dice.percent(20))
    files = world.files_of[moved] = world.files_of.get(commit, FILES[:1])
    change = Change(commit=moved, commits=1, files=files, files_changed=len(files), lines_added=3, lines_removed=1)
    return replace(stands, change=change)


def _agent(world: World, dice: Dice, run: Run, order: PlanWork | AgentWork | CompactWork) -> ReportBody | None:
    limited = world.limited.get(run.job.pool)
    if limited is not None and world.now < limited and world.stormy:
        return _agent_failed(world, dice, run, order, dice.pick(LIMITS))
    if run.slices > 0 and not isinstance(order, CompactWork):
        run.slices -= 1
        return _slice(world, dice, run, order)
    _use(world, dice, run)
    trouble = _trouble(world, dice, PLAN_TROUBLES if isinstance(order, PlanWork) else AGENT_TROUBLES)
    if trouble is not None:
        return _agent_failed(world, dice, run, order, trouble)
    job, epoch, usage = run.job.id, run.epoch, _said(run, run.used)
    match order:
        case PlanWork():
            files = FILES[: dice.below(3)]
            plan = Plan(summary="mend it", files_to_touch=files, risk=dice.pick(("low", "medium", "high")))
            return PlanProposed(job=job, epoch=epoch, plan=plan, usage=usage)
        case CompactWork():
            return CompactSucceeded(job=job, epoch=epoch, summary="what was tried", usage=usage)
        case AgentWork():
            of_session = order.vendor == OF_SESSION
            whole, restarted = _whole_session(world, dice, run, order)
            return AgentSucceeded(
                job=job,
                epoch=epoch,
                change=_change(world, dice, run, order),
                usage=whole if of_session else usage,
                usage_of_session=of_session,
                session_restarted=of_session and restarted,
                kept=Kept(ref="refs/kept/2", commit=_commit(world)) if dice.percent(30) else None,
            )
        case _:
            assert_never(order)


def _change(world: World, dice: Dice, run: Run, order: AgentWork) -> Change:
    commit = _commit(world)
    if run.job.task in world.pulls and dice.percent(20) and (stands := world.pushed.get(order.branch)):
        # It answers feedback with words alone.
        commit = stands[-1]
        files = FILES[:1]
        return Change(commit=commit, commits=1, files=files, files_changed=1, lines_added=3, lines_removed=1)
    world.passing[commit] = not (world.stormy and dice.percent(world.trouble))
    # At rest an agent keeps to the plan, whose files are the first ones.
    files = world.files_of[commit] = (dice.pick(FILES),) if world.stormy else FILES[:1]
    return Change(commit=commit, commits=1, files=files, files_changed=len(files), lines_added=3, lines_removed=1)


def _use(world: World, dice: Dice, run: Run) -> None:
    """One more slice of work: turns, time and money."""
    cents = 1 + dice.below(30 if world.stormy else 5)
    one = Usage(
        turns=1,
        input_tokens=cents * TOKENS_PER_USD // 100,
        cost_usd=cents / 100,
        wall_seconds=10.0 + dice.below(100),
    )
    run.used = add(run.used, one)
    session = _session(run)
    world.session_used[session] = add(world.session_used.get(session, NOTHING), one)


def _said(run: Run, usage: Usage) -> Usage:
    """What the vendor says of it: one names no cost."""
    return replace(usage, cost_usd=None) if run.job.pool == SILENT else usage


def _slice(world: World, dice: Dice, run: Run, order: PlanWork | AgentWork) -> ReportBody | None:
    _use(world, dice, run)
    spent, most = run.used.cost_usd or 0.0, order.max_cost_usd
    if most is not None and spent >= most and run.job.pool != SILENT and dice.percent(70):
        return _agent_failed(world, dice, run, order, Trouble("vendor.budget"))
    job, epoch = run.job.id, run.epoch
    if isinstance(order, AgentWork) and not run.asked_decision and world.stormy and dice.percent(12):
        run.asked_decision = True
        subject = dice.pick(("spend_money", "publish", "irreversible", "ambiguous"))
        decision = world.fresh("d")
        return DecisionRaised(job=job, epoch=epoch, decision=decision, subject=subject, question="may I?")
    if dice.percent(6):
        return NetworkDenied(job=job, epoch=epoch, what="egress", target="example.com:443", reason="not named", count=2)
    if isinstance(order, AgentWork) and dice.percent(25) and (message := _said_to(world, dice, run)):
        return MessageTold(job=job, epoch=epoch, message=message)
    if dice.percent(40) or (most is not None and spent >= most * 0.5):
        return AgentProgressed(job=job, epoch=epoch, usage=_said(run, run.used))
    return None


def _said_to(world: World, dice: Dice, run: Run) -> str:
    """Some message that was ever sent to the task: an order to say it may come late, and again."""
    sent = [one.id for one in world.sent if isinstance(one, SendMessage) and one.task == run.job.task]
    return dice.pick(sent) if sent else ""


def _agent_failed(
    world: World, dice: Dice, run: Run, order: PlanWork | AgentWork | CompactWork, trouble: Trouble
) -> ReportBody:
    job, epoch, words = run.job.id, run.epoch, f"it failed: {trouble.error_class}"
    retry_at = _limit(world, dice, run.job.pool) if trouble.told else None
    # A run that is cut off may not know its numbers: what it had told on the way is all there is.
    forgot = world.stormy and dice.percent(20)
    usage = Usage() if forgot else _said(run, run.used)
    match order:
        case PlanWork():
            return PlanFailed(
                job=job,
                epoch=epoch,
                error_class=trouble.error_class,
                message=words,
                transient=trouble.transient,
                retry_at=retry_at,
                usage=usage,
            )
        case CompactWork():
            return CompactFailed(job=job, epoch=epoch, error_class=trouble.error_class, message=words, usage=usage)
        case AgentWork():
            of_session = order.vendor == OF_SESSION and not forgot
            whole, restarted = _whole_session(world, dice, run, order)
            return AgentFailed(
                job=job,
                epoch=epoch,
                error_class=trouble.error_class,
                message=words,
                transient=trouble.transient,
                retry_at=retry_at,
                usage=whole if of_session else usage,
                usage_of_session=of_session,
                session_restarted=order.vendor == OF_SESSION and restarted,
                kept=Kept(ref="refs/kept/3", commit=_commit(world)) if dice.percent(30) else None,
            )
        case _:
            assert_never(order)


def _limit(world: World, dice: Dice, vendor: str) -> datetime | None:
    """The account has met its limit: when that really ends, and what the vendor says of it, which may be wrong."""
    ends = world.limited.get(vendor)
    if ends is None or ends <= world.now:
        ends = world.limited[vendor] = world.now + timedelta(seconds=30 + dice.below(7_200))
    told = dice.below(10)
    if told < 5:
        return ends
    if told < 7:
        return None
    wrong = dice.pick((-600.0, 1.0, 40.0, 20_000.0, 10 * 365 * 86_400.0))
    return world.now + timedelta(seconds=wrong)


def _session(run: Run) -> str:
    return run.job.work.session_id if isinstance(run.job.work, AgentWork | PlanWork | CompactWork) else ""


def _whole_session(world: World, dice: Dice, run: Run, order: AgentWork) -> tuple[Usage, bool]:
    """What the session has used, as a vendor tells it that counts so; and whether it had to begin the session anew."""
    restarted = order.resume and world.stormy and dice.percent(5)
    if restarted:
        world.session_used[order.session_id] = run.used
    return replace(world.session_used.get(order.session_id, run.used), wall_seconds=run.used.wall_seconds), restarted


def _verify(world: World, dice: Dice, run: Run, order: VerifyWork) -> ReportBody:
    job, epoch = run.job.id, run.epoch
    if world.stormy and dice.percent(world.trouble // 4):
        return VerifyFailed(
            job=job, epoch=epoch, commit=order.commit, error_class="env.disk_full", message="the disk is full"
        )
    good = world.passing.get(order.commit, True)
    tail = "" if good else dice.pick(CHECK_TAILS)
    result = CommandResult(
        stage="test", command="make test", exit_code=0 if good else 1, wall_seconds=5.0 + dice.below(50), tail=tail
    )
    if good:
        world.passed.add(order.commit)
        if order.repo.checking.rerun != "off" and dice.percent(10):
            again = Rerun(exit_code=0, ended="exited", wall_seconds=5.0, flaky=1, flaky_names=("t::test_now",))
            result = replace(result, exit_code=1, again=again)
        return VerifySucceeded(job=job, epoch=epoch, commit=order.commit, commands=(result,))
    if order.base_commit is not None and dice.percent(20):
        return _beside(world, dice, run, order, result)
    # What a check could not be made for passes; what is wrong with the change does not.
    if "resolve host" in tail or "make: not found" in tail:
        world.passing[order.commit] = dice.percent(50)
    return VerifyFailed(
        job=job, epoch=epoch, commit=order.commit, error_class="verify.failed", message="no", commands=(result,)
    )


def _beside(world: World, dice: Dice, run: Run, order: VerifyWork, result: CommandResult) -> VerifyFailed:
    """The host has looked at the commit where the task began; mostly, nothing is worse than it was there."""
    assert order.base_commit is not None
    new = int(dice.percent(30))
    tests = Tally(total=9, passed=7 - new, failed=2 + new, skipped=0, source="junit")
    before = Baseline(
        commit=order.base_commit,
        exit_code=1,
        ended="exited",
        wall_seconds=5.0,
        tests=tests,
        new_failures=new,
        failed_before=2,
        failed_before_names=("t::test_old_sum", "t::test_old_mean"),
        fixed=0,
    )
    if not new:
        world.failed_before.add(order.commit)
    return VerifyFailed(
        job=run.job.id,
        epoch=run.epoch,
        commit=order.commit,
        error_class="test.failed",
        message="no",
        commands=(replace(result, tests=tests, before=before),),
    )


def _push(world: World, dice: Dice, run: Run, order: PublishWork) -> Trouble | None:
    """The effect on the outside; or why there is none."""
    if order.on_tip and _tip(world, dice, run) != order.base_commit:
        return Trouble("git.base_moved")
    if order.flow == "commit":
        world.tips[run.job.repo] = order.commit
        world.landed.add(order.commit)
    elif world.remote.get(order.branch) != order.expected:
        return Trouble("git.non_fast_forward")
    else:
        world.remote[order.branch] = order.commit
        world.pushed[order.branch].append(order.commit)
    world.pushes[run.job.task].append(run.host)
    return None


def _publish(world: World, dice: Dice, run: Run, order: PublishWork) -> ReportBody:
    job, epoch = run.job.id, run.epoch
    trouble = _trouble(world, dice, PUBLISH_TROUBLES)
    landed = order.flow == "commit" and order.commit in world.landed
    if trouble is not None and trouble.error_class.startswith("preflight.") and landed:
        trouble = None
    if trouble is None:
        there = world.remote.get(order.branch) == order.commit if order.flow == "branch" else landed
        adopted = order.flow != "patch" and there
        if order.flow != "patch" and not adopted:
            trouble = _push(world, dice, run, order)
        if trouble is None:
            delivery = Delivery(kind=order.flow, commit=order.commit, branch=order.branch, adopted=adopted)
            if order.flow == "branch" and world.policy.follow is not None:
                number = forge.opened(world, run.job.task, order.branch).number
                delivery = replace(delivery, kind="pull_request", number=number)
            return PublishSucceeded(job=job, epoch=epoch, delivery=delivery)
    return PublishFailed(
        job=job, epoch=epoch, error_class=trouble.error_class, message="not handed over", transient=trouble.transient
    )
