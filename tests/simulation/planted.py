"""Wrong versions of single decisions, to be put in the place of the right ones: would anybody notice?

Rule of this room: each is one slip that a person might make, in one function; the rest of the core stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from msgspec import Struct

from penstock_orchestrator.core import checks, decide, evolve, queue, reported, review
from penstock_orchestrator.core.fleet import Fleet
from simulation import wrong
from simulation.wrong import Put


class Planted(Struct, frozen=True):
    """A defect. `wrong`: what this version does; `caught_by`: the laws that may speak, one of which must."""

    name: str
    wrong: str
    caught_by: tuple[str, ...]
    plant: Callable[[Put], None]


@contextmanager
def planted(defect: Planted) -> Iterator[None]:
    """Within, the wrong version is in the right one's place."""
    kept: list[tuple[object, str, object]] = []

    def put(owner: object, name: str, wrong: object) -> None:
        kept.append((owner, name, getattr(owner, name)))
        setattr(owner, name, wrong)

    try:
        defect.plant(put)
        yield
    finally:
        for owner, name, right in reversed(kept):
            setattr(owner, name, right)


DEFECTS: Final = (
    Planted(
        "unchecked_on_top",
        "a change that was put on another base is handed over as it was checked on the old one",
        ("nothing_unchecked_is_published", "outcomes_are_honest"),
        wrong.unchecked_on_top,
    ),
    Planted(
        "stale_reports",
        "a report counts whoever sends it",
        ("the_stale_are_refused",),
        wrong.accepts_anybody,
    ),
    Planted("two_holders", "a job is granted to whoever asks", ("a_job_is_claimed_once",), wrong.grants_twice),
    Planted(
        "loss_unseen",
        "a lost job stays the task's job",
        ("only_the_running_job_is_lost", "it_comes_to_an_end"),
        wrong.puts(reported, "lost", wrong.same),
    ),
    Planted(
        "asks_while_working",
        "another job is asked for while one is at work",
        ("one_job_at_a_time",),
        wrong.rule("at_work", wrong.silent),
    ),
    Planted(
        "blocked_goes_on",
        "a blocked task goes on without its person",
        ("blocked_until_let_go",),
        wrong.rule("blocked", wrong.goes_on_unmended),
    ),
    Planted(
        "parks_for_nothing",
        "the time to wake is not kept",
        ("parked_until_its_time",),
        wrong.decided(wrong.parks_for_nothing),
    ),
    Planted(
        "mail_unread",
        "a change is handed over though a message waits",
        ("published_changes_are_read",),
        wrong.stage(wrong.leaves_mail_unread),
    ),
    Planted(
        "checks_skipped",
        "checks are left out that nobody has waived",
        ("checks_are_skipped_on_purpose",),
        wrong.skips_checks,
    ),
    Planted(
        "comments_unsent",
        "a new plan is asked for without what was said of the last",
        ("comments_reach_the_next_plan",),
        wrong.plans_without_comments,
    ),
    Planted(
        "delivered_early",
        "a message counts as delivered before any host has begun",
        ("delivered_is_begun",),
        wrong.rule("message_delivered", wrong.delivered_when_asked),
    ),
    Planted(
        "consumed_early",
        "a message counts as read when it is delivered",
        ("consumed_is_read",),
        wrong.rule("message_consumed", wrong.consumed_when_delivered),
    ),
    Planted(
        "recalls_nothing",
        "an agent begins before anybody was asked what is remembered",
        ("agents_are_told_what_is_remembered",),
        wrong.rule("recall_due", wrong.silent),
    ),
    Planted(
        "attempts_free",
        "failed attempts are not counted",
        ("tries_are_counted", "attempts_are_counted_once"),
        wrong.counts_no_attempts,
    ),
    Planted(
        "attempts_unlimited",
        "nobody looks whether attempts are left",
        ("tries_are_counted",),
        wrong.rule("attempts_spent", wrong.silent),
    ),
    Planted(
        "waits_cost_attempts",
        "what passes by itself costs an attempt all the same",
        ("attempts_are_counted_once",),
        wrong.forgets_the_refund,
    ),
    Planted(
        "fails_over_again",
        "the backup fails over to itself",
        ("it_fails_over_once", "spending_is_counted_once"),
        wrong.decided(wrong.fails_over_again),
    ),
    Planted("spent_twice", "each run is counted twice", ("spending_is_counted_once",), wrong.spends_twice),
    Planted(
        "lost_runs_free",
        "what a lost run had told is forgotten",
        ("spending_is_counted_once", "spending_never_falls"),
        wrong.forgets_what_a_lost_run_told,
    ),
    Planted(
        "last_word_counts",
        "an older word about what is used takes the place of a newer one",
        ("spending_is_counted_once", "spending_never_falls"),
        wrong.takes_the_last_word,
    ),
    Planted(
        "sessions_whole",
        "a whole session is counted again with each of its runs",
        ("spending_is_counted_once",),
        wrong.counts_sessions_whole,
    ),
    Planted(
        "budget_ignored",
        "agents are asked for beyond the task's budget",
        ("the_budget_holds",),
        wrong.rule("budget_spent", wrong.silent),
    ),
    Planted(
        "day_ignored",
        "agents are asked for beyond the day's budget",
        ("the_days_budget_holds",),
        wrong.puts(queue, "_over_the_day", wrong.nothing),
    ),
    Planted(
        "warns_again",
        "a warning is not remembered",
        ("asked_twice_it_answers_once", "a_budget_is_warned_of_once"),
        wrong.decided(wrong.forgets_warnings),
    ),
    Planted(
        "unchecked_published",
        "a change is handed over without its checks",
        ("nothing_unchecked_is_published",),
        wrong.stage(lambda _, right: "publish" if right == "verify" else right),
    ),
    Planted(
        "published_again",
        "the delivery is not remembered",
        ("delivered_once", "no_work_without_a_slot"),
        wrong.forgets_the_delivery,
    ),
    Planted(
        "unverified_succeeds",
        "what nobody has checked is called a success",
        ("outcomes_are_honest",),
        wrong.ends_well_always,
    ),
    Planted(
        "no_change_succeeds",
        "no change at all is called a success",
        ("outcomes_are_honest",),
        wrong.calls_no_change_a_success,
    ),
    Planted(
        "cancelled_after_delivery",
        "who cancels late hides what was handed over",
        ("outcomes_are_honest",),
        wrong.rule("handed_over", wrong.silent),
    ),
    Planted(
        "ends_again",
        "an ended task goes on",
        ("the_end_is_the_end", "asked_twice_it_answers_once"),
        wrong.rule("the_end_is_the_end", wrong.silent),
    ),
    Planted(
        "message_lost",
        "a message goes down with the run that was told",
        ("messages_are_kept",),
        wrong.puts(reported, "mail_back", wrong.same),
    ),
    Planted(
        "message_repeated",
        "a message that was read is told again",
        ("a_message_is_told_to_one_run", "messages_are_kept"),
        wrong.puts(reported, "_mail_answered", reported.mail_back),
    ),
    Planted(
        "agents_approve",
        "an agent may do what people may",
        ("agents_only_talk",),
        wrong.puts(decide, "_no_agent", wrong.nothing),
    ),
    Planted(
        "rejection_ignored",
        "a rejected plan is carried out",
        ("a_person_has_approved",),
        wrong.stage(wrong.rejected_is_approved),
    ),
    Planted(
        "comments_lost",
        "what people said of a plan is dropped",
        ("commands_take_effect", "comments_reach_the_next_plan"),
        wrong.drops_comments,
    ),
    Planted(
        "silence_at_once",
        "silence counts before its time",
        ("silence_takes_its_time",),
        wrong.rule("plan_waits", wrong.takes_silence_at_once),
    ),
    Planted(
        "plan_not_kept",
        "nobody looks at files outside the plan",
        ("the_plan_is_kept",),
        wrong.rule("preflight", wrong.silent),
    ),
    Planted(
        "question_skipped",
        "an agent's question is not waited for",
        ("questions_wait_for_a_person",),
        wrong.rule("decision_open", wrong.silent),
    ),
    Planted(
        "doubt_ignored",
        "a task of low score runs unasked",
        ("doubtful_tasks_wait",),
        wrong.rule("abstained", wrong.silent),
    ),
    Planted(
        "compaction_dropped",
        "a wish to start afresh is not met",
        ("asked_compaction_comes_first",),
        wrong.rule("compaction", wrong.silent),
    ),
    Planted(
        "commands_forgotten",
        "a command that comes twice is done twice",
        ("a_command_is_done_once",),
        wrong.puts(evolve, "_remember", wrong.same),
    ),
    Planted(
        "dependency_failed_is_met",
        "a dependency that failed lets the task through",
        ("dependencies_are_closed",),
        wrong.rule("dependencies", wrong.takes_any_end_for_good),
    ),
    Planted(
        "dependency_ignored",
        "nobody waits for anybody",
        ("dependencies_are_closed",),
        wrong.rule("dependencies", wrong.silent),
    ),
    Planted("dependants_untold", "who waits is not told of the end", ("it_comes_to_an_end",), wrong.tells_no_dependant),
    Planted(
        "wakes_early",
        "a parked task goes on an hour early",
        ("parked_until_its_time", "whose_turn_it_is"),
        wrong.rule("parked", wrong.wakes_early),
    ),
    Planted(
        "wakes_never",
        "nobody looks at the clock for a parked task",
        ("every_task_can_be_moved", "it_comes_to_an_end"),
        wrong.misses_the_wake,
    ),
    Planted(
        "any_reset_believed",
        "a reset time years away is waited for",
        ("waits_are_believable",),
        wrong.wake_at(wrong.believes_any_reset),
    ),
    Planted(
        "no_reset_believed",
        "what the vendor said is not waited for",
        ("waits_are_believable",),
        wrong.wake_at(wrong.believes_no_reset),
    ),
    Planted(
        "no_pause", "a parked task goes on at once", ("waits_are_believable",), wrong.wake_at(wrong.asks_again_at_once)
    ),
    Planted(
        "night_ignored", "agents run at any hour", ("agents_keep_the_hours",), wrong.rule("night_window", wrong.silent)
    ),
    Planted(
        "slots_unlimited",
        "more tasks begin than the fleet has slots for",
        ("limits_hold",),
        wrong.puts(Fleet, "slots_taken", property(lambda _: 0)),
    ),
    Planted("repo_unlimited", "more tasks of a repository begin than may", ("limits_hold",), wrong.obstacle(("repo",))),
    Planted(
        "account_unlimited", "more tasks of an account begin than may", ("limits_hold",), wrong.obstacle(("account",))
    ),
    Planted(
        "host_unlimited",
        "more tasks begin on a host than may",
        ("hosts_hold",),
        wrong.puts(queue, "may_claim", wrong.no_words),
    ),
    Planted(
        "slot_kept",
        "a blocked or parked task keeps its slot",
        ("no_work_without_a_slot",),
        wrong.decided(wrong.keeps_the_slot),
    ),
    Planted(
        "slots_leak",
        "the ended are counted for ever",
        ("it_comes_to_an_end", "every_reader_sees_the_same"),
        wrong.keeps_slots_of_the_ended,
    ),
    Planted("last_first", "the least urgent begins first", ("whose_turn_it_is",), wrong.last_comes_first),
    Planted(
        "hold_ignored",
        "a held account is used",
        ("one_tries_a_held_account",),
        wrong.puts(queue, "_held", wrong.nothing),
    ),
    Planted(
        "all_try",
        "all tasks try a held account at once",
        ("one_tries_a_held_account",),
        wrong.puts(Fleet, "probe_of", wrong.no_words),
    ),
    Planted(
        "held_for_ever",
        "an account that met a limit is held for one more day, every day",
        ("it_comes_to_an_end", "waits_are_believable"),
        wrong.holds_for_ever,
    ),
    Planted(
        "pause_ignored", "a pause stops nobody", ("what_is_paused_waits",), wrong.puts(queue, "_pause", wrong.nothing)
    ),
    Planted(
        "drain_ignored",
        "a drained repository begins tasks",
        ("what_is_drained_begins_nothing",),
        wrong.obstacle(("fleet_control", "repo_control", "vendor_control")),
    ),
    Planted(
        "not_in_the_log",
        "a task depends on what no event says",
        ("replay_gives_the_same", "every_reader_sees_the_same"),
        wrong.escapes_the_fold,
    ),
    Planted(
        "feedback_kept",
        "feedback that a fix run answers waits for the next one too",
        ("feedback_is_answered_once",),
        wrong.keeps_feedback,
    ),
    Planted("cap_ignored", "fix runs are made without an end", ("the_cap_holds",), wrong.ignores_the_cap),
    Planted(
        "human_unseen",
        "somebody else's commit is taken for ours",
        ("nothing_after_a_human_commit",),
        wrong.puts(review, "foreign", wrong.never),
    ),
    Planted(
        "merge_unseen",
        "a merge does not end the task",
        ("it_comes_to_an_end",),
        wrong.rule("review_over", wrong.silent),
    ),
    Planted("closed_succeeds", "what was closed is called a success", ("outcomes_are_honest",), wrong.closed_succeeds),
    Planted(
        "new_failures_excused",
        "whatever fails is let pass where anything had failed before",
        ("nothing_unchecked_is_published", "attempts_are_counted_once"),
        wrong.excuses_everything,
    ),
    Planted(
        "excused_is_verified",
        "what had failed before makes a success by any rule",
        ("nothing_unchecked_is_published",),
        wrong.puts(checks, "is_verified", wrong.passed_or_excused),
    ),
    Planted(
        "excuse_untold",
        "a success does not say what had failed before",
        ("outcomes_are_honest",),
        wrong.puts(checks, "reservations", wrong.nothing_to_say),
    ),
    Planted("strangers_count", "everybody's comment counts", ("reviewers_count_alone",), wrong.hears_strangers),
    Planted(
        "fix_runs_overlap",
        "a fix run begins while another is at work",
        ("one_fix_run_at_a_time", "asked_twice_it_answers_once"),
        wrong.fixes_at_once,
    ),
)
