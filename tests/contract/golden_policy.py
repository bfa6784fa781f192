"""What the golden documents of the second catalogue say: the queue, plans, escalation, budgets, messages, decisions.

Rule of this room: nothing here is edited or moved, since the documents are not; a field that an event has gained since stands
here as its default, by not being named.
"""

from __future__ import annotations

from typing import Final

from contract.golden_first import BASE, CHANGE, COMMIT, JOB, KEPT, LATER, USAGE

from penstock import events as e
from penstock import values as v

OTHER: Final = "01jqa0other00000000000000c"
MESSAGE: Final = "01jqa0message0000000000000"
DECISION: Final = "01jqa0decision000000000000"

PRICE = v.Price(input_usd=3.0, output_usd=15.0, cache_read_usd=0.3, cache_write_usd=3.75)
PLAN = v.Plan(
    summary="Round half to even in `round.py`.",
    approach="Use decimal's own mode instead of adding a half.",
    steps=("Pin the wrong total in a test.", "Change `total`."),
    files_to_touch=("src/round.py", "tests/ü.py"),
    risks=("Old receipts show other totals.",),
    risk="low",
    acceptance_check="`make test` passes",
)

POLICY: Final[tuple[e.KnownEvent, ...]] = (
    e.TaskAdmitted(number=2, priority=4, waited_seconds=912.5),
    e.DependencyResolved(on=OTHER, outcome="succeeded"),
    e.PriorityChanged(priority=1, changed_by="api:ana"),
    e.AgentProgressed(job=JOB, epoch=17, usage=USAGE),
    e.GateScored(
        score=34.5,
        confidence="low",
        signals=(
            v.Signal(source="overlap", value=0.25, weight=0.6, why="2 of 8 words are in the repository's paths"),
            v.Signal(source="history", value=0.5, weight=0.4, why="3 of 6 ended well"),
        ),
        warnings=("an open pull request touches the same paths",),
        degraded=("forge: answered 502",),
        history=v.History(succeeded=3, failed=3, wall_seconds=(301.5, 412.0, 95.25), turns=(12, 31, 7)),
        forecast=v.Forecast(samples=6, chance=0.5, wall_seconds=301.5, turns=12),
        abstain_below=40.0,
        abstained=True,
    ),
    e.PlanRequested(number=2, host="h1", session_id="s-2", comments=("Leave the receipts alone.", "Smaller, please.")),
    e.PlanProposed(
        job=JOB, epoch=17, plan=PLAN, usage=USAGE, session_id="s-2", vendor_version="2.1.197", sandbox="bwrap"
    ),
    e.PlanFailed(
        job=JOB,
        epoch=17,
        error_class="vendor.rate_limit",
        message="try again later",
        transient=True,
        retry_at=LATER,
        usage=USAGE,
        session_id="s-2",
        vendor_version="2.1.197",
        sandbox="bwrap",
    ),
    e.PlanCommented(number=1, comment="Leave the receipts alone.", commented_by="ana", via="chat"),
    e.PlanApproved(number=2, approved_by="ana", via="http"),
    e.PlanRejected(number=2, rejected_by="ana", reason="we drop the cart", via="chat"),
    e.PlanUnanswered(number=2, waited_seconds=86_400.0, meaning="deny"),
    e.FailureClassified(
        step="verify",
        error_class="test.failed",
        severity="recoverable",
        hint="`test_round` expects 2 and gets 3.",
        evidence="E   assert 3 == 2",
        times=2,
    ),
    e.TaskEscalated(error_class="test.failed", severity="hard", times=3, to="fresh_session"),
    e.FailedOver(
        error_class="vendor.overloaded",
        from_vendor="codex",
        from_model="gpt-5",
        to_vendor="claude",
        to_model="opus",
        attempts_spent=3,
    ),
    e.BudgetWarned(budget="cost", spent=2.05, limit=2.5),
    e.JobStopRequested(job=JOB, reason="budget.cost", message="2.51 of 2.50 USD are spent"),
    e.CompactionAsked(asked_by="api:ana"),
    e.CompactRequested(reason="attempts", host="h1", session_id="s-3"),
    e.CompactSucceeded(
        job=JOB,
        epoch=17,
        summary="Two attempts changed `round.py`; `test_round` still fails.",
        usage=USAGE,
        session_id="s-3",
        vendor_version="2.1.197",
        sandbox="bwrap",
    ),
    e.CompactFailed(job=JOB, epoch=17, error_class="vendor.cut_off", message="no last line", usage=USAGE),
    e.HistoryCompacted(
        reason="attempts",
        made_by="agent",
        summary="Two attempts changed `round.py`; `test_round` still fails.",
        characters_in=18_200,
        characters_out=58,
    ),
    e.PreflightFailed(
        commit=COMMIT,
        error_class="preflight.scope",
        message="files outside the approved plan",
        files=("deploy/prod.env", "src/ü.py"),
    ),
    e.TaskWoken(woken_by="api:ana"),
    e.MessageAccepted(message=MESSAGE, text="Use\tdecimal.\n— Ana", sender="api:ana", from_task=OTHER),
    e.MessageDelivered(message=MESSAGE, job=JOB),
    e.MessageConsumed(message=MESSAGE, job=JOB),
    e.DecisionRaised(
        job=JOB,
        epoch=17,
        decision=DECISION,
        subject="irreversible",
        question="The migration drops a column. Go on?",
        options=("drop it", "keep it"),
    ),
    e.DecisionAnswered(decision=DECISION, answer="keep it", answered_by="ana", via="chat"),
)
"""Every type that came after the first ones."""

