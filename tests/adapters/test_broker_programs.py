"""Given the real programs of four vendors behind the gate, each is metered, held to its budget and to its account's limit."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from agent_bench import Bench
from agent_programs import claude_or_skip, codex_or_skip, gemini_or_skip, qwen_or_skip
from fake_model import FakeModel, Say, bash, endless, script

from penstock.values import Price
from penstock_agent_exec.agents.facts import Usage
from penstock_agent_exec.agents.vendor import Vendor
from penstock_agent_exec.broker.account import Account
from penstock_agent_exec.broker.budget import RunBudget, cost_of
from penstock_agent_exec.broker.denials import Denial, Denials
from penstock_agent_exec.broker.dialect import Dialect
from penstock_agent_exec.broker.egress import EgressProxy
from penstock_agent_exec.broker.limits import limit_of
from penstock_agent_exec.broker.metering import Used
from penstock_agent_exec.process import Watch
from penstock_agent_exec.sandbox_probe import probe

pytestmark = [pytest.mark.anyio, pytest.mark.skipif(not probe().ok, reason=probe().message)]

PRICE = Price(input_usd=3.0, output_usd=15.0)
ONE_ANSWER_USD = cost_of(Used(1_200, 40), PRICE)


@dataclass(frozen=True)
class Kind:
    """One vendor's program."""

    found: Callable[[], Vendor]
    dialect: Dialect
    model: str


KINDS = {
    "claude": Kind(claude_or_skip, Dialect.ANTHROPIC, "claude-sonnet-5"),
    "codex": Kind(codex_or_skip, Dialect.RESPONSES, "gpt-5.5"),
    "gemini": Kind(gemini_or_skip, Dialect.GEMINI, "gemini-3-pro"),
    "qwen": Kind(qwen_or_skip, Dialect.CHAT, "qwen3-coder"),
}


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, bool]]:
    return "asyncio", {"use_uvloop": True}  # as the service runs


@pytest.fixture(params=KINDS)
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    kind = KINDS[request.param]
    vendor = kind.found()
    with tempfile.TemporaryDirectory(prefix="gate-") as socket_folder:
        yield Bench(vendor, tmp_path, Path(socket_folder), dialect=kind.dialect, model=kind.model)


async def test_each_answer_is_counted_once_by_the_gate_and_priced(bench: Bench) -> None:
    async with FakeModel(script(bash("echo one"), Say("Done."))) as model:
        outcome = await bench.attempt(model, budget=RunBudget(PRICE))
        answers = len(model.model_requests)
    told = [fact for fact in bench.facts if isinstance(fact, Usage)]
    assert outcome.verdict.ok, outcome.verdict
    assert len(told) == answers == 2
    assert len({fact.message_id for fact in told}) == 2
    usage = outcome.verdict.usage
    assert (usage.input_tokens, usage.output_tokens) == (2_400, 80)
    assert usage.cost_usd == pytest.approx(2 * ONE_ANSWER_USD)


async def test_at_the_end_of_its_budget_the_program_is_stopped_by_the_gate_alone(bench: Bench) -> None:
    budget = RunBudget(PRICE, max_cost_usd=2.5 * ONE_ANSWER_USD)
    async with FakeModel(script(endless())) as model:
        outcome = await bench.attempt(model, budget=budget, watch=Watch(wall_seconds=600))
        assert len(model.model_requests) == 3
    assert budget.has_refused
    assert not outcome.verdict.ok
    assert outcome.ending.why == "exited", "it went on and on"
    assert outcome.verdict.usage.cost_usd == pytest.approx(3 * ONE_ANSWER_USD)
    assert outcome.ending.wall_seconds < bench.seconds(75)


async def test_an_account_at_its_limit_ends_the_run_without_a_request_and_says_until_when(bench: Bench) -> None:
    account = Account()
    until = time.time() + 7_200
    limit = limit_of(bench.dialect, 429, {"retry-after": "7200"}, b"", until - 7_200)
    assert limit is not None
    async with FakeModel(script(Say("never said"))) as model:
        # By another run, while this one begins: at the first moment at which it waits for something.
        asyncio.get_running_loop().call_soon(account.limited, limit)
        outcome = await bench.attempt(model, account=account, watch=Watch(wall_seconds=600))
        assert model.model_requests == []
    verdict = outcome.verdict
    assert not verdict.ok
    assert verdict.error_class in ("vendor.rate_limit", "vendor.usage_window", "vendor.usage_limit"), verdict
    assert verdict.resets_at is not None
    # Who is told a time in seconds counts from when it was told.
    assert verdict.resets_at.timestamp() == pytest.approx(until, abs=5 + outcome.ending.wall_seconds)


async def test_with_a_way_to_other_hosts_it_still_finds_its_model_and_its_commands_find_the_way(
    bench: Bench, tmp_path: Path
) -> None:
    denied: list[Denial] = []
    with tempfile.TemporaryDirectory(prefix="way-") as folder:
        proxy = EgressProxy(Path(folder) / "egress", ("registry.example:443",), denials=Denials(denied.append))
        look = "python3 -c 'import urllib.request as u; u.urlopen(\"https://evil.example/\", timeout=120)'; echo $?"
        async with FakeModel(script(bash(look), Say("Done."))) as model, proxy:
            outcome = await bench.attempt(model, egress=proxy.socket_path)
            answers = len(model.model_requests)
    assert outcome.verdict.ok, outcome.verdict
    assert answers == 2
    assert Denial("egress", "evil.example:443", "it is not open to this repo") in denied
    assert not [denial for denial in denied if "127.0.0.1" in denial.target or "model.invalid" in denial.target]
