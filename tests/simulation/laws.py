"""Which law is asked about which event: before it is entered into the book, or after.

Rule of this room: a table. Of what the fleet decides, a leader is judged by what it has read: two at once each keep the
limits by what they know.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

from penstock.events import (
    AgentProgressed,
    AgentRequested,
    BudgetWarned,
    CompactionAsked,
    DecisionAnswered,
    DecisionRaised,
    FailedOver,
    FeedbackAccepted,
    GateScored,
    JobClaimed,
    JobLost,
    MemoryRecalled,
    MessageAccepted,
    MessageConsumed,
    MessageDelivered,
    MessageTold,
    NetworkDenied,
    ObserveFailed,
    ObserveRequested,
    PlanApproved,
    PlanCommented,
    PlanRejected,
    PlanRequested,
    PlanUnanswered,
    PrepareRequested,
    PriorityChanged,
    PublishRequested,
    PublishSucceeded,
    PullRequestObserved,
    TaskCancelled,
    TaskCancelRequested,
    TaskFailed,
    TaskParked,
    TaskSucceeded,
    TaskUnblocked,
    TaskUnverified,
    TaskWoken,
    VerifySkipped,
)
from simulation.book import REQUESTS, RUN_ENDS
from simulation.end_laws import (
    checks_are_skipped_on_purpose,
    delivered_once,
    nothing_unchecked_is_published,
    outcomes_are_honest,
    published_changes_are_read,
    the_plan_is_kept,
)
from simulation.job_laws import (
    a_command_is_done_once,
    a_job_is_claimed_once,
    agents_only_talk,
    blocked_until_let_go,
    dependencies_are_closed,
    no_work_without_a_slot,
    one_job_at_a_time,
    only_the_running_job_is_lost,
    parked_until_its_time,
    sequences_grow,
    the_end_is_the_end,
    the_stale_are_refused,
    what_is_paused_waits,
)
from simulation.memory_laws import a_task_recalls_once, agents_are_told_what_is_remembered
from simulation.money_laws import (
    a_budget_is_warned_of_once,
    agents_keep_the_hours,
    attempts_are_counted_once,
    it_fails_over_once,
    spending_is_counted_once,
    spending_never_falls,
    the_budget_holds,
    the_days_budget_holds,
    tries_are_counted,
    waits_are_believable,
)
from simulation.people_laws import (
    a_message_is_told_once,
    a_message_is_told_to_one_run,
    a_person_has_approved,
    a_question_is_asked_once,
    a_task_is_scored_once,
    asked_compaction_comes_first,
    commands_take_effect,
    comments_reach_the_next_plan,
    consumed_is_read,
    delivered_is_begun,
    doubtful_tasks_wait,
    messages_are_kept,
    questions_wait_for_a_person,
    silence_takes_its_time,
)
from simulation.review_laws import (
    feedback_is_answered_once,
    nothing_after_a_human_commit,
    one_fix_run_at_a_time,
    one_look_at_a_time,
    only_a_fix_run_works_on,
    reviewers_count_alone,
    the_cap_holds,
)
from simulation.world import Step

Law: TypeAlias = Callable[[Step], str]

ALWAYS: Final[tuple[Law, ...]] = (sequences_grow, the_end_is_the_end, a_command_is_done_once, agents_only_talk)
AFTERWARDS: Final[tuple[Law, ...]] = (
    spending_is_counted_once,
    spending_never_falls,
    attempts_are_counted_once,
    messages_are_kept,
)
_STEP: Final[tuple[Law, ...]] = (
    one_job_at_a_time,
    no_work_without_a_slot,
    parked_until_its_time,
    blocked_until_let_go,
    dependencies_are_closed,
    what_is_paused_waits,
    nothing_after_a_human_commit,
    only_a_fix_run_works_on,
)
_PAID: Final[tuple[Law, ...]] = (the_budget_holds, the_days_budget_holds, tries_are_counted)
_TO_PERSON: Final[tuple[Law, ...]] = (commands_take_effect,)
_END: Final[tuple[Law, ...]] = (outcomes_are_honest,)

ABOUT: Final[dict[type, tuple[Law, ...]]] = {
    **dict.fromkeys(REQUESTS, _STEP),
    **dict.fromkeys((*RUN_ENDS, AgentProgressed), (the_stale_are_refused,)),
    **dict.fromkeys((TaskSucceeded, TaskUnverified, TaskFailed, TaskCancelled), _END),
    **dict.fromkeys(
        (TaskCancelRequested, TaskUnblocked, TaskWoken, PriorityChanged, CompactionAsked, MessageAccepted), _TO_PERSON
    ),
    **dict.fromkeys((PlanApproved, PlanRejected, PlanCommented, DecisionAnswered), _TO_PERSON),
    PrepareRequested: (*_STEP, agents_keep_the_hours),
    PlanRequested: (
        *_STEP,
        *_PAID,
        agents_keep_the_hours,
        comments_reach_the_next_plan,
        doubtful_tasks_wait,
        agents_are_told_what_is_remembered,
    ),
    AgentRequested: (
        *_STEP,
        *_PAID,
        agents_keep_the_hours,
        a_person_has_approved,
        agents_are_told_what_is_remembered,
        doubtful_tasks_wait,
        a_message_is_told_to_one_run,
        asked_compaction_comes_first,
        questions_wait_for_a_person,
    ),
    PublishRequested: (
        *_STEP,
        questions_wait_for_a_person,
        nothing_unchecked_is_published,
        published_changes_are_read,
        the_plan_is_kept,
    ),
    ObserveRequested: (one_look_at_a_time,),
    PullRequestObserved: (the_stale_are_refused,),
    ObserveFailed: (the_stale_are_refused,),
    FeedbackAccepted: (
        feedback_is_answered_once,
        reviewers_count_alone,
        one_fix_run_at_a_time,
        the_cap_holds,
        nothing_after_a_human_commit,
        blocked_until_let_go,
    ),
    PublishSucceeded: (the_stale_are_refused, delivered_once),
    VerifySkipped: (checks_are_skipped_on_purpose,),
    DecisionRaised: (the_stale_are_refused, a_question_is_asked_once),
    NetworkDenied: (the_stale_are_refused,),
    MessageTold: (the_stale_are_refused, a_message_is_told_once),
    JobClaimed: (a_job_is_claimed_once,),
    JobLost: (only_the_running_job_is_lost,),
    FailedOver: (it_fails_over_once,),
    BudgetWarned: (a_budget_is_warned_of_once,),
    TaskParked: (waits_are_believable,),
    PlanUnanswered: (silence_takes_its_time,),
    GateScored: (a_task_is_scored_once,),
    MemoryRecalled: (a_task_recalls_once,),
    MessageDelivered: (delivered_is_begun,),
    MessageConsumed: (consumed_is_read,),
}
