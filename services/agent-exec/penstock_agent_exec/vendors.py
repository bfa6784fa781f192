"""Which agents this host offers: those it was told to, and has what they need.

Rule of this room: what a host lacks is a note of the host, never a failed task.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

from penstock.settings import Secret
from penstock_agent_exec.agents.generic import find_generic
from penstock_agent_exec.agents.generic_file import Described
from penstock_agent_exec.agents.known import NAMES, find_vendor
from penstock_agent_exec.agents.vendor import Billing, HostLacks, Vendor
from penstock_agent_exec.broker.account import Account
from penstock_agent_exec.broker.dialect import Dialect
from penstock_agent_exec.settings import Settings, described_in
from penstock_agent_exec.upstream import read_upstream

PROBES_AT_ONCE: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelAccess:
    """Where an agent's model is, and what pays for it: for the gate, never for the agent.

    `query` goes with every request. The key goes into `key_header`, or where that is empty into the dialect's own; `login`: it
    is a subscription's token, and goes in as a bearer's. `account`: what is known of its limits, by all who use it.
    """

    upstream: str
    key: Secret
    dialect: Dialect
    login: bool = False
    query: tuple[tuple[str, str], ...] = ()
    key_header: str = ""
    account: Account = field(default_factory=Account, compare=False, repr=False)


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
    `settings` are those that could say what pays, empty where nothing has to."""

    program: str | None = None
    settings: tuple[str, ...] = ()
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
    settings = (f"PENSTOCK_{setting}",) + (("PENSTOCK_CLAUDE_OAUTH_TOKEN",) if login is not None else ())
    return Means(program, settings, by_key, by_login)


def means_of_described(described: Described) -> Means:
    """What the file of agents says, with the key that it names. Raises HostLacks where that is not to be had."""
    program, model = described.table.program, described.table.model
    if model is None:
        return Means(program)
    base, query = read_upstream(model.base_url)
    key = Secret("none")  # for servers of one's own that ask for none
    try:
        if model.key_file:
            key = Secret(Path(model.key_file).read_text(encoding="utf-8").strip())
    except (OSError, UnicodeDecodeError) as error:
        raise HostLacks(f"{model.key_file}, where its key should be, cannot be read: {error}") from error
    if not key:
        raise HostLacks(f"{model.key_file}, where its key should be, is empty")
    dialect = Dialect(model.dialect)
    access = ModelAccess(upstream=base, key=key, dialect=dialect, query=query, key_header=model.key_header)
    return Means(program, model=access)


def offers_of(settings: Settings, environ: Mapping[str, str]) -> tuple[dict[str, Offer], tuple[str, ...]]:
    """The offers by vendor, and a note on each that is missing. Blocks while the programs say their versions, a few seconds
    at most: for the start of the service. `environ`: where variables are that the file of agents passes on.
    Raises BadSettings."""
    described = described_in(settings)
    names = settings.vendor_names or (*NAMES, *described)

    def tried(name: str) -> Offer | HostLacks:
        try:
            if (agent := described.get(name)) is not None:
                model = means_of_described(agent).model
                return Offer(vendor=find_generic(agent, environ), model=model)
            return _offer(name, settings)
        except HostLacks as lack:
            return lack

    with ThreadPoolExecutor(PROBES_AT_ONCE) as threads:
        found = dict(zip(names, threads.map(tried, names), strict=True))
    offers = {name: offer for name, offer in found.items() if isinstance(offer, Offer)}
    lacks = {name: lack for name, lack in found.items() if isinstance(lack, HostLacks)}
    return offers, tuple(f"{name} is not offered: {lack}" for name, lack in lacks.items())


def versions_of(offers: Mapping[str, Offer]) -> dict[str, str]:
    """By vendor, of those whose program has one."""
    return {name: offer.vendor.version for name, offer in offers.items() if offer.vendor.version}


def offer_of(offers: Mapping[str, Offer], vendor: str, billing: str) -> Offer:
    """The offer for a piece of work. Raises HostLacks where this host has none for it."""
    if (offer := offers.get(vendor)) is None:
        raise HostLacks(f"this host does not offer {vendor}")
    offer.access("subscription" if billing == "subscription" else "api")
    return offer


def _offer(name: str, settings: Settings) -> Offer:
    """Raises HostLacks."""
    means = means_of(name, settings)
    # Asked for first: a program that nobody can pay for need not be started.
    if means.settings and means.model is None and means.login is None:
        raise HostLacks(f"{' and '.join(means.settings)} {'is' if len(means.settings) == 1 else 'are'} not set")
    program = Path(means.program) if means.program else None
    return Offer(
        vendor=find_vendor(name, program=program, scripts=settings.scripts), model=means.model, login=means.login
    )