AGAIN: Final[tuple[e.KnownEvent, ...]] = (
    e.TaskSubmitted(
        title="Round prices half to even",
        repo=v.RepoSnapshot(name="shop", clone_url="https://forge.example/shop.git"),
        policy=v.Policy(
            failures_alike_max=3,
            reset_seconds_max=86_400.0,
            compact_after_attempts=4,
            compaction="agent",
            abstain_below=40.0,
            budget_warning=0.8,
            plan_turns_max=20,
            plan_seconds_max=600.0,
            plans_max=5,
            price=PRICE,
            backup_price=v.Price(input_usd=1.25, output_usd=10.0),
        ),
        mode="interactive",
        plan_gate=v.PlanGate(silence="approve_if_low_risk", silence_seconds=3_600.0),
        depends_on=(OTHER,),
        backup_vendor="claude",
        backup_model="opus",
        billing="subscription",
        account="team-a",
        window=v.Window(opens="22:00", closes="06:30", timezone="Europe/Berlin"),
        continues=v.Continuation(
            task=OTHER,
            branch="agent/fix-rounding",
            commit=COMMIT,
            base_commit=BASE,
            url="https://forge.example/shop/pulls/7",
        ),
        retry_of=OTHER,
        origin=v.Origin(kind="schedule", name="nightly", scheduled_for=LATER, missed=2),
        template="bugfix",
    ),
    e.PrepareSucceeded(
        job=JOB,
        epoch=17,
        host="h1",
        base_commit=BASE,
        branch="agent/fix-rounding",
        evidence=v.Evidence(
            words=8,
            overlap=2,
            paths=("src/round.py",),
            recent_commits=3,
            recent_commits_all=41,
            open_pull_requests=1,
            degraded=("forge: answered 502",),
        ),
        tip=COMMIT,
    ),
    e.AgentRequested(attempt=2, host="h1", session_id="s-1", messages=(MESSAGE,)),
    e.AgentSucceeded(job=JOB, epoch=17, change=CHANGE, usage_of_session=True, session_restarted=True),
    e.AgentFailed(
        job=JOB,
        epoch=17,
        error_class="agent.no_change",
        message="nothing changed",
        kept=KEPT,
        usage_of_session=True,
        session_restarted=True,
    ),
    e.TaskUnblocked(unblocked_by="api:ana", max_cost_usd=5.0, max_wall_seconds=7_200.0),
)
"""Types that have gained fields, once more and with values in these."""
