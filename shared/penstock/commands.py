"""Commands: what a person or a program may ask of the orchestrator, and its typed answer.

Rule of this room: a command carries its id; sent twice it is answered twice and done once. Whoever carries a command for an
agent says so in `as_agent_of`: an agent may write messages and raise decisions, and nothing else.
"""

from __future__ import annotations

from typing import Annotated, Final, TypeAlias

from msgspec import UNSET, Meta, Struct, UnsetType

from penstock.bounds import Count, Id, Line, Message, Name, Priority, Seconds, Text, Title, Usd, Word
from penstock.values import Origin, Utc
from penstock.wish import Wish


class SubmitTask(Wish, frozen=True, kw_only=True, tag="submit_task", tag_field="kind", forbid_unknown_fields=True):
    """Ask for a change in a repo of the catalogue. `task` is the id the new task will have; what is left out comes from the
    `template`, the repo and the defaults."""

    id: Id
    task: Id
    template: Name | UnsetType = UNSET
    submitted_by: Line = ""
    as_agent_of: Word = ""
    origin: Origin | None = None


class Asked(Struct, frozen=True, kw_only=True, tag_field="kind", forbid_unknown_fields=True):
    """What every other command says: its own id, the task it is about, and who wants it. `via`: the way it came, such as
    `http` or a chat's name. `as_agent_of`: the task whose agent asks, empty for a person or a program."""

    id: Id
    task: Id
    requested_by: Line = ""
    via: Word = ""
    as_agent_of: Word = ""


class RetryTask(Asked, frozen=True, kw_only=True, tag="retry_task"):
    """Ask once more for what the finished task `of` was asked for, as the new task `task`."""

    of: Id


class ContinueTask(Asked, frozen=True, kw_only=True, tag="continue_task"):
    """Go on from what the finished task `of` has handed over, on the same branch and pull request, as the new task `task`."""

    of: Id
    title: Title
    description: Text = ""


class CancelTask(Asked, frozen=True, kw_only=True, tag="cancel_task"):
    """Stop the task at whatever it is doing; its work is kept."""

    reason: Line = ""


class UnblockTask(Asked, frozen=True, kw_only=True, tag="unblock_task"):
    """Let a blocked task try again, after a person has done what it asked for; `max_cost_usd` and `max_wall_seconds` are new
    limits for the whole task where it is to have more."""

    max_cost_usd: Usd | None = None
    max_wall_seconds: Seconds | None = None


class WakeTask(Asked, frozen=True, kw_only=True, tag="wake_task"):
    """Let a parked task try now what it waits for."""


class PrioritizeTask(Asked, frozen=True, kw_only=True, tag="prioritize_task"):
    """Move the task in the queue; 1 is first."""

    priority: Priority


class CompactTask(Asked, frozen=True, kw_only=True, tag="compact_task"):
    """Let the next run start afresh from a summary."""


class ApprovePlan(Asked, frozen=True, kw_only=True, tag="approve_plan"):
    """Let the plan with this number be carried out."""

    number: Count


class RejectPlan(Asked, frozen=True, kw_only=True, tag="reject_plan"):
    """End the task: neither this plan nor another one is wanted."""

    number: Count
    reason: Line = ""


class CommentPlan(Asked, frozen=True, kw_only=True, tag="comment_plan"):
    """Ask for a new plan that takes the comment into account."""

    number: Count
    comment: Message


class SendMessage(Asked, frozen=True, kw_only=True, tag="send_message"):
    """Tell the task's agent something; the command's id is the message's."""

    text: Message


class RaiseDecision(Asked, frozen=True, kw_only=True, tag="raise_decision"):
    """An agent's own question to a person; the command's id is the decision's."""

    subject: Word
    question: Message
    options: tuple[Line, ...] = ()


class AnswerDecision(Asked, frozen=True, kw_only=True, tag="answer_decision"):
    """A person's answer to what an agent has raised."""

    decision: Id
    answer: Message


class ClaimJob(Struct, frozen=True, kw_only=True, tag="claim_job", tag_field="kind", forbid_unknown_fields=True):
    """An executor holds the job's lease at revision `epoch` and asks to begin."""

    id: Id
    task: Id
    job: Id
    host: Name
    epoch: Count
    instance: Word


class StirPullRequest(
    Struct, frozen=True, kw_only=True, tag="stir_pull_request", tag_field="kind", forbid_unknown_fields=True
):
    """A forge says that something has happened to a pull request of the repo, known by its number or the branch it is made
    from. A hint: whoever follows it looks. `what`: the forge's word for it, `by`: who did it there."""

    id: Id
    repo: Name
    number: Count | None = None
    branch: Annotated[str, Meta(max_length=200)] = ""
    what: Word = ""
    by: Line = ""
    via: Word = ""

    @property
    def task(self) -> str:
        """None is named: it is about whichever has become this pull request."""
        return ""


