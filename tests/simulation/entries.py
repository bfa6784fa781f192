"""What each event of the log means to the second book of its task.

Rule of this room: in the plainest words; nothing here asks the core.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from penstock.events import (
    AgentFailed,
    AgentProgressed,
    AgentRequested,
    AgentSucceeded,
    BudgetWarned,
    CompactionAsked,
    DecisionAnswered,
    DecisionRaised,
    DependencyResolved,
    FailedOver,
    FailureClassified,
    FeedbackAccepted,
    HistoryCompacted,
    JobClaimed,
    JobLost,
    JobStopped,
    MemoryRecalled,
    MessageAccepted,
    MessageConsumed,
    MessageTold,
    ObserveRequested,
    PlanApproved,
    PlanCommented,
    PlanFailed,
    PlanProposed,
    PlanRejected,
    PlanRequested,
    PlanUnanswered,
    PreflightFailed,
    PrepareFailed,
    PublishFailed,
    PublishRequested,
    PublishSucceeded,
    PullRequestObserved,
    PullRequestTakenOver,
    Recorded,
    TaskAdmitted,
    TaskBlocked,
    TaskCancelRequested,
    TaskParked,
    TaskUnblocked,
    TaskWoken,
    VerifyFailed,
)
from simulation.book import COSTS_NOTHING, Book


def _claimed(book: Book, event: JobClaimed, _: Recorded) -> None:
    book.claimed = (event.job, event.epoch)


def _lost(book: Book, event: JobLost, _: Recorded) -> None:
    book.turns_of_session[book.session] = book.turns_of_session.get(book.session, 0) + book.told_turns
    if not event.host_gone and book.job_kind is AgentRequested and book.told_turns:
        # Its session is there still, and knows what it was told.
        book.worked()
    book.lose()


def _agent_asked(book: Book, event: AgentRequested, recorded: Recorded) -> None:
    book.asked[recorded.id] = event.messages
    book.job_told = recorded.id


def _plan_asked(book: Book, event: PlanRequested, _: Recorded) -> None:
    book.plans_asked = event.number


def _agent_done(book: Book, event: AgentSucceeded, _: Recorded) -> None:
    book.worked()


def _agent_failed(book: Book, event: AgentFailed, _: Recorded) -> None:
    hosts = event.error_class == "env.disk_full" or event.error_class.startswith("host.")
    book.count_failure(not (event.transient or hosts or event.error_class in COSTS_NOTHING))
    if book.worked_turns:
        book.worked()
    book.retry_at = event.retry_at


def _stopped(book: Book, event: JobStopped, _: Recorded) -> None:
    if book.worked_turns and book.job_kind is AgentRequested:
        book.worked()


def _plan_failed(book: Book, event: PlanFailed, _: Recorded) -> None:
    hosts = event.error_class == "env.disk_full" or event.error_class.startswith("host.")
    book.count_failure(not (event.transient or hosts))
    book.retry_at = event.retry_at


def _check_failed(book: Book, event: VerifyFailed, _: Recorded) -> None:
    book.retry_at = None
    if event.commands and all(one.before is not None and one.before.new_failures == 0 for one in event.commands):
        # Nothing is worse than it was: that is no failure of this task.
        return
    hosts = event.error_class == "env.disk_full" or event.error_class.startswith("host.")
    book.count_failure(not hosts)


def _outside(book: Book, event: PreflightFailed, _: Recorded) -> None:
    book.retry_at = None
    book.count_failure(True)


def _failed_without_a_word(book: Book, event: PrepareFailed | PublishFailed, _: Recorded) -> None:
    book.retry_at = None
    book.count_failure(event.error_class.startswith("preflight."))


def _classified(book: Book, event: FailureClassified, _: Recorded) -> None:
    if event.severity == "park" and book.counted:
        # What passes by itself is no attempt.
        book.failures -= 1
    book.counted = False


def _proposed(book: Book, event: PlanProposed, recorded: Recorded) -> None:
    book.failures = 0
    book.plan, book.plan_number, book.plan_at = event.plan, book.plans_asked, recorded.at
    book.answer, book.slot = "", False


def _approved(book: Book, event: PlanApproved, _: Recorded) -> None:
    if event.number == book.plan_number:
        book.answer = "approved"


def _rejected(book: Book, event: object, _: Recorded) -> None:
    book.answer = "rejected"


def _commented(book: Book, event: PlanCommented, _: Recorded) -> None:
    book.answer = "commented"
    book.comments = (*book.comments, event.comment)


def _unanswered(book: Book, event: PlanUnanswered, _: Recorded) -> None:
    gate = book.spec.plan_gate.silence
    if event.meaning == "approve" and gate == "approve_if_low_risk" and book.plan is not None:
        book.answer = "approved" if book.plan.risk == "low" else book.answer
    elif event.meaning == "deny" and gate == "deny":
        book.answer = "rejected"


def _over(book: Book, event: FailedOver, recorded: Recorded) -> None:
    book.failures = 0
    book.failovers += 1
    # Another vendor is another account: the slot is asked for anew.
    book.slot = book.slot and event.to_vendor == book.vendor
    book.vendor, book.model = event.to_vendor, event.to_model


def _message(book: Book, event: MessageAccepted, _: Recorded) -> None:
    book.unread.add(event.message)
    if event.from_task:
        book.of_agents.add(event.message)


def _consumed(book: Book, event: MessageConsumed, _: Recorded) -> None:
    book.unread.discard(event.message)


def _told(book: Book, event: MessageTold, _: Recorded) -> None:
    book.asked[event.job] = (*book.asked.get(event.job, ()), event.message)


def _question(book: Book, event: DecisionRaised, _: Recorded) -> None:
    book.questions.add(event.decision)
    book.open_questions.add(event.decision)


def _answered(book: Book, event: DecisionAnswered, _: Recorded) -> None:
    book.unread.add(event.decision)
    book.open_questions.discard(event.decision)
    if book.blocked.startswith("decision.") and not book.open_questions:
        book.blocked = ""


def _progress(book: Book, event: AgentProgressed, _: Recorded) -> None:
    # An older word may come later: what was used does not become less.
    book.told_cost = max(book.told_cost, book.known_cost(event.usage))
    book.told_wall = max(book.told_wall, event.usage.wall_seconds)
    book.told_turns = max(book.told_turns, event.usage.turns)


def _slot(book: Book, event: TaskAdmitted, _: Recorded) -> None:
    book.slot = True


def _dependency(book: Book, event: DependencyResolved, _: Recorded) -> None:
    before = book.waits_in_vain
    book.resolved[event.on] = event.outcome
    if book.blocked.startswith("dependency.") and book.waits_in_vain != before:
        book.blocked = ""


def _recalled(book: Book, _: MemoryRecalled, __: Recorded) -> None:
    book.recalled = True


def _warned(book: Book, event: BudgetWarned, _: Recorded) -> None:
    book.warned.add(event.budget)


def _parked(book: Book, event: TaskParked, _: Recorded) -> None:
    book.wake_at, book.parked_for, book.slot = event.wake_at, event.reason, False


def _woken(book: Book, event: TaskWoken, _: Recorded) -> None:
    book.wake_at = None
    if book.parked_for == "night_window":
        book.waived.add("night_window")


def _blocked(book: Book, event: TaskBlocked, _: Recorded) -> None:
    book.blocked, book.wake_at, book.slot = event.reason, None, False


def _unblocked(book: Book, event: TaskUnblocked, _: Recorded) -> None:
    in_vain = book.waits_in_vain
    book.caps_lifted += book.blocked == "review.fix_runs"
    book.waived.add(book.blocked if in_vain is None else f"dependency.{in_vain}")
    book.blocked = ""
    book.failures = min(book.failures, book.spec.max_attempts - 1)
    if event.max_cost_usd is not None:
        book.max_cost_usd = event.max_cost_usd
        book.warned.discard("cost")
    if event.max_wall_seconds is not None:
        book.max_wall_seconds = event.max_wall_seconds
        book.warned.discard("wall")


def _cancel(book: Book, event: TaskCancelRequested, _: Recorded) -> None:
    book.cancel_asked, book.wake_at, book.blocked = True, None, ""


def _published(book: Book, event: PublishSucceeded, _: Recorded) -> None:
    book.published += 1
    if book.spec.policy.follow is not None and event.delivery.kind == "pull_request":
        # It waits for others, and holds nothing.
        book.in_review, book.fixing, book.slot = True, False, False
        book.pushed_last = book.seen_head = event.delivery.commit
        book.red = False


def _of_look(book: Book, event: object) -> None:
    """What is said of the look that is on its way."""
    if isinstance(event, JobClaimed):
        book.look_claimed = (event.job, event.epoch)
        return
    book.look, book.look_claimed = "", ("", -1)
    if not isinstance(event, PullRequestObserved):
        return
    follow = book.spec.policy.follow
    named = () if follow is None else follow.reviewers
    for one in event.comments:
        if one.id not in book.known and not book.taken_over and (not named or one.author in named):
            book.pending.add(one.id)
        book.known.add(one.id)
    ours = event.head_commit == book.pushed_last and event.head_commit not in book.answered_heads
    book.red = event.checks == "failed" and ours and not book.fixing and not book.taken_over
    if not (book.job and book.job_kind is PublishRequested):
        book.seen_head = event.head_commit or book.seen_head
    if book.blocked.startswith("observe.") or (book.blocked == "review.fix_runs" and not (book.pending or book.red)):
        book.blocked = ""


def _look(book: Book, event: ObserveRequested, recorded: Recorded) -> None:
    book.look, book.look_claimed = recorded.id, ("", -1)


def _fix(book: Book, event: FeedbackAccepted, _: Recorded) -> None:
    book.fixing, book.fixes, book.failures, book.slot = True, book.fixes + 1, 0, False
    book.answered_comments |= {*event.comments}
    book.pending -= {*event.comments}
    if event.checks:
        book.answered_heads.add(event.head_commit)
    book.red = False


def _taken(book: Book, event: PullRequestTakenOver, _: Recorded) -> None:
    book.taken_over, book.fixing, book.slot = True, False, False
    book.blocked, book.wake_at, book.red = "", None, False
    book.pending.clear()
    book.open_questions.clear()
    if not book.claimed[0]:
        book.job = ""


def _compaction(book: Book, event: CompactionAsked, _: Recorded) -> None:
    book.compaction_asked = True


def _compacted(book: Book, event: HistoryCompacted, _: Recorded) -> None:
    book.compaction_asked = False


# The key decides the event's type, which a table cannot say.
_ENTRIES: Final[dict[type, Callable[..., None]]] = {
    JobClaimed: _claimed,
    JobLost: _lost,
    AgentRequested: _agent_asked,
    PlanRequested: _plan_asked,
    AgentSucceeded: _agent_done,
    AgentFailed: _agent_failed,
    JobStopped: _stopped,
    PlanFailed: _plan_failed,
    VerifyFailed: _check_failed,
    PreflightFailed: _outside,
    PrepareFailed: _failed_without_a_word,
    PublishFailed: _failed_without_a_word,
    FailureClassified: _classified,
    PlanProposed: _proposed,
    PlanApproved: _approved,
    PlanCommented: _commented,
    PlanUnanswered: _unanswered,
    FailedOver: _over,
    MessageAccepted: _message,
    MessageConsumed: _consumed,
    MessageTold: _told,
    DecisionRaised: _question,
    DecisionAnswered: _answered,
    AgentProgressed: _progress,
    TaskAdmitted: _slot,
    DependencyResolved: _dependency,
    BudgetWarned: _warned,
    MemoryRecalled: _recalled,
    PlanRejected: _rejected,
    TaskParked: _parked,
    TaskWoken: _woken,
    TaskBlocked: _blocked,
    TaskUnblocked: _unblocked,
    TaskCancelRequested: _cancel,
    PublishSucceeded: _published,
    ObserveRequested: _look,
    FeedbackAccepted: _fix,
    PullRequestTakenOver: _taken,
    CompactionAsked: _compaction,
    HistoryCompacted: _compacted,
}


def enter(book: Book, recorded: Recorded) -> None:
    """One more event of the log."""
    if book.look and getattr(recorded.data, "job", "") == book.look:
        _of_look(book, recorded.data)
        return
    book.begins_or_ends(recorded)
    entry = _ENTRIES.get(type(recorded.data))
    if entry is not None:
        entry(book, recorded.data, recorded)
