"""Asking for a plan, and showing one.

Rule of this room: what comes back from the agent is read by `penstock.plan_text`, and the change is held to it by
`penstock.scope`.
"""

from __future__ import annotations

from typing import Final

from penstock.bounds import clip
from penstock.jobs import PROMPT_LENGTH_MAX
from penstock.plan_text import FILES_MAX, RISKS_MAX, STEPS_MAX
from penstock.values import Plan
from penstock_orchestrator.core.quoted import quoted

COMMENTS_MAX: Final = 10
LAST_PLAN_LENGTH_MAX: Final = 20_000

_RULES: Final = f"""\
## What to do now
Read the repository, its own instructions first (CLAUDE.md, AGENTS.md, CONTRIBUTING.md, README), and plan the change. You may
only read: change no file, commit nothing, install nothing. A person will judge the plan before anybody carries it out.

## How to answer
End your answer with one JSON object in a ```json block, and write nothing after it. Its keys:
- "summary": string, what will be different afterwards, in two or three sentences
- "approach": string, how, and why so and not otherwise
- "steps": list of at most {STEPS_MAX} strings, in order
- "files_to_touch": list of at most {FILES_MAX} strings: paths relative to the repository's top, of every file that will be \
changed, added or removed. A folder stands for all that is below it; `*` stands for any part of one name, `**` for any folders. \
The change will be held to this list, so leave nothing out and add nothing to be safe
- "risks": list of at most {RISKS_MAX} strings, what may go wrong or is not clear in the task
- "risk": "low", "medium" or "high", for the whole of it
- "acceptance_check": string, how a person or a command can see that the task is done"""


def plan_prompt(title: str, description: str, acceptance: str, comments: tuple[str, ...], last: Plan | None) -> str:
    """The whole message for an agent that may only read. `comments`: what people said of the `last` plan, oldest first."""
    parts = ["# Plan a change, and do not make it", quoted("what is asked for", title)]
    if description:
        parts.append(quoted("the description, as written by the one who asks", description))
    if acceptance:
        parts.append(quoted("the acceptance criteria", acceptance))
    if last is not None:
        parts += ["## The last plan", quoted("the last plan", clip(render_plan(last), LAST_PLAN_LENGTH_MAX))]
    if comments:
        parts.append("## What people said of it\nMake a new plan that takes all of this into account.")
        parts += [quoted("a comment", comment) for comment in comments[-COMMENTS_MAX:]]
    return clip("\n\n".join([*parts, _RULES]), PROMPT_LENGTH_MAX)


def render_plan(plan: Plan) -> str:
    """The plan as Markdown, for a prompt or a pull request; as long as the plan is, so clip it to your room."""
    parts = [plan.summary]
    if plan.approach:
        parts.append(f"**Approach**\n\n{plan.approach}")
    if plan.steps:
        parts.append("**Steps**\n\n" + "\n".join(f"{number}. {step}" for number, step in enumerate(plan.steps, 1)))
    if plan.files_to_touch:
        parts.append("**Files to touch**\n\n" + "\n".join(f"- `{path}`" for path in plan.files_to_touch))
    if plan.risks:
        parts.append("**Risks**\n\n" + "\n".join(f"- {risk}" for risk in plan.risks))
    parts.append(f"**Risk as a whole**: {plan.risk}")
    if plan.acceptance_check:
        parts.append(f"**How to see that it is done**\n\n{plan.acceptance_check}")
    return "\n\n".join(parts)
