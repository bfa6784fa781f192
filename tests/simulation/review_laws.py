"""What must hold of a pull request that is followed.

Rule of this room: a law judges by the book and the forge as it is, not by the core's own figures; an empty answer is a good one.
"""

from __future__ import annotations

from penstock.events import FeedbackAccepted, ObserveRequested
from simulation.world import Step


def feedback_is_answered_once(step: Step) -> str:
    """No comment, and no commit's failed checks, lead to two fix runs; and each was really there."""
    event, book = step.event, step.book
    assert isinstance(event, FeedbackAccepted)
    pull = step.world.pulls[step.after.id]
    if again := book.answered_comments & set(event.comments):
        return f"{sorted(again)} were answered before"
    if not {*event.comments} <= {one.id for one in pull.said}:
        return "nobody has said that"
    if event.checks and event.head_commit in book.answered_heads:
        return f"the checks of {event.head_commit} were answered before"
    if event.checks and event.head_commit not in pull.red:
        return f"the checks of {event.head_commit} have not failed"
    return "" if event.comments or event.checks else "there is nothing to answer"


def reviewers_count_alone(step: Step) -> str:
    """Where reviewers are named, nobody else's comment leads to a fix run."""
    assert isinstance(step.event, FeedbackAccepted)
    follow = step.book.spec.policy.follow
    named = () if follow is None else follow.reviewers
    authors = {one.id: one.author for one in step.world.pulls[step.after.id].said}
    strangers = [one for one in step.event.comments if named and authors.get(one) not in named]
    return f"{strangers} are of strangers" if strangers else ""


def one_fix_run_at_a_time(step: Step) -> str:
    """A fix run begins when the one before has ended, and no job is at work."""
    if step.book.fixing:
        return "one is at work"
    return f"job {step.book.job} is at work" if step.book.job else ""


def the_cap_holds(step: Step) -> str:
    """No more fix runs than the policy allows, but for those that a person has added."""
    assert isinstance(step.event, FeedbackAccepted)
    follow, book = step.book.spec.policy.follow, step.book
    most = 0 if follow is None else follow.fix_runs_max * (1 + book.caps_lifted)
    return f"{book.fixes} fix runs of {most}" if book.fixes >= most else ""


def nothing_after_a_human_commit(step: Step) -> str:
    """Once somebody else's commit was seen, no fix run begins and none goes on to another step."""
    pull = step.world.pulls.get(step.after.id)
    seen = pull is not None and step.book.seen_head in pull.others
    return "somebody else has pushed" if step.book.taken_over or seen else ""


def only_a_fix_run_works_on(step: Step) -> str:
    """After the hand-over, a step is asked for only in a fix run."""
    book = step.book
    return "no fix run is at work" if book.in_review and not book.fixing else ""


def one_look_at_a_time(step: Step) -> str:
    """A look is asked for where a pull request is followed, and when the last one has ended."""
    assert isinstance(step.event, ObserveRequested)
    if not step.book.in_review:
        return "there is nothing to look at"
    return f"look {step.book.look} is on its way" if step.book.look else ""
