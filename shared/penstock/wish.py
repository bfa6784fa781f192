"""What a task may be asked to be: by a command, a template or a schedule, each leaving out what the next one knows.

Rule of this room: a field that is left out is UNSET, never a default; the orchestrator alone fills in what nobody said.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from penstock.bounds import PATHS_MAX, Attempts, Id, Line, Name, Priority, Seconds, Text, Title, Turns, Usd, Word
from penstock.events import Billing, Mode
from penstock.values import PlanGate, Window


class Wish(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The settings of a task that somebody may choose. What a command says comes before its template, a template before the
    repo's own, and those before the defaults: priority 5, vendor claude, flow branch, mode autonomous, 3 attempts, 50 turns,
    an hour of work, no limit of cost."""

    repo: Name | UnsetType = UNSET
    title: Title | UnsetType = UNSET
    description: Text | UnsetType = UNSET
    acceptance: Text | UnsetType = UNSET
    priority: Priority | UnsetType = UNSET
    labels: tuple[Word, ...] | UnsetType = UNSET
    mode: Mode | UnsetType = UNSET
    plan_gate: PlanGate | UnsetType = UNSET
    depends_on: tuple[Id, ...] | UnsetType = UNSET
    vendor: Name | UnsetType = UNSET
    model: Word | UnsetType = UNSET
    backup_vendor: Name | UnsetType = UNSET
    backup_model: Word | UnsetType = UNSET
    billing: Billing | UnsetType = UNSET
    account: Word | UnsetType = UNSET
    flow: Word | UnsetType = UNSET
    max_attempts: Attempts | UnsetType = UNSET
    max_turns: Turns | UnsetType | None = UNSET
    max_cost_usd: Usd | UnsetType | None = UNSET
    max_wall_seconds: Seconds | UnsetType = UNSET
    skip_verify: bool | UnsetType = UNSET
    window: Window | UnsetType | None = UNSET
    scope: Annotated[tuple[Line, ...], Meta(max_length=PATHS_MAX)] | UnsetType = UNSET
