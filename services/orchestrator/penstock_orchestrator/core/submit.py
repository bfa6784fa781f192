"""A new task: from what was asked, the template, the repo and the defaults to the one event that everything hangs on.

Rule of this room: whatever a later decision may depend on is copied into `task_submitted` here, and nowhere looked up again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Final, TypeVar

import msgspec
from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import replace

from penstock.catalog import FleetSettings, Repo, Template, follows, snapshot
from penstock.commands import ContinueTask, RetryTask, SubmitTask
from penstock.events import KnownEvent, TaskSubmitted
from penstock.values import LOCAL, Continuation, Follow, Origin, PlanGate, Policy, Price
from penstock.wish import Wish
from penstock_orchestrator.core.refused import Refused
from penstock_orchestrator.core.task import Task
from penstock_orchestrator.core.window import check_zone

FLOWS: Final = ("branch", "commit", "patch", "untracked")
OF_FOLDERS: Final = ("patch", "untracked")
"""What can be made of a change in a folder of a host: it has no remote, and nothing is pushed."""

DEPENDENCIES_MAX: Final = 50

T = TypeVar("T")


class Known(Struct, frozen=True, kw_only=True):
    """What the rest of the world looks like at the moment of a submission. `repo`: the catalogue's entry, None where it has
    none; `template`: the one that was named, None where there is none; `exists`: whether a task is known."""

    repo: Repo | None
    template: Template | None = None
    settings: FleetSettings = FleetSettings()
    policy: Policy = Policy()
    vendors: tuple[str, ...] = ()
    publish_pools: tuple[str, ...] = ()
    exists: Callable[[str], bool] = lambda _: True


def wish_of(command: SubmitTask, template: Template | None) -> Wish:
    """The command's own wishes over its template's. Raises Refused for a template that is not there."""
    if command.template is UNSET:
        return command
    if template is None:
        raise Refused("unknown_template", f"there is no template named {command.template!r}", "template")
    under = template.task
    said = {name: value for name in Wish.__struct_fields__ if (value := getattr(command, name)) is not UNSET}
    return replace(under, **said)


def submit(task: Task | None, command: SubmitTask, known: Known) -> list[KnownEvent]:
    """The first event of a new task. Raises Refused."""
    if command.as_agent_of:
        raise Refused("forbidden", "an agent may not submit tasks", "as_agent_of")
    mark = fingerprint(command)
    if task is not None:
        return _same(task, command.task, mark)
    wish = wish_of(command, known.template)
    if wish.repo is UNSET:
        raise Refused("invalid", "name the repo, here or in the template", "repo")
    if wish.title is UNSET:
        raise Refused("invalid", "give the task a title, here or in the template", "title")
    if known.repo is None:
        raise Refused("unknown_repo", f"there is no repo named {wish.repo!r}; add it with PUT /v1/repos", "repo")
    template = command.template if isinstance(command.template, str) else ""
    event = _filled(wish, wish.title, known.repo, known, command.submitted_by)
    event = replace(event, fingerprint=mark, origin=command.origin, template=template)
    _check(event, command.task, known)
    return [event]


def again(task: Task | None, command: RetryTask | ContinueTask, old: Task | None, known: Known) -> list[KnownEvent]:
    """The first event of a task that takes up a finished one. Raises Refused."""
    if command.as_agent_of:
        raise Refused("forbidden", "an agent may not submit tasks", "as_agent_of")
    mark = _digest(replace(command, id="0" * 26))
    if task is not None:
        return _same(task, command.task, mark)
    if old is None:
        raise Refused("unknown_task", f"there is no task {command.of}", "of")
    if old.outcome is None:
        raise Refused("not_possible", f"task {command.of} has not ended yet", "of")
    if known.repo is None:
        raise Refused("unknown_repo", f"the repo {old.repo!r} is not in the catalogue any more", "of")
    # Settings of today, wishes of then: a retry is mostly asked for after something was mended.
    event = replace(
        old.spec,
        repo=snapshot(known.repo),
        policy=_policy(known, old.spec.vendor, old.spec.model, old.spec.backup_vendor, old.spec.backup_model),
        submitted_by=command.requested_by,
        fingerprint=mark,
        depends_on=(),
        continues=None,
        retry_of="",
    )
    if isinstance(command, RetryTask):
        origin, open_ = Origin(kind="retry", name=old.id), _still_open(old)
        on = old.spec.continues
        on = None if on is None else replace(on, answered=old.answered)
        event = replace(event, retry_of=old.id, origin=origin, continues=on, depends_on=open_)
    else:
        event = _continued(event, command, old)
    _check(event, command.task, known)
    return [event]


def _still_open(old: Task) -> tuple[str, ...]:
    """What the task had waited for in vain: a retry does not slip past it."""
    found = dict(old.resolved)
    return tuple(
        on for on in old.spec.depends_on if found.get(on) != "succeeded" and f"dependency.{on}" not in old.waived
    )


def _continued(event: TaskSubmitted, command: ContinueTask, old: Task) -> TaskSubmitted:
    delivery = old.delivery
    if delivery is None or old.base_commit is None or old.spec.flow != "branch":
        raise Refused("not_possible", f"task {old.id} has handed over no branch to go on with", "of")
    return replace(
        event,
        title=command.title,
        description=command.description,
        acceptance="",
        origin=Origin(kind="continuation", name=old.id),
        continues=Continuation(
            task=old.id,
            branch=old.branch,
            commit=delivery.commit,
            base_commit=old.base_commit,
            url=delivery.url,
            answered=old.answered,
        ),
    )


def fingerprint(command: SubmitTask) -> str:
    """A digest of what was asked for, whoever carries it: the same wish gives the same mark."""
    return _digest(replace(command, id="0" * 26))


def _digest(command: SubmitTask | RetryTask | ContinueTask) -> str:
    return hashlib.sha256(msgspec.json.encode(command, order="sorted")).hexdigest()[:32]


def _same(task: Task, task_id: str, mark: str) -> list[KnownEvent]:
    if task.spec.fingerprint == mark:
        return []
    raise Refused("conflict", f"task {task_id} exists already and was asked for something else", "task")


def _or(value: T | UnsetType, default: T) -> T:
    return default if isinstance(value, UnsetType) else value


def _filled(wish: Wish, title: str, repo: Repo, known: Known, submitted_by: str) -> TaskSubmitted:
    vendor, model = _or(wish.vendor, "claude"), _or(wish.model, "")
    backup_vendor, backup_model = _or(wish.backup_vendor, ""), _or(wish.backup_model, "")
    return TaskSubmitted(
        title=title,
        description=_or(wish.description, ""),
        acceptance=_or(wish.acceptance, ""),
        priority=_or(wish.priority, 5),
        labels=_or(wish.labels, ()),
        mode=_or(wish.mode, "autonomous"),
        plan_gate=_or(wish.plan_gate, PlanGate()),
        depends_on=tuple(dict.fromkeys(_or(wish.depends_on, ()))),
        vendor=vendor,
        model=model,
        backup_vendor=backup_vendor,
        backup_model=backup_model,
        billing=_or(wish.billing, "api"),
        account=_or(wish.account, ""),
        flow=_or(wish.flow, "branch"),
        repo=snapshot(repo),
        max_attempts=_or(wish.max_attempts, 3),
        max_turns=_or(wish.max_turns, 50),
        max_cost_usd=_or(wish.max_cost_usd, None),
        max_wall_seconds=_or(wish.max_wall_seconds, 3_600.0),
        skip_verify=_or(wish.skip_verify, False),
        window=_or(wish.window, repo.window),
        submitted_by=submitted_by,
        scope=_or(wish.scope, ()),
        policy=_policy(known, vendor, model, backup_vendor, backup_model),
    )


def _policy(known: Known, vendor: str, model: str, backup_vendor: str, backup_model: str) -> Policy:
    below = known.policy.abstain_below
    if known.repo is not None and known.repo.abstain_below is not None:
        below = known.repo.abstain_below
    return replace(
        known.policy,
        abstain_below=below,
        follow=_follow(known),
        price=price_of(known.settings, vendor, model),
        backup_price=price_of(known.settings, backup_vendor or vendor, backup_model),
        share_work=known.settings.share_work or known.settings.publish_pool is not None,
        publish_pool=known.settings.publish_pool,
    )


def _follow(known: Known) -> Follow | None:
    """How a pull request is followed, where the repo's are."""
    follow, repo = known.policy.follow, known.repo
    if follow is None or repo is None or not follows(repo):
        return None
    runs = follow.fix_runs_max if repo.fix_runs_max is None else repo.fix_runs_max
    return replace(follow, fix_runs_max=runs, reviewers=repo.reviewers)


