"""The lives that the golden logs tell, each in the words of `log_author`.

`python tests/golden_lives.py` writes the logs that are not there yet, and their digests. One that is there is never written
again: it says what was decided when it was made, and a later version must be able to live with that.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Final

from log_author import MORNING, Author

from penstock.commands import (
    AnswerDecision,
    ApprovePlan,
    CancelTask,
    CommentPlan,
    CompactTask,
    PrioritizeTask,
    RejectPlan,
    SendMessage,
    UnblockTask,
    WakeTask,
)
from penstock.events import (
    CompactSucceeded,
    DecisionRaised,
    DependencyResolved,
    MemoryRecalled,
    ObserveFailed,
    PlanFailed,
    PrepareFailed,
    PublishFailed,
    TaskParked,
)
from penstock.values import (
    Artifact,
    Change,
    Continuation,
    FailedCheck,
    Finding,
    Follow,
    Kept,
    Parcel,
    PlanGate,
    Recalled,
    RepoSnapshot,
    ReviewComment,
    Usage,
    Window,
)

FOLDER: Final = Path(__file__).parent / "golden" / "logs"
DIGESTS: Final = FOLDER / "SHA256SUMS"
RESET_TAIL: Final = "You've hit your session limit"
TSC: Final = "src/cart.ts(12,5): error TS2322: Type 'string' is not assignable to type 'number'."
LEFT: Final = Artifact(name="work", size_bytes=2_048, sha256="ab" * 32, chunks=1)
DISK_FULL: Final = "OSError: [Errno 28] No space left on device"


def plain_success() -> Author:
    return Author("plain_success").prepared().worked().passed().published()


def unverified() -> Author:
    bare = RepoSnapshot(name="shop", clone_url="https://git.example/shop.git")
    return Author("unverified", repo=bare).prepared().worked().published()


def verify_waived() -> Author:
    return Author("verify_waived", skip_verify=True).prepared().worked().published()


def no_change() -> Author:
    return Author("no_change", max_attempts=1).prepared().broke("agent.no_change", "the work tree is as it was")


def fails_after_attempts() -> Author:
    life = Author("fails_after_attempts", failures_alike_max=0).prepared()
    for commit in "cde":
        life.worked(commit=commit).refused()
    return life


def mended_at_second_attempt() -> Author:
    return Author("mended_at_second_attempt").prepared().worked().refused().worked(commit="d").passed().published()


def same_class_twice() -> Author:
    """The second failure of the same class leads to a fresh session with a summary."""
    life = Author("same_class_twice", max_attempts=5).prepared()
    life.worked().refused().worked(commit="d").refused().worked(commit="e").passed()
    return life.published()


def same_class_to_a_person() -> Author:
    life = Author("same_class_to_a_person", max_attempts=8).prepared()
    for commit in "cde":
        life.worked(commit=commit).refused(TSC)
    return life


def failover() -> Author:
    life = Author("failover", max_attempts=2, backup_vendor="codex", backup_model="gpt-5").prepared()
    life.worked().refused().worked(commit="d").refused(TSC).worked(commit="e").passed()
    return life.published()


def failover_of_a_missing_model() -> Author:
    life = Author("failover_of_a_missing_model", model="opus-9", backup_model="opus").prepared()
    return life.broke("vendor.model_not_found", "no such model: opus-9").worked().passed().published()


def rate_limit_with_reset() -> Author:
    life = Author("rate_limit_with_reset").prepared()
    reset = life.now + timedelta(hours=2)
    life.broke("vendor.usage_window", RESET_TAIL, transient=True, retry_at=reset)
    return life.wake().worked().passed().published()


def wrong_reset() -> Author:
    """A reset that has passed, then one that nobody can believe: both are probed with pauses that double."""
    life = Author("wrong_reset").prepared()
    life.broke("vendor.rate_limit", "429", transient=True, retry_at=MORNING - timedelta(hours=1)).wake()
    life.broke("vendor.rate_limit", "429", transient=True, retry_at=MORNING + timedelta(days=300)).wake()
    return life.worked().passed().published()


def budget_in_mid_run() -> Author:
    """Warned, stopped while it runs, and let go on with more."""
    life = Author("budget_in_mid_run", max_cost_usd=1.0).prepared()
    life.used_so_far(0.3, 15).used_so_far(0.85, 45).used_so_far(1.02, 60).stopped(1.03, 61)
    life.wait(900).ask(lambda id: UnblockTask(id=id, task=life.task_id, requested_by="ana", max_cost_usd=3.0))
    return life.worked().passed().published()


def budget_wall() -> Author:
    life = Author("budget_wall", max_wall_seconds=90.0).prepared()
    life.worked(turns=17).refused()
    return life.wait(60).ask(lambda id: CancelTask(id=id, task=life.task_id, requested_by="ana", reason="too slow"))


def turn_limit() -> Author:
    """Paused at the limit, resumed without an attempt spent; too often, and a person is asked."""
    life = Author("turn_limit").prepared()
    for _ in range(3):
        life.broke("vendor.max_turns", "the turn limit is reached")
    life.wait(300).ask(lambda id: UnblockTask(id=id, task=life.task_id, requested_by="ana"))
    return life.worked().passed().published()


def context_full() -> Author:
    life = Author("context_full").prepared().worked().refused()
    return life.broke("vendor.context_overflow", "prompt is too long").worked(commit="d").passed().published()


def summary_by_an_agent() -> Author:
    life = Author("summary_by_an_agent", compaction="agent").prepared().worked().refused()
    life.ask(lambda id: CompactTask(id=id, task=life.task_id, requested_by="ana"))
    # The run that is asked for already goes on; the summary comes before the next one.
    life.worked(commit="d").refused(TSC)
    usage = Usage(turns=1, cost_usd=0.02, wall_seconds=9.0)
    life.report(
        lambda job, epoch: CompactSucceeded(job=job, epoch=epoch, summary="Two tries at rounding.", usage=usage)
    )
    return life.worked(commit="e").passed().published()


def plan_approved() -> Author:
    life = Author("plan_approved", mode="interactive").prepared().planned("shop/sum.py").wait(1_800)
    life.ask(lambda id: ApprovePlan(id=id, task=life.task_id, number=1, requested_by="ben", via="chat"))
    return life.worked().passed().published()


def plan_commented() -> Author:
    life = Author("plan_commented", mode="interactive").prepared().planned("shop/")
    life.wait(60).ask(
        lambda id: CommentPlan(id=id, task=life.task_id, number=1, comment="Only the cart.", requested_by="ben")
    )
    life.planned("shop/sum.py").wait(60)
    life.ask(lambda id: ApprovePlan(id=id, task=life.task_id, number=2, requested_by="ben"))
    return life.worked().passed().published()


def plan_rejected() -> Author:
    life = Author("plan_rejected", mode="interactive").prepared().planned("shop/sum.py").wait(60)
    return life.ask(
        lambda id: RejectPlan(id=id, task=life.task_id, number=1, requested_by="ben", reason="we drop the cart")
    )


def plan_silent_low_risk() -> Author:
    gate = PlanGate(silence="approve_if_low_risk", silence_seconds=3_600.0)
    life = Author("plan_silent_low_risk", mode="interactive", plan_gate=gate).prepared().planned("shop/sum.py")
    return life.wait(3_600).worked().passed().published()


def plan_silent_high_risk() -> Author:
    gate = PlanGate(silence="approve_if_low_risk", silence_seconds=3_600.0)
    life = Author("plan_silent_high_risk", mode="interactive", plan_gate=gate).prepared()
    life.report(
        lambda job, epoch: PlanFailed(job=job, epoch=epoch, error_class="plan.unreadable", message="no JSON in it")
    )
    life.planned("shop/", risk="high").wait(3_600).wait(40_000)
    life.ask(lambda id: ApprovePlan(id=id, task=life.task_id, number=2, requested_by="ben"))
    return life.worked().passed().published()


def scope_creep() -> Author:
    """The change touches more than the approved plan names: back to the agent with the list."""
    life = Author("scope_creep", mode="interactive").prepared().planned("shop/sum.py")
    life.ask(lambda id: ApprovePlan(id=id, task=life.task_id, number=1, requested_by="ben"))
    life.worked(files=("shop/sum.py", "shop/tax.py")).worked(commit="d").passed()
    return life.published()


def dependency_retried() -> Author:
    """What it waits for fails, and succeeds when somebody has it tried again."""
    first, second = "01goldenother0000000000001", "01goldenother0000000000002"
    life = Author("dependency_retried", depends_on=(first, second)).wait(60)
    life.input(DependencyResolved(on=first, outcome="succeeded")).wait(60)
    life.input(DependencyResolved(on=second, outcome="failed")).wait(600)
    life.input(DependencyResolved(on=second, outcome="succeeded"))
    return life.prepared().worked().passed().published()


def dependency_let_pass() -> Author:
    on = "01goldenother0000000000001"
    life = Author("dependency_let_pass", depends_on=(on,)).wait(60)
    life.input(DependencyResolved(on=on, outcome="missing")).wait(600)
    life.ask(lambda id: UnblockTask(id=id, task=life.task_id, requested_by="ana"))
    return life.prepared().worked().passed().published()


def message_consumed() -> Author:
    """A message comes while the agent works, and goes into the next run."""
    life = Author("message_consumed").prepared().claim()
    life.ask(lambda id: SendMessage(id=id, task=life.task_id, requested_by="ana", text="Use decimal."))
    return life.worked().worked(commit="d").passed().published()


def decision_point() -> Author:
    life = Author("decision_point").prepared().claim()
    asked = "01goldendecision0000000001"
    life.report(
        lambda job, epoch: DecisionRaised(
            job=job, epoch=epoch, decision=asked, subject="irreversible", question="Drop it?", options=("yes", "no")
        )
    )
    life.stopped(0.2, 20).wait(700)
    life.ask(
        lambda id: AnswerDecision(id=id, task=life.task_id, decision=asked, answer="no", requested_by="ben", via="chat")
    )
    return life.worked().passed().published()


def abstained() -> Author:
    life = Author("abstained", abstain_below=95.0).prepared().wait(120)
    life.ask(lambda id: UnblockTask(id=id, task=life.task_id, requested_by="ana"))
    return life.worked().passed().published()


def cancelled_at_work() -> Author:
    life = Author("cancelled_at_work").prepared().claim().wait(12)
    life.ask(lambda id: CancelTask(id=id, task=life.task_id, requested_by="ana", reason="asked for twice"))
    return life.stopped(0.3, 12)


def host_gone() -> Author:
    life = Author("host_gone").prepared().worked().claim().lose(host_gone=True, seconds=600)
    return life.claim("host2").prepared(host="host2").worked().passed().published()


def carried_over() -> Author:
    """A host goes in the middle, and with it the next one after its change: each time another goes on from what was left."""
    undone = Parcel(job="01leftundone00000000", ref="refs/penstock/wip/1", commit="d" * 40, bundle=LEFT, session=LEFT)
    done = Parcel(job="01leftdone0000000000", ref="refs/penstock/task/1", commit="c" * 40, bundle=LEFT, session=LEFT)
    kept = Kept(ref=undone.ref, commit="d" * 40)
    life = Author("carried_over", share_work=True).prepared()
    life.broke("vendor.max_turns", "50 turns", kept=kept, parcel=undone)
    life.claim().used_so_far(0.2, 20).lose().lose(host_gone=True, seconds=600)
    life.claim("host2").prepared(host="host2").worked(parcel=done)
    life.claim().lose().lose(host_gone=True, seconds=600)
    return life.claim("host3").prepared(host="host3").passed().published()


def handed_over_by_a_pool() -> Author:
    """The host with the change is not the one that hands it over; the first that tries is cut off."""
    done = Parcel(job="01leftdone0000000000", ref="refs/penstock/task/1", commit="c" * 40, bundle=LEFT)
    life = Author("handed_over_by_a_pool", share_work=True, publish_pool="publish").prepared()
    life.worked(parcel=done).passed().claim("publisher1").lose()
    return life.claim("publisher2").published()


def lost_jobs() -> Author:
    """One lost run is taken up again; too many in a row, and somebody is asked."""
    life = Author("lost_jobs").prepared().claim().used_so_far(0.2, 20).lose()
    life.claim().lose().claim().lose()
    life.wait(60).ask(lambda id: UnblockTask(id=id, task=life.task_id, requested_by="ana"))
    return life.worked().passed().published()


def night_window() -> Author:
    """Agents run at night only, by a clock that is put forward in between; a check may be made by day."""
    window = Window(opens="22:00", closes="06:00", timezone="Europe/Berlin")
    begins = MORNING.replace(day=28, hour=19)
    life = Author("night_window", begins=begins, window=window).wake().prepared().wait(4 * 3_600)
    life.worked().wait(3 * 3_600).refused().wake()
    return life.worked(commit="d").passed().published()


def night_woken() -> Author:
    window = Window(opens="22:00", closes="06:00")
    life = Author("night_woken", window=window).wait(60)
    life.ask(lambda id: WakeTask(id=id, task=life.task_id, requested_by="ana"))
    return life.prepared().worked().passed().published()


def blocked_login() -> Author:
    life = Author("blocked_login").prepared().broke("vendor.auth", "invalid x-api-key", cost=0.0).wait(7_200)
    life.ask(lambda id: UnblockTask(id=id, task=life.task_id, requested_by="ana"))
    return life.worked().passed().published()


def publish_parked() -> Author:
    life = Author("publish_parked").prepared().worked().passed()
    for _ in range(2):
        life.report(
            lambda job, epoch: PublishFailed(
                job=job, epoch=epoch, error_class="git.unreachable", message="no route", transient=True
            )
        ).wake()
    return life.published()


def publish_refused() -> Author:
    life = Author("publish_refused").prepared().worked().passed()
    life.report(
        lambda job, epoch: PublishFailed(
            job=job, epoch=epoch, error_class="git.non_fast_forward", message="fetch first"
        )
    )
    life.wait(600).ask(lambda id: UnblockTask(id=id, task=life.task_id, requested_by="ana"))
    return life.published()


def prepare_waits() -> Author:
    """A remote that is away, until patience ends."""
    life = Author("prepare_waits")
    for again in range(4):
        life.report(
            lambda job, epoch: PrepareFailed(
                job=job, epoch=epoch, error_class="git.unreachable", message="no route", transient=True
            )
        )
        if again < 3:
            life.wake()
    return life.wait(60).ask(lambda id: CancelTask(id=id, task=life.task_id, requested_by="ana"))


def check_waits() -> Author:
    """The check could not be made for a reason that passes: it says nothing about the change."""
    life = Author("check_waits").prepared().worked()
    return life.refused(DISK_FULL, "host.disk_full").wake().passed().published()


def account_held() -> Author:
    """Other tasks of the account have met its limit: parked in the place of a run, and woken early by a person."""
    life = Author("account_held")
    wake_at = life.now + timedelta(hours=1)
    life.hold = TaskParked(reason="account.held", message="claude is at its limit", wake_at=wake_at, number=0)
    life.prepared().wait(60)
    life.ask(lambda id: PrioritizeTask(id=id, task=life.task_id, requested_by="ana", priority=1))
    life.wait(60).ask(lambda id: WakeTask(id=id, task=life.task_id, requested_by="ana"))
    return life.worked().passed().published()


def continuation() -> Author:
    before = Continuation(
        task="01goldenother0000000000001", branch="agent/other", commit="a" * 40, base_commit="b" * 40
    )
    life = Author("continuation", continues=before).prepared(branch="agent/other", tip="a" * 40)
    return life.worked(kept=Kept(ref="refs/penstock/wip/1", commit="c" * 40)).passed().published()


def held_back() -> Author:
    """A secret that the agent takes out when a person has said so, a list that goes back, a link that a person lets pass."""
    life = Author("held_back").prepared().worked().passed()
    life.report(_held_back("preflight.secret")).ask(
        lambda id: UnblockTask(id=id, task=life.task_id, requested_by="ana")
    )
    life.worked(commit="d").passed().report(_held_back("preflight.scope"))
    life.worked(commit="e").passed().report(_held_back("preflight.symlink"))
    life.ask(lambda id: UnblockTask(id=id, task=life.task_id, requested_by="ana"))
    return life.passed().published()


def _held_back(error_class: str) -> Callable[[str, int], PublishFailed]:
    rule = error_class.removeprefix("preflight.")
    finding = Finding(
        rule=rule, severity="hard", file="shop/sum.py", line=3, message="what was found", can_do="see to it"
    )
    return lambda job, epoch: PublishFailed(
        job=job,
        epoch=epoch,
        error_class=error_class,
        message=f"shop/sum.py:3: [{rule}] what was found; see to it",
        findings=(finding,),
    )


def base_moved() -> Author:
    """A commit whose branch has moved on: put on top and checked again; moved once more, a person has it tried again, it does
    not fit, and the agent brings both sides together."""
    life = Author("base_moved", flow="commit", rebases_max=1).prepared().worked().passed().report(_moved)
    change = Change(commit="1" * 40, commits=1, files=("shop/sum.py",), files_changed=1, lines_added=4, lines_removed=2)
    life.prepared(base_commit="2" * 40, change=change).passed().report(_moved)
    life.ask(lambda id: UnblockTask(id=id, task=life.task_id, requested_by="ana"))
    life.prepared(base_commit="3" * 40, conflicts=("shop/sum.py",))
    return life.worked(commit="d").passed().published()


def _moved(job: str, epoch: int) -> PublishFailed:
    return PublishFailed(job=job, epoch=epoch, error_class="git.base_moved", message="main is elsewhere")


def told_of_earlier_work() -> Author:
    """What is remembered comes once, before the first run, and the second attempt is not told again."""
    life = Author("told_of_earlier_work", recall_max=3).prepared()
    known = Recalled(
        memory="m" * 26,
        kind="failure",
        title="Mend the rounding of the cart",
        happened="Gave up after two attempts: the checks failed.",
        similarity=0.4,
        task="t" * 26,
        outcome="failed",
        error_class="test.failed",
        files=("shop/sum.py",),
    )
    return life.input(MemoryRecalled(items=(known,))).worked().refused().worked(commit="d").passed().published()


FOLLOW: Final = Follow(look_seconds=60.0, look_seconds_max=600.0, settle_seconds=15.0, fix_runs_max=1)
RED: Final = (
    FailedCheck(name="ci / test", url="https://ci.example/9", summary="1 of 240 tests failed"),
    FailedCheck(name="ci / lint", summary="round.py:12: unused name"),
)


def _said(number: int) -> ReviewComment:
    return ReviewComment(id=f"c{number}", author="ann", text="Not for negative sums.", path="shop/sum.py", line=number)


def reviewed_and_merged() -> Author:
    """Three comments and two failed checks on one commit are one fix run; then it is merged."""
    life = Author("reviewed_and_merged", follow=FOLLOW).prepared().worked().passed().published()
    life.seen(checks="pending").hinted()
    life.seen(checks="failed", failed_checks=RED, comments=tuple(_said(number) for number in (1, 2, 3)))
    life.seen(checks="failed", failed_checks=RED)
    life.worked(commit="d").passed().published()
    return life.seen().hinted("pull_request").seen("merged")


def review_taken_over() -> Author:
    """The cap, a person who gives one more run, somebody's own commit while it is at work, and the end by closing."""
    life = Author("review_taken_over", follow=FOLLOW).prepared().worked().passed().published()
    life.looked(
        lambda job, epoch: ObserveFailed(
            job=job, epoch=epoch, error_class="forge.unreachable", message="the forge answered 502", transient=True
        )
    )
    life.seen(comments=(_said(1),)).seen().worked(commit="d").passed().published()
    life.seen(comments=(_said(2),)).seen()
    life.ask(lambda id: UnblockTask(id=id, task=life.task_id, requested_by="ana"))
    life.wait(1.0).claim().seen(head_commit="f" * 40).stopped(0.2, 30.0)
    return life.seen("closed", head_commit="f" * 40)


