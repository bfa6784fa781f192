"""A task's events and output as lines for a terminal.

Rule of this room: pure, and whatever an agent prints, what leaves here is one line that a terminal does not obey.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple, TypeAlias, assert_never

from penstock import events as e
from penstock.codec import type_of
from penstock.output import OutputBatch
from penstock.values import CommandResult, Usage

LINE_LENGTH_MAX: Final = 160

_CONTROL: Final = re.compile("[\x00-\x20\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]+")


class Line(NamedTuple):
    """`mood`: how it went, for the colour: "step", "good", "bad", "note" or "dim"."""

    mood: str
    text: str
    detail: str = ""


def plain(text: str, longest: int = LINE_LENGTH_MAX) -> str:
    """`text` on one line, without control characters, of at most `longest` characters."""
    flat = _CONTROL.sub(" ", text).strip()
    return flat if len(flat) <= longest else flat[: longest - 1] + "…"


def line_of(event: e.AnyEvent) -> Line:
    """The event in words."""
    if isinstance(event, e.Unknown):
        return Line("note", plain(event.type), "of a later version")
    mood, text, detail = _line_of(event)
    return Line(mood, plain(text), plain(detail))


def lines_of(batch: OutputBatch) -> list[Line]:
    """What the job printed."""
    return [
        Line("dim", plain(f"{line.tool or line.kind}: {line.text}"))
        for line in batch.lines
        # Nor the rulers that test runners draw.
        if line.text.strip("-= \n") and line.kind != "usage"
    ]


OfTheTask: TypeAlias = (
    e.TaskSubmitted
    | e.TaskAdmitted
    | e.DependencyResolved
    | e.PriorityChanged
    | e.TaskCancelRequested
    | e.TaskParked
    | e.TaskBlocked
    | e.TaskUnblocked
    | e.TaskWoken
    | e.TaskSucceeded
    | e.TaskUnverified
    | e.TaskFailed
    | e.TaskCancelled
)
OfAJob: TypeAlias = (
    e.PrepareRequested
    | e.AgentRequested
    | e.PlanRequested
    | e.CompactRequested
    | e.VerifyRequested
    | e.PublishRequested
    | e.JobClaimed
    | e.JobLost
    | e.JobStopRequested
    | e.JobStopped
    | e.AgentProgressed
    | e.NetworkDenied
)
OfAnEnd: TypeAlias = (
    e.PrepareSucceeded
    | e.PrepareFailed
    | e.AgentSucceeded
    | e.AgentFailed
    | e.PlanFailed
    | e.CompactSucceeded
    | e.CompactFailed
    | e.VerifySucceeded
    | e.VerifyFailed
    | e.VerifySkipped
    | e.PublishSucceeded
    | e.PublishFailed
)
OfReview: TypeAlias = (
    e.ObserveRequested
    | e.PullRequestObserved
    | e.ObserveFailed
    | e.PullRequestStirred
    | e.FeedbackAccepted
    | e.PullRequestTakenOver
)
OfPeople: TypeAlias = (
    e.PlanProposed
    | e.PlanCommented
    | e.PlanApproved
    | e.PlanRejected
    | e.PlanUnanswered
    | e.MessageAccepted
    | e.MessageTold
    | e.MessageDelivered
    | e.MessageConsumed
    | e.DecisionRaised
    | e.DecisionAnswered
    | e.CompactionAsked
)


def _line_of(event: e.KnownEvent) -> Line:
    if isinstance(event, OfTheTask):
        return _task_line(event)
    if isinstance(event, OfAJob):
        return _job_line(event)
    if isinstance(event, OfAnEnd):
        return _end_line(event)
    if isinstance(event, OfPeople):
        return _people_line(event)
    if isinstance(event, OfReview):
        return _review_line(event)
    match event:
        case e.GateScored():
            asks = "; a person is asked first" if event.abstained else ""
            mood = "note" if event.abstained or event.warnings else "dim"
            warned = f": {'; '.join(event.warnings)}" if event.warnings else ""
            return Line(mood, "scored", f"{event.score:.0f} of 100, {event.confidence} confidence{asks}{warned}")
        case e.MemoryRecalled():
            short = f" ({event.degraded})" if event.degraded else ""
            told = "; ".join(f"{item.kind}: {item.title} ({item.similarity:.0%})" for item in event.items)
            return Line("note" if event.degraded else "dim", "recalled", (told or "nothing like it") + short)
        case e.FailureClassified():
            again = f", {event.times} times in a row" if event.times > 1 else ""
            return Line("note", "looks like", f"{event.error_class} ({event.severity}{again})")
        case e.TaskEscalated():
            return Line("note", "escalated", f"{event.error_class}, to {event.to.replace('_', ' ')}")
        case e.FailedOver():
            now, before = (f"{event.to_vendor} {event.to_model}", f"{event.from_vendor} {event.from_model}")
            return Line("note", "failed over", f"to {now.strip()} from {before.strip()}, after {event.error_class}")
        case e.BudgetWarned():
            return Line("note", "budget", f"{event.spent:g} of {event.limit:g} ({event.budget}) are spent")
        case e.HistoryCompacted():
            sizes = f"{event.characters_in} characters became {event.characters_out}"
            return Line("note", "compacted", f"{sizes}, by {event.made_by}: {event.reason}")
        case e.PreflightFailed():
            return Line("bad", "held back", f"{event.error_class}: {event.message}")
        case never:
            assert_never(never)


def _review_line(event: OfReview) -> Line:
    match event:
        case e.ObserveRequested():
            return Line("dim", "looks", f"at the pull request: {event.why.replace('_', ' ')}")
        case e.PullRequestObserved():
            new = _feedback(len(event.comments), len(event.failed_checks))
            mood = "bad" if event.state == "closed" else "good" if event.state == "merged" else "note" if new else "dim"
            said = f"pull request {event.pull_request} is {event.state}, checks {event.checks}"
            return Line(mood, "in review", said + (f"; new: {new}" if new else ""))
        case e.ObserveFailed():
            return Line("note", "cannot look", f"{event.error_class}: {event.message}")
        case e.PullRequestStirred():
            return Line("dim", "hinted", f"the forge has news: {event.what}" + (f", by {event.by}" if event.by else ""))
        case e.FeedbackAccepted():
            return Line("step", f"fix run {event.number}", f"for {_feedback(len(event.comments), len(event.checks))}")
        case e.PullRequestTakenOver():
            return Line(
                "note", "taken over", f"somebody else has pushed {event.head_commit[:12]}: theirs to merge or close"
            )
        case _:
            assert_never(event)


def _feedback(comments: int, checks: int) -> str:
    said = [
        f"{count} {thing}{'' if count == 1 else 's'}" for count, thing in ((comments, "comment"), (checks, "check"))
    ]
    return " and ".join(one for one in said if not one.startswith("0 "))


def _task_line(event: OfTheTask) -> Line:
    match event:
        case e.TaskSubmitted():
            return Line("step", "submitted", event.title)
        case e.TaskAdmitted():
            return Line("dim", "admitted", f"after {event.waited_seconds:.1f} s, with priority {event.priority}")
        case e.DependencyResolved():
            return Line("note", "waited for", f"task {event.on}, which is {event.outcome}")
        case e.PriorityChanged():
            return Line("note", "moved", f"to priority {event.priority} by {event.changed_by}")
        case e.TaskParked():
            return Line("note", "parked", f"{event.message} (until {event.wake_at:%H:%M:%S} UTC)")
        case e.TaskBlocked():
            return Line("bad", "blocked", f"{event.message}; {event.can_do}")
        case e.TaskUnblocked():
            return Line("note", "unblocked", f"by {event.unblocked_by}")
        case e.TaskWoken():
            return Line("note", "woken", f"by {event.woken_by}")
        case e.TaskSucceeded():
            but = f", but: {', '.join(event.reservations)}" if event.reservations else ""
            return Line(
                "good", "succeeded", f"in {event.attempts} {'attempt' if event.attempts == 1 else 'attempts'}{but}"
            )
        case e.TaskUnverified():
            return Line("note", "unverified", event.reason)
        case e.TaskFailed():
            return Line("bad", "failed", f"{event.error_class}: {event.message}")
        case e.TaskCancelled() | e.TaskCancelRequested():
            return Line("bad", _noun(event), event.reason)
        case never:
            assert_never(never)


def _job_line(event: OfAJob) -> Line:
    match event:
        case e.AgentRequested():
            hint, *_ = event.hint.strip().splitlines() or [""]
            return Line("step", f"attempt {event.attempt}", f"hint: {hint}" if hint else "")
        case e.PlanRequested():
            return Line("step", f"plan {event.number}", f"{len(event.comments)} comments" if event.comments else "")
        case e.CompactRequested():
            return Line("dim", "to summarise", event.reason)
        case e.PrepareRequested():
            return Line("dim", "to prepare", "a clone of its own")
        case e.VerifyRequested():
            return Line("dim", "to verify", event.commit[:10])
        case e.PublishRequested():
            return Line("dim", "to hand over", f"{event.commit[:10]} as {event.flow}")
        case e.JobClaimed():
            return Line("dim", "begun", f"on {event.host}")
        case e.JobLost() | e.JobStopped():
            return Line("note", _noun(event), event.reason)
        case e.JobStopRequested():
            return Line("note", "told to stop", f"{event.reason}: {event.message}" if event.message else event.reason)
        case e.NetworkDenied():
            times = f", {event.count} times" if event.count > 1 else ""
            target = event.target or "other targets"
            return Line("note", "kept inside", f"{target} ({event.what}{times}): {event.reason}")
        case e.AgentProgressed(usage=usage):
            return Line("dim", "at work", f"{usage.turns} turns, {_cost(usage)} so far")
        case never:
            assert_never(never)


def _end_line(event: OfAnEnd) -> Line:
    match event:
        case e.PrepareSucceeded():
            could = f"; {len(event.proposed)} commands could check it, by its own files" if event.proposed else ""
            return Line("step", "prepared", f"a clone of its own, at {event.base_commit[:10]}{could}")
        case e.AgentSucceeded(change=change):
            changed = ", ".join(change.files)
            return Line("step", "changed", f"{changed} (+{change.lines_added} -{change.lines_removed})")
        case e.CompactSucceeded():
            return Line("dim", "summarised", f"in {len(event.summary)} characters")
        case e.VerifySucceeded():
            return Line("good", "verified", f"{_commands(event.commands)} on {event.commit[:10]}")
        case e.VerifyFailed():
            return Line("bad", "not good enough", _commands(event.commands) or event.message)
        case e.VerifySkipped():
            return Line("note", "not verified", event.reason)
        case e.PublishSucceeded(delivery=delivery, findings=findings):
            seen = (
                f" ({len(findings)} to look at: {', '.join(sorted({one.rule for one in findings}))})"
                if findings
                else ""
            )
            return Line("step", "handed over", f"{delivery.kind} {delivery.url}".strip() + seen)
        case e.PrepareFailed() | e.AgentFailed() | e.PlanFailed() | e.CompactFailed() | e.PublishFailed():
            return Line("bad", _noun(event), f"{event.error_class}: {event.message}")
        case never:
            assert_never(never)


def _people_line(event: OfPeople) -> Line:
    match event:
        case e.PlanProposed(plan=plan):
            return Line("note", "plan waits", f"{plan.summary} ({len(plan.steps)} steps, risk {plan.risk})")
        case e.PlanCommented():
            return Line("note", "plan commented", f"{event.commented_by}: {event.comment}")
        case e.PlanApproved():
            return Line("good", "plan approved", f"by {event.approved_by}")
        case e.PlanRejected():
            return Line("bad", "plan rejected", f"by {event.rejected_by}: {event.reason}")
        case e.PlanUnanswered():
            return Line("note", "plan unanswered", f"for {event.waited_seconds:.0f} s, which means {event.meaning}")
        case e.MessageAccepted():
            return Line("note", "message", f"{event.sender or event.from_task}: {event.text}")
        case e.MessageTold() | e.MessageDelivered() | e.MessageConsumed():
            return Line("dim", _noun(event), event.message)
        case e.DecisionRaised():
            return Line("bad", "decision needed", f"{event.subject}: {event.question}")
        case e.DecisionAnswered():
            return Line("note", "decided", f"{event.answered_by}: {event.answer}")
        case e.CompactionAsked():
            return Line("note", "summary wanted", f"by {event.asked_by}")
        case never:
            assert_never(never)


def _cost(usage: Usage) -> str:
    return "cost unknown" if usage.cost_usd is None else f"${usage.cost_usd:.2f}"


def _noun(event: e.Event) -> str:
    return type_of(event).replace("_", " ")


def _commands(commands: tuple[CommandResult, ...]) -> str:
    return ", ".join(f"`{result.command}` {_ended(result)}" for result in commands)


def _ended(result: CommandResult) -> str:
    if result.flaky:
        return "FLAKY: passed when it was run again"
    if result.passed:
        return "passed"
    ended = result.ended if result.exit_code is None else f"exit code {result.exit_code}"
    return f"{ended}, as before the change" if result.failed_before else ended
