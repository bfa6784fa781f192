"""Which agents this host offers: those it was told to, and has what they need.

Rule of this room: what a host lacks is a note of the host, never a failed task.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from penstock.settings import Secret
from penstock_agent_exec.agents.known import find_vendor
from penstock_agent_exec.agents.vendor import HostLacks, Vendor
from penstock_agent_exec.broker.dialect import Dialect
from penstock_agent_exec.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelAccess:
    """Where an agent's model is, and the key to it: for the gate, never for the agent. `upstream` ends as the dialect says.
    `login`: the key is a subscription's token."""

    upstream: str
    key: Secret
    dialect: Dialect = Dialect.ANTHROPIC
    login: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """An agent that this host can run. `model` is None where it needs none."""

    vendor: Vendor
    model: ModelAccess | None = None


def offers_of(settings: Settings) -> tuple[dict[str, Offer], tuple[str, ...]]:
    """The offers by vendor, and a note on each that is missing. Blocks for some 0.1 s: for the start of the service."""
    offers: dict[str, Offer] = {}
    notes: list[str] = []
    for name in settings.vendor_names:
        try:
            offers[name] = _offer(name, settings)
        except HostLacks as error:
            notes.append(f"{name} is not offered: {error}")
    return offers, tuple(notes)


def _offer(name: str, settings: Settings) -> Offer:
    """Raises HostLacks."""
    if name != "claude":
        return Offer(vendor=find_vendor(name, scripts=settings.scripts))
    vendor = find_vendor(name, program=Path(settings.claude_path))
    if not settings.anthropic_api_key:
        raise HostLacks("PENSTOCK_ANTHROPIC_API_KEY is not set")
    return Offer(vendor=vendor, model=ModelAccess(upstream=settings.anthropic_base_url, key=settings.anthropic_api_key))
