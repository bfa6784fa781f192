"""What the agent is told: everything at first, afterwards only what is new.

Rule of this room: the prompt begins with a fixed heading (a leading "/" or "@" from a task's text must not be a command),
and everything a stranger wrote stands below a line that says whose text it is.
"""

from __future__ import annotations

from typing import Final

from penstock.bounds import TAIL_LENGTH_MAX, clip
from penstock.jobs import PROMPT_LENGTH_MAX, verify_steps
from penstock_orchestrator.core.classify import classify
from penstock_orchestrator.core.task import MAX_TURNS, Failure, Task

TAIL_IN_HINT_MAX: Final = 4_000

_RULES = """\
How to work
- Read the repository's own instructions first (CLAUDE.md, AGENTS.md, CONTRIBUTING.md, README) and follow its patterns.
- Make the smallest change that meets the acceptance criteria. No extras, no drive-by clean-ups.
- Work in this directory only. There is no network and there are no credentials here; do not look for any.
- Commit your work on the current branch. Do not push, and do not change git's configuration or remotes.
- When you are done, say in a few sentences what you changed and why."""


def first_prompt(task: Task) -> str:
    """The whole of the first message of a session."""
    spec = task.spec
    parts = [
        f"# Task {task.id} on repository {spec.repo.name}",
        f"You are a software engineer working alone in a clone of {spec.repo.name}, on branch {task.branch}.",
        f"## What is asked for\n{spec.title}",
    ]
    if spec.description:
        parts.append(f"## Description, as written by the one who asks\n{spec.description}")
    if spec.acceptance:
        parts.append(f"## Acceptance criteria\n{spec.acceptance}")
    parts += [_checks(task), _RULES]
    return clip("\n\n".join(parts), PROMPT_LENGTH_MAX)


def fresh_prompt(task: Task, hint: str) -> str:
    """The first message for a session that starts over with a history."""
    if not hint:
        return first_prompt(task)
    history = (
        "## What has happened so far\n"
        "An earlier session worked on this task; what it left is in this directory and in the branch's commits.\n\n"
    )
    return clip(f"{first_prompt(task)}\n\n{history}{hint}", PROMPT_LENGTH_MAX)


def _checks(task: Task) -> str:
    if task.spec.skip_verify:
        return "## Checks\nNone will be run after you."
    steps = verify_steps(task.spec.repo.verify)
    if not steps:
        return "## Checks\nThis repository has none configured."
    lines = "\n".join(f"- {step.stage}: `{step.command}`" for step in steps)
    return f"## Checks that will be run on your commit\n{lines}"


def hint_for(task: Task) -> str:
    """What the next run should know about the last one; empty on the first."""
    failure = task.failure or task.last_failure
    if task.lost and task.session_begun:
        return "The machine that ran you stopped in the middle. Your work tree is as you left it. Go on where you were."
    if failure is None or failure.kind not in ("agent", "verify"):
        return ""
    if failure.kind == "verify":
        return clip(_after_verify(failure), TAIL_LENGTH_MAX)
    return clip(_after_agent(failure), TAIL_LENGTH_MAX)


def _after_agent(failure: Failure) -> str:
    if failure.error_class == MAX_TURNS:
        return "You reached the turn limit and were paused. Continue."
    if failure.error_class == "agent.no_change":
        return (
            "Your last run ended without any change to the repository. Make the change that the task asks for, "
            "and commit it. If you believe that nothing needs to be changed, say precisely why."
        )
    if failure.transient:
        return "The run was interrupted from outside. Continue where you were."
    return f"Your last run ended early ({failure.error_class}): {failure.message}\nContinue, and finish the task."


def _after_verify(failure: Failure) -> str:
    failed = next((command for command in failure.commands if not command.passed), None)
    if failed is None:
        return f"The checks did not pass: {failure.message}"
    ended = f"exit code {failed.exit_code}" if failed.ended == "exited" else failed.ended
    told = classify(
        failed.tail, stage=failed.stage, exit_code=failed.exit_code, command=failed.command, source="verify"
    )
    look = f"What it looks like ({told.error_class}): {told.hint}\n\n" if told.evidence else ""
    return (
        f"The check `{failed.command}` ({failed.stage}) did not pass on your commit ({ended}). "
        f"The end of its output:\n\n{clip(failed.tail, TAIL_IN_HINT_MAX)}\n\n{look}"
        "Fix the cause, not the check, and commit."
    )