class WhyTask(Struct, frozen=True, kw_only=True, tag="why_task", tag_field="kind", forbid_unknown_fields=True):
    """A question, not a wish: why is the task not moving, as the queue sees it this moment?"""

    id: Id
    task: Id


class ExplainTask(Struct, frozen=True, kw_only=True, tag="explain_task", tag_field="kind", forbid_unknown_fields=True):
    """A question, not a wish: what has happened to the task after sequence `after`, and by which rule each step was made?"""

    id: Id
    task: Id
    after: Count = 0


NewTask: TypeAlias = SubmitTask | RetryTask | ContinueTask
"""Commands whose `task` does not exist yet."""

TaskCommand: TypeAlias = (
    CancelTask
    | UnblockTask
    | WakeTask
    | PrioritizeTask
    | CompactTask
    | ApprovePlan
    | RejectPlan
    | CommentPlan
    | SendMessage
    | RaiseDecision
    | AnswerDecision
    | ClaimJob
)
"""Commands about a task that exists."""

Question: TypeAlias = WhyTask | ExplainTask
"""What changes nothing."""

Command: TypeAlias = NewTask | TaskCommand | StirPullRequest | Question


class Accepted(Struct, frozen=True, kw_only=True, tag="accepted", tag_field="kind"):
    """Done, or already so. `seq` is the last sequence of the task's events, 0 where the task has none."""

    task: Id
    seq: Count


class RefusedReply(Struct, frozen=True, kw_only=True, tag="refused", tag_field="kind"):
    """No, and why, in words for the one who asked. `code`: unknown_task, unknown_repo, unknown_template, conflict, invalid,
    forbidden, not_possible."""

    code: Word
    message: Message
    field: Word = ""


class NotReady(Struct, frozen=True, kw_only=True, tag="not_ready", tag_field="kind"):
    """Nothing was done; ask again. `message` says what is waited for."""

    message: Message


class Why(Struct, frozen=True, kw_only=True, tag="why", tag_field="kind"):
    """The answer to WhyTask. `wake_at`: when the task moves by itself, None where no clock moves it. `position`: its place
    among the tasks that wait for a slot, 1 first, None where it does not wait for one."""

    task: Id
    seq: Count
    phase: Word
    why: Message
    can_move: Message
    wake_at: Utc | None = None
    position: Count | None = None


class Transition(Struct, frozen=True, kw_only=True):
    """One event of a task's log, and what it came of. `before` and `after`: the task's phase, `before` empty for the first
    event. `kind`: `decision` where the orchestrator's rules made it, then `rule` is the rule's name; else `input`, and
    `rule` says who or what brought it: command, report, queue, watch, gate, memory, or unknown for an event of a later version.
    `facts`: names and values of what the rule looked at, or of what the input said. `agrees`: today's rules would have
    decided the same; `instead`: the event that they would have decided, empty where they would have waited."""

    seq: Count
    at: Utc
    event: Word
    before: Word
    after: Word
    kind: Word
    rule: Word
    facts: tuple[tuple[Word, Line], ...]
    says: Message
    agrees: bool = True
    instead: Word = ""


class Explained(Struct, frozen=True, kw_only=True, tag="explained", tag_field="kind"):
    """The answer to ExplainTask: a page of the task's history, in order. `more`: ask again with the last one's `seq`."""

    task: Id
    transitions: tuple[Transition, ...]
    more: bool = False


class Stirred(Struct, frozen=True, kw_only=True, tag="stirred", tag_field="kind"):
    """The answer to StirPullRequest: the tasks that follow this pull request; none where nobody does."""

    tasks: tuple[Id, ...] = ()


Reply: TypeAlias = Accepted | RefusedReply | NotReady | Why | Explained | Stirred

SUBMIT_VERB = ("task", "submit")
CANCEL_VERB = ("task", "cancel")
UNBLOCK_VERB = ("task", "unblock")
CLAIM_VERB = ("job", "claim")

VERBS: Final[dict[type[Command], tuple[str, str]]] = {
    SubmitTask: SUBMIT_VERB,
    RetryTask: ("task", "retry"),
    ContinueTask: ("task", "continue"),
    CancelTask: CANCEL_VERB,
    UnblockTask: UNBLOCK_VERB,
    WakeTask: ("task", "wake"),
    PrioritizeTask: ("task", "prioritize"),
    CompactTask: ("task", "compact"),
    ApprovePlan: ("plan", "approve"),
    RejectPlan: ("plan", "reject"),
    CommentPlan: ("plan", "comment"),
    SendMessage: ("task", "message"),
    RaiseDecision: ("decision", "raise"),
    AnswerDecision: ("decision", "answer"),
    ClaimJob: CLAIM_VERB,
    StirPullRequest: ("task", "stir"),
    WhyTask: ("task", "why"),
    ExplainTask: ("task", "explain"),
}
"""Noun and verb of each command's subject."""


def verb_of(command: Command) -> tuple[str, str]:
    """Noun and verb of the command's subject."""
    return VERBS[type(command)]
