"""The furniture of the made-up world: repositories, vendors, policies, the ways in which a step may fail.

Rule of this room: values only. Limits are low, so that short histories meet them.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from penstock.catalog import FleetSettings, PriceOf, Repo
from penstock.values import Checking, PlanGate, Policy, Price, VerifyCommands, Window

T0: Final = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
HOUR: Final = timedelta(hours=1)
BASE: Final = "b" * 40

CHECKED: Final = "shop"
UNCHECKED: Final = "blog"

VENDORS: Final = ("claude", "codex", "gemini")
OF_SESSION: Final = "codex"
"""The vendor that counts over a whole session."""

SILENT: Final = "gemini"
"""The vendor that names no cost; a price is set for its model `big`, and none for others."""

PRICED: Final = "big"
TOKENS_PER_USD: Final = 1_000_000
"""At the price below, so many tokens cost a dollar."""

PRICES: Final = (PriceOf(vendor=SILENT, model=PRICED, price=Price(input_usd=1.0, output_usd=1.0)),)

HOSTS: Final = ("h1", "h2", "h3")
PEOPLE: Final = ("ann", "bob")
FILES: Final = ("src/cart.py", "src/sum.py", "docs/readme.md")


def repos(parallel_max: int, day_usd: float | None) -> dict[str, Repo]:
    """One repository with checks, one without."""
    url = "https://git.example/x.git"
    checks = VerifyCommands(build="make", test="make test")
    return {
        CHECKED: Repo(
            name=CHECKED,
            clone_url=url,
            verify=checks,
            checking=Checking(baseline="failed", failed_before="succeeded" if parallel_max == 2 else "unverified"),
            parallel_max=parallel_max,
            max_cost_usd_per_day=day_usd,
            follow=True,
            reviewers=("ann",) if parallel_max == 2 else (),
        ),
        UNCHECKED: Repo(name=UNCHECKED, clone_url=url, parallel_max=parallel_max, follow=True),
    }


SETTINGS: Final = (
    FleetSettings(prices=PRICES),
    FleetSettings(tasks_max=1, prices=PRICES, ageing_seconds=600.0),
    FleetSettings(tasks_max=2, accounts={"claude": 1}, prices=PRICES),
    FleetSettings(tasks_max=3, accounts={"claude": 2, "codex": 1}, hosts={"h1": 1, "h2": 1}, prices=PRICES),
    FleetSettings(max_cost_usd_per_day=1.5, prices=PRICES),
)

POLICIES: Final = (
    Policy(budget_warning=0.8, reset_seconds_max=700_000.0, rebases_max=1),
    Policy(
        budget_warning=0.8, failures_alike_max=2, compact_after_attempts=2, reset_seconds_max=90_000.0, recall_max=2
    ),
    Policy(failures_alike_max=2, compact_after_attempts=1, compaction="agent", reset_seconds_max=90_000.0, parks_max=3),
    Policy(
        lost_max=1,
        pauses_max=1,
        plans_max=2,
        rebases_max=2,
        parks_max=4,
        reset_seconds_max=90_000.0,
        budget_warning=0.5,
    ),
    Policy(abstain_below=60.0, failures_alike_max=1, reset_seconds_max=90_000.0, recall_max=3),
)

GATES: Final = (
    PlanGate(),
    PlanGate(silence="park", silence_seconds=1_800.0),
    PlanGate(silence="deny", silence_seconds=3_600.0),
    PlanGate(silence="approve_if_low_risk", silence_seconds=900.0),
)

NIGHT: Final = Window(opens="22:00", closes="06:00")


class Trouble(NamedTuple):
    """One way to fail. `transient`: by the host's word; `told`: whether the vendor may say when to come back."""

    error_class: str
    transient: bool = False
    told: bool = False


LIMITS: Final = (
    Trouble("vendor.rate_limit", True, True),
    Trouble("vendor.usage_window", True, True),
    Trouble("vendor.overloaded", True, True),
)
AGENT_TROUBLES: Final = (
    *LIMITS,
    *LIMITS,
    *(Trouble(name) for name in ("agent.no_change", "agent.timeout", "agent.stalled", "agent.crashed")),
    *(
        Trouble(name)
        for name in ("agent.no_change", "agent.no_change", "agent.unknown", "vendor.max_turns", "vendor.max_turns")
    ),
    *(Trouble(name) for name in ("vendor.auth", "vendor.billing", "vendor.model_not_found", "vendor.refusal")),
    *(Trouble(name) for name in ("vendor.context_overflow", "vendor.session_lost", "vendor.budget")),
    Trouble("env.disk_full"),
    Trouble("host.sandbox", True),
    Trouble("agent.interrupted", True),
)
PLAN_TROUBLES: Final = (*LIMITS, Trouble("agent.unknown"), Trouble("vendor.auth"), Trouble("vendor.bad_answer"))
PREPARE_TROUBLES: Final = (
    Trouble("git.unreachable", True),
    Trouble("git.unreachable", True),
    Trouble("git.unreachable", True),
    Trouble("env.disk_full"),
    Trouble("git.auth"),
    Trouble("git.bad_name"),
    Trouble("git.repository_missing"),
)
PUBLISH_TROUBLES: Final = (
    Trouble("git.unreachable", True),
    Trouble("git.auth"),
    Trouble("forge.down", True),
    Trouble("git.hook_rejected"),
    *(Trouble(f"preflight.{rule}") for rule in ("secret", "size", "scope", "failed")),
)
CHECK_TAILS: Final = (
    "FAILED tests/test_sum.py::test_sum - assert 3 == 4\n1 failed, 2 passed in 0.10s",
    "src/sum.py:3:1: error: Incompatible return value type (got str, expected int)",
    "sh: 1: make: not found",
    "curl: (6) Could not resolve host: registry.example",
    "nothing that anybody knows",
)
"""What a failed check may print: recoverable, recoverable, hard, passing, vague."""
