"""What a task may be asked to be, as bodies say it, and what is checked of it before the orchestrator hears of it.

Rule of this room: strict to the last nested field, and a name that nobody knows is answered with those that are known.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Final, Literal, TypeAlias
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from msgspec import UNSET, Meta, Struct, UnsetType, structs

from penstock.bounds import PATHS_MAX, Attempts, Id, Line, Name, Priority, Seconds, Text, Title, Turns, Usd, Word
from penstock.catalog import Template
from penstock.values import Clock, PlanGate, Window
from penstock.wish import Wish
from penstock_api.problems import Problem, invalid
from penstock_api.request import Parts

KNOWN_NAMED_MAX: Final = 20
LABELS_MAX: Final = 20
DEPENDENCIES_MAX: Final = 50
Flow: TypeAlias = Literal["branch", "commit", "patch", "untracked"]


class WindowBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The time of day in which agents may run, in a time zone; it may span midnight."""

    opens: Clock
    closes: Clock
    timezone: Word = "UTC"


class PlanGateBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What silence means for a plan that waits, after `silence_seconds` (0: it waits for ever)."""

    silence: Literal["wait", "park", "deny", "approve_if_low_risk"] = "wait"
    silence_seconds: Seconds = 0.0


class WishBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings of a task. What is left out comes from the template, then the repo, then the defaults: priority 5, vendor
    claude, flow branch, mode autonomous, 3 attempts, 50 turns, an hour of work, no limit of cost. `mode` interactive: a plan
    waits for a person first. `flow`: hand it over as a branch (with a pull request where the forge can), as one commit on the
    default branch, as a patch, or as edits in the folder of a local repo (`untracked`). `scope`: what it may touch, as paths,
    folders and globs; empty: what the repo says."""

    repo: Name | UnsetType = UNSET
    title: Title | UnsetType = UNSET
    description: Text | UnsetType = UNSET
    acceptance: Text | UnsetType = UNSET
    priority: Priority | UnsetType = UNSET
    labels: Annotated[tuple[Word, ...], Meta(max_length=LABELS_MAX)] | UnsetType = UNSET
    mode: Literal["autonomous", "interactive"] | UnsetType = UNSET
    plan_gate: PlanGateBody | UnsetType = UNSET
    depends_on: Annotated[tuple[Id, ...], Meta(max_length=DEPENDENCIES_MAX)] | UnsetType = UNSET
    vendor: Name | UnsetType = UNSET
    model: Word | UnsetType = UNSET
    backup_vendor: Name | UnsetType = UNSET
    backup_model: Word | UnsetType = UNSET
    billing: Literal["api", "subscription"] | UnsetType = UNSET
    account: Word | UnsetType = UNSET
    flow: Flow | UnsetType = UNSET
    max_attempts: Attempts | UnsetType = UNSET
    max_turns: Turns | UnsetType | None = UNSET
    max_cost_usd: Usd | UnsetType | None = UNSET
    max_wall_seconds: Seconds | UnsetType = UNSET
    skip_verify: bool | UnsetType = UNSET
    window: WindowBody | UnsetType | None = UNSET
    scope: Annotated[tuple[Line, ...], Meta(max_length=PATHS_MAX)] | UnsetType = UNSET


async def checked_wish(parts: Parts, body: WishBody, at: str = "") -> Wish:
    """The body as the contract has it. `at`: what stands before the names of its fields. Raises Problem."""
    check_vendor(parts, body.vendor, f"{at}vendor")
    check_vendor(parts, body.backup_vendor, f"{at}backup_vendor")
    if body.repo is not UNSET:
        await check_repo(parts, body.repo, f"{at}repo")
    if body.depends_on is not UNSET and len(set(body.depends_on)) < len(body.depends_on):
        raise invalid(f"{at}depends_on", "a task is named twice", hint="each task once")
    given = {field: getattr(body, field) for field in Wish.__struct_fields__}
    return Wish(
        **given
        | {
            "plan_gate": UNSET if body.plan_gate is UNSET else _checked_gate(body.plan_gate, f"{at}plan_gate"),
            "window": checked_window(body.window, f"{at}window")
            if isinstance(body.window, WindowBody)
            else body.window,
        }
    )


def _checked_gate(gate: PlanGateBody, at: str) -> PlanGate:
    if gate.silence != "wait" and not gate.silence_seconds:
        detail = "0 seconds means never, so this silence would never mean anything"
        raise invalid(f"{at}.silence_seconds", detail, value="0", hint="seconds until silence counts, such as 86400")
    return PlanGate(**structs.asdict(gate))


def checked_window(window: WindowBody, at: str) -> Window:
    """Raises Problem."""
    if window.opens == window.closes:
        raise invalid(f"{at}.closes", "a window of no time", value=window.closes, hint="another time than `opens`")
    check_timezone(window.timezone, f"{at}.timezone")
    return Window(**structs.asdict(window))


def check_timezone(name: str, field: str) -> ZoneInfo:
    """Raises Problem."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        # A folder of the zone database, or a name that is too long for a file, is an OSError.
        hint = "a name of the IANA database, such as Europe/Berlin or UTC"
        raise invalid(field, "there is no such time zone", value=name, hint=hint) from error


def check_vendor(parts: Parts, vendor: str | UnsetType, field: str) -> None:
    """Raises Problem."""
    known = {*parts.settings.vendor_names, *parts.catalog.vendors()}
    if vendor is not UNSET and vendor not in known:
        raise invalid(field, "there is no such vendor", value=vendor, hint=f"known: {', '.join(sorted(known))}")


async def check_repo(parts: Parts, repo: str, field: str) -> None:
    """Raises Problem."""
    if repo in parts.catalog.repos.entries or (await parts.catalog.repos.get(repo)).value is not None:
        return
    hint = f"{known_names(parts.catalog.repos.entries)}; add one with PUT /v1/repos/<name>"
    raise Problem(422, "unknown-repo", "the catalogue has no such repo", field=field, value=repo, hint=hint)


async def template_of(parts: Parts, name: str, field: str) -> Template:
    """Raises Problem."""
    if (template := (await parts.catalog.templates.get(name)).value) is None:
        hint = f"{known_names(parts.catalog.templates.entries)}; add one with PUT /v1/templates/<name>"
        raise Problem(422, "unknown-template", "there is no such template", field=field, value=name, hint=hint)
    return template


async def check_whole(
    parts: Parts, wish: Wish, template: str | UnsetType | None, at: str = "", template_at: str = ""
) -> str:
    """The repo that the task will be of. Raises Problem where neither the wish nor its template says what must be said."""
    preset = Wish() if not template else (await template_of(parts, template, template_at or "template")).task
    for field in ("repo", "title"):
        if getattr(wish, field) is UNSET and getattr(preset, field) is UNSET:
            detail = f"neither the body nor the template {template} says it" if template else "a task needs it"
            raise invalid(f"{at}{field}", detail, hint=f"give {field}, here or in a template")
    if wish.repo is not UNSET:
        return wish.repo
    assert preset.repo is not UNSET
    await check_repo(parts, preset.repo, f"{at}repo")
    return preset.repo


def known_names(names: Iterable[str]) -> str:
    """The first of them as a hint."""
    known = sorted(names)
    more = ", ..." if len(known) > KNOWN_NAMED_MAX else ""
    return f"known: {', '.join(known[:KNOWN_NAMED_MAX])}{more}" if known else "there is none yet"