LIVES: Final[Mapping[str, Callable[[], Author]]] = {
    life.__name__: life
    for life in (
        plain_success,
        unverified,
        verify_waived,
        no_change,
        fails_after_attempts,
        mended_at_second_attempt,
        same_class_twice,
        same_class_to_a_person,
        failover,
        failover_of_a_missing_model,
        rate_limit_with_reset,
        wrong_reset,
        budget_in_mid_run,
        budget_wall,
        turn_limit,
        context_full,
        summary_by_an_agent,
        plan_approved,
        plan_commented,
        plan_rejected,
        plan_silent_low_risk,
        plan_silent_high_risk,
        scope_creep,
        dependency_retried,
        dependency_let_pass,
        message_consumed,
        decision_point,
        abstained,
        cancelled_at_work,
        host_gone,
        carried_over,
        handed_over_by_a_pool,
        lost_jobs,
        night_window,
        night_woken,
        blocked_login,
        publish_parked,
        publish_refused,
        prepare_waits,
        check_waits,
        account_held,
        continuation,
        reviewed_and_merged,
        review_taken_over,
        held_back,
        base_moved,
        told_of_earlier_work,
    )
}


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def write_new() -> list[str]:
    """Write the logs that are not there yet; their names."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    new = [name for name in LIVES if not (FOLDER / f"{name}.jsonl").exists()]
    for name in new:
        text = LIVES[name]().documents()
        (FOLDER / f"{name}.jsonl").write_text(text)
        with DIGESTS.open("a") as digests:
            digests.write(f"{digest(text)}  {name}.jsonl\n")
    return new


if __name__ == "__main__":
    print("\n".join(write_new()) or "all are there")
