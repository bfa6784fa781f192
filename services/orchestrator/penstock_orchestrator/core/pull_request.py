"""What a reviewer reads: the text of a pull request, from the task's state alone.

Rule of this room: nothing is claimed that was not seen, and what nobody knows is called unknown. What an agent or whoever asked
has written stands in a quote, out of which it cannot step. That nobody is called by it is the publishing host's business.
"""

from __future__ import annotations

import re
from typing import Final

from penstock.bounds import clip
from penstock.jobs import verify_steps
from penstock_orchestrator.core import checks
from penstock_orchestrator.core.budget import SUBSCRIPTION
from penstock_orchestrator.core.plan_text import render_plan
from penstock_orchestrator.core.task import Task

BODY_LENGTH_MAX: Final = 18_000
ASKED_LENGTH_MAX: Final = 3_000
SAID_LENGTH_MAX: Final = 2_000
PLAN_LENGTH_MAX: Final = 4_000
FILES_LISTED_MAX: Final = 30
PATH_LENGTH_MAX: Final = 120
STAGES: Final = ("pre", "build", "test", "lint")

_FOLD = re.compile(r"<(?=/?\s*(?:details|summary)\b)", re.IGNORECASE)


def pull_request_body(task: Task) -> str:
    """GitHub-flavoured Markdown, at most BODY_LENGTH_MAX characters: what was asked, what has changed, what was seen to work and
    what was not looked at, and what it took."""
    parts = [
        _quoted(task.spec.description, ASKED_LENGTH_MAX),
        _changed(task),
        _verified(task),
        _took(task),
        _plan(task),
        _where(task),
    ]
    return clip("\n\n".join(part for part in parts if part), BODY_LENGTH_MAX)


def _changed(task: Task) -> str:
    change = task.change
    if change is None:
        return ""
    commits = "1 commit" if change.commits == 1 else f"{change.commits} commits"
    files = "1 file" if change.files_changed == 1 else f"{change.files_changed} files"
    lines = f"{files}, +{change.lines_added} -{change.lines_removed}, in {commits}"
    listed = [f"- {_code(path)}" for path in change.files[:FILES_LISTED_MAX]]
    more = change.files_changed - len(listed)
    listed += [f"- and {more} more"] if more > 0 else []
    # The last run that made a change: later ones have failed or were about the checks alone.
    good = (note.said for note in reversed(task.notes) if note.step == "agent" and not note.error_class)
    said = _quoted(next(good, ""), SAID_LENGTH_MAX)
    parts = [f"### What changed\n\n{lines}", "\n".join(listed), said and f"In the agent's own words:\n\n{said}"]
    return "\n\n".join(part for part in parts if part)


def _verified(task: Task) -> str:
    lines = [f"### Verified\n\n**Checks**: {checks.headline(task)}"]
    lines += [f"- {_code(one.stage)} {_code(one.command)}: {checks.summary(one)}" for one in task.results]
    return "\n".join([*lines[:1], *([""] if lines[1:] else []), *lines[1:], "", f"**Not checked**: {_unchecked(task)}"])


def _unchecked(task: Task) -> str:
    """What nobody has looked at, in words; a check that was not reached is one."""
    seen = {one.stage for one in task.results}
    configured = [step.stage for step in verify_steps(task.spec.repo.verify)]
    missed = [stage for stage in configured if stage not in seen]
    absent = [stage for stage in STAGES if stage not in configured]
    words = [f"{', '.join(missed)} (not run)"] if missed else []
    words += [f"{', '.join(absent)} (the repo has no such command)"] if absent else []
    if task.spec.acceptance:
        words.append("the acceptance criteria, beyond what the checks say of them")
    return "; ".join(words) or "nothing that the repo has a check for"


def _took(task: Task) -> str:
    usage = task.usage
    cost = "unknown" if usage.cost_usd is None else f"{usage.cost_usd:.2f} USD"
    if task.spec.billing == SUBSCRIPTION:
        cost += ", paid by a subscription"
    since = (task.updated_at - task.submitted_at).total_seconds()
    lines = [
        f"**Attempts**: {task.attempts}, **agent**: {_agent(task.vendor, task.model)}{_over_from(task)}",
        f"**Turns**: {usage.turns}, **cost**: {cost}",
        f"**Work time**: {_time(usage.wall_seconds)}, **since it was asked for**: {_time(since)}",
    ]
    return "### What it took\n\n" + "  \n".join(lines)


def _agent(vendor: str, model: str) -> str:
    return f"{_code(vendor)} {_code(model)}" if model else _code(vendor)


def _over_from(task: Task) -> str:
    return f" (after {_agent(task.spec.vendor, task.spec.model)})" if task.failed_over else ""


def _plan(task: Task) -> str:
    plan = task.plan
    if plan is None or plan.answer != "approved":
        return ""
    by = "by " + _plain(plan.answered_by) if plan.answered_by else "by silence, as the rule for low risk has it"
    text = _quoted(render_plan(plan.plan), PLAN_LENGTH_MAX)
    return f"<details><summary>The plan, approved {by}</summary>\n\n{text}\n\n</details>"


def _where(task: Task) -> str:
    base = task.spec.policy.public_url
    return f"[All that happened]({base}/v1/tasks/{task.id})" if base else ""


def _quoted(text: str, length_max: int) -> str:
    """A stranger's words as a quote: a fence that is opened in it ends with it, and so does everything else."""
    lines = clip(_FOLD.sub("&lt;", text.strip()), length_max).splitlines()
    return "\n".join(f"> {line}".rstrip() for line in lines)


def _code(text: str) -> str:
    return "`" + clip(_plain(text), PATH_LENGTH_MAX).replace("\n", " ").replace("`", "'") + "`"


def _plain(text: str) -> str:
    return " ".join(_FOLD.sub("&lt;", text).split())


def _time(seconds: float) -> str:
    minutes, rest = divmod(round(max(seconds, 0.0)), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
