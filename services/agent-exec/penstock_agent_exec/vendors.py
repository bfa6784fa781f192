"""Which agents this host offers: those it was told to, and has what they need.

Rule of this room: what a host lacks is a note of the host, never a failed task.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from penstock.settings import Secret
from penstock_agent_exec.agents.known import find_vendor
from penstock_agent_exec.agents.vendor import Billing, HostLacks, Vendor
from penstock_agent_exec.broker.dialect import Dialect
from penstock_agent_exec.settings import Settings
from penstock_agent_exec.upstream import read_upstream

PROBES_AT_ONCE: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelAccess:
    """Where an agent's model is, and what pays for it: for the gate, never for the agent.

    `query` goes with every request. The key goes into `key_header`, or where that is empty into the dialect's own; `login`: it
    is a subscription's token, and goes in as a bearer's.
    """

    upstream: str
    key: Secret
    dialect: Dialect
    login: bool = False
    query: tuple[tuple[str, str], ...] = ()
    key_header: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """An agent that this host can run: paid by a key (`model`), by a subscription's login, or by nobody where it has neither
    and needs no model."""

    vendor: Vendor
    model: ModelAccess | None = None
    login: ModelAccess | None = None

    def access(self, billing: Billing) -> ModelAccess | None:
        """The model, paid as the task says; None where the agent needs none. Raises HostLacks."""
        if self.model is None and self.login is None:
            return None
        found = self.login if billing == "subscription" else self.model
        if found is None:
            has, lacks = ("a key", "no login") if billing == "subscription" else ("a login", "no key")
            raise HostLacks(
                f"this host has {has} for {self.vendor.name} and {lacks}, and the task's billing is {billing}"
            )
        return found


class Means(NamedTuple):
    """What the settings say of a vendor. `program` is its name on PATH or an absolute path, None where it brings its own;
    `setting` names what the key is set by, empty where it needs none."""

    program: str | None = None
    setting: str = ""
    model: ModelAccess | None = None
    login: ModelAccess | None = None


def means_of(name: str, settings: Settings) -> Means:
    """What is configured for the vendor `name`, whether it is there or not."""
    match name:
        case "claude":
            given = (settings.claude_path, "ANTHROPIC_API_KEY", settings.anthropic_base_url, settings.anthropic_api_key)
            return _means(*given, settings.anthropic_key_header, Dialect.ANTHROPIC, settings.claude_oauth_token)
        case "codex":
            given = (settings.codex_path, "OPENAI_API_KEY", settings.openai_base_url, settings.openai_api_key)
            return _means(*given, settings.openai_key_header, Dialect.RESPONSES)
        case "gemini":
            given = (settings.gemini_path, "GEMINI_API_KEY", settings.gemini_base_url, settings.gemini_api_key)
            return _means(*given, settings.gemini_key_header, Dialect.GEMINI)
        case "qwen":
            given = (settings.qwen_path, "QWEN_API_KEY", settings.qwen_base_url, settings.qwen_api_key)
            return _means(*given, settings.qwen_key_header, Dialect.CHAT)
        case _:
            return Means()


def _means(
    program: str, setting: str, url: str, key: Secret, header: str, dialect: Dialect, login: Secret | None = None
) -> Means:
    base, query = read_upstream(url)
    by_key = ModelAccess(upstream=base, key=key, dialect=dialect, query=query, key_header=header) if key else None
    by_login = ModelAccess(upstream=base, key=login, dialect=dialect, query=query, login=True) if login else None
    return Means(program, f"PENSTOCK_{setting}", by_key, by_login)


def offers_of(settings: Settings) -> tuple[dict[str, Offer], tuple[str, ...]]:
    """The offers by vendor, and a note on each that is missing. Blocks while the programs say their versions, a few seconds
    at most: for the start of the service."""
    names = settings.vendor_names
    with ThreadPoolExecutor(PROBES_AT_ONCE) as threads:
        found = dict(zip(names, threads.map(_tried(settings), names), strict=True))
    offers = {name: offer for name, offer in found.items() if isinstance(offer, Offer)}
    return offers, tuple(
        f"{name} is not offered: {lack}" for name, lack in found.items() if isinstance(lack, HostLacks)
    )


def versions_of(offers: Mapping[str, Offer]) -> dict[str, str]:
    """By vendor, of those whose program has one."""
    return {name: offer.vendor.version for name, offer in offers.items() if offer.vendor.version}


def offer_of(offers: Mapping[str, Offer], vendor: str, billing: str) -> Offer:
    """The offer for a piece of work. Raises HostLacks where this host has none for it."""
    if (offer := offers.get(vendor)) is None:
        raise HostLacks(f"this host does not offer {vendor}")
    offer.access("subscription" if billing == "subscription" else "api")
    return offer


def _tried(settings: Settings) -> Callable[[str], Offer | HostLacks]:
    def tried(name: str) -> Offer | HostLacks:
        try:
            return _offer(name, settings)
        except HostLacks as lack:
            return lack

    return tried


def _offer(name: str, settings: Settings) -> Offer:
    """Raises HostLacks."""
    means = means_of(name, settings)
    # Asked for first: a program that nobody can pay for need not be started.
    if means.setting and means.model is None and means.login is None:
        raise HostLacks(f"{means.setting} is not set")
    program = Path(means.program) if means.program else None
    return Offer(
        vendor=find_vendor(name, program=program, scripts=settings.scripts), model=means.model, login=means.login
    )