def price_of(settings: FleetSettings, vendor: str, model: str) -> Price | None:
    """What the model costs: the entry with the longest beginning of its name; None where nobody has said."""
    fits = [one for one in settings.prices if one.vendor == vendor and model.startswith(one.model)]
    return max(fits, key=lambda one: len(one.model)).price if fits else None


def _check(event: TaskSubmitted, task_id: str, known: Known) -> None:
    for field, vendor in (("vendor", event.vendor), ("backup_vendor", event.backup_vendor)):
        if vendor and vendor not in known.vendors:
            raise Refused("invalid", f"unknown vendor {vendor!r}; known: {', '.join(known.vendors)}", field)
    if event.flow not in FLOWS:
        raise Refused("invalid", f"unknown flow {event.flow!r}; known: {', '.join(FLOWS)}", "flow")
    local = event.repo.provider == LOCAL
    if local and event.flow not in OF_FOLDERS:
        message = f"flow {event.flow} pushes, and this repo is a folder; flows for it: {', '.join(OF_FOLDERS)}"
        raise Refused("invalid", message, "flow")
    if event.flow == "untracked" and not local:
        message = "flow untracked writes into a folder of a host: the repo must be of the provider `local`"
        raise Refused("invalid", message, "flow")
    pool = event.policy.publish_pool
    if pool is not None and pool not in known.publish_pools:
        listed = ", ".join(known.publish_pools) or "none"
        raise Refused("invalid", f"unknown publish pool {pool!r} in the settings of the fleet; known: {listed}", "repo")
    if event.window is not None and (wrong := check_zone(event.window.timezone)):
        raise Refused("invalid", wrong, "window.timezone")
    if event.plan_gate.silence != "wait" and not event.plan_gate.silence_seconds:
        raise Refused("invalid", "say after how many seconds silence counts", "plan_gate.silence_seconds")
    _check_dependencies(event, task_id, known)


def _check_dependencies(event: TaskSubmitted, task_id: str, known: Known) -> None:
    """A task may wait for tasks that are known already: so no circle can ever be closed."""
    if len(event.depends_on) > DEPENDENCIES_MAX:
        raise Refused("invalid", f"at most {DEPENDENCIES_MAX} tasks may be waited for", "depends_on")
    for on in event.depends_on:
        if on == task_id:
            raise Refused("invalid", "a task cannot wait for itself", "depends_on")
        if not known.exists(on):
            raise Refused("invalid", f"there is no task {on} to wait for; submit it first", "depends_on")
