"""Given a budget, a run stops at it: overshoot is one request at most, however many are asked at once."""

from __future__ import annotations

import asyncio
import json
import random
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from adapters.broker_world import Answer, Api, Asked, Says, answer_of, ask
from patience import WAIT_SECONDS_MAX

from penstock.settings import Secret
from penstock.values import Price
from penstock_agent_exec.agents.facts import Usage
from penstock_agent_exec.broker.budget import OUTPUT_TOKENS_MAX, BudgetSpent, RunBudget, cost_of
from penstock_agent_exec.broker.dialect import Dialect
from penstock_agent_exec.broker.gate import ModelGate
from penstock_agent_exec.broker.metering import Used

pytestmark = pytest.mark.anyio

PRICE = Price(input_usd=3.0, output_usd=15.0)
ONE_USD = cost_of(Used(100, 40, 1_000), PRICE)
EVERY = list(Dialect)


@pytest.fixture
def socket_path() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="gate-") as folder:
        yield Path(folder) / "model"


STOPS = {Dialect.ANTHROPIC: 403, Dialect.RESPONSES: 400, Dialect.CHAT: 403, Dialect.GEMINI: 403}


@pytest.mark.parametrize("dialect", EVERY)
async def test_when_it_is_spent_no_further_request_goes_out(dialect: Dialect, socket_path: Path) -> None:
    budget = RunBudget(PRICE, max_cost_usd=2.5 * ONE_USD)
    async with Api(lambda asked: Says(body=answer_of(dialect))) as api:
        async with ModelGate(socket_path, upstream=api.base_url, key=Secret("k"), dialect=dialect, budget=budget):
            answers = [await ask(socket_path, dialect) for _ in range(6)]
        assert [answer.status for answer in answers] == [200] * 3 + [STOPS[dialect]] * 3
        assert len(api.asked) == 3
    error = json.loads(answers[-1].body)["error"]
    assert "may cost" in error["message"]
    assert answers[-1].headers["x-should-retry"] == "false"
    assert budget.has_refused


@pytest.mark.parametrize("dialect", EVERY)
async def test_of_forty_requests_at_once_one_at_most_goes_beyond_it(dialect: Dialect, socket_path: Path) -> None:
    limit_usd = 4.5 * ONE_USD
    budget = RunBudget(PRICE, max_cost_usd=limit_usd)
    told: list[Usage] = []

    async def slowly() -> AsyncIterator[bytes]:
        for part in answer_of(dialect).splitlines(keepends=True):
            yield part
            await asyncio.sleep(0)

    async with Api(lambda asked: Says(body=slowly)) as api:
        gate = ModelGate(socket_path, upstream=api.base_url, key=Secret("k"), dialect=dialect, budget=budget)
        gate.books.tell(told.append)
        async with gate:
            answers = await asyncio.gather(*(ask(socket_path, dialect) for _ in range(30)))
        assert len(api.asked) == len(told) == 5
    spent_usd = sum(usage.cost_usd or 0 for usage in told)
    assert limit_usd <= spent_usd <= limit_usd + max(usage.cost_usd or 0 for usage in told)
    assert sum(answer.status == 200 for answer in answers) == 5


async def test_far_from_the_limit_requests_go_out_side_by_side(socket_path: Path) -> None:
    go_on = asyncio.Event()

    async def together() -> AsyncIterator[bytes]:
        await go_on.wait()
        yield answer_of(Dialect.CHAT)

    async with Api(lambda asked: Says(body=together)) as api:
        budget = RunBudget(PRICE, max_cost_usd=1_000.0)
        async with ModelGate(socket_path, upstream=api.base_url, key=Secret("k"), dialect=Dialect.CHAT, budget=budget):
            asking = [asyncio.create_task(ask(socket_path, Dialect.CHAT)) for _ in range(8)]
            await api.until(8)
            go_on.set()
            await asyncio.gather(*asking)
    assert api.at_once == 8


async def test_near_the_limit_they_wait_for_each_other(socket_path: Path) -> None:
    async with Api(lambda asked: Says(body=answer_of(Dialect.CHAT))) as api:
        budget = RunBudget(PRICE, max_cost_usd=1.0)
        async with ModelGate(socket_path, upstream=api.base_url, key=Secret("k"), dialect=Dialect.CHAT, budget=budget):
            await asyncio.gather(*(ask(socket_path, Dialect.CHAT) for _ in range(8)))
    assert api.at_once == 1
    assert len(api.asked) == 8


async def test_one_that_is_left_or_fails_lets_the_next_one_through(socket_path: Path) -> None:
    never = asyncio.Event()

    async def hang() -> AsyncIterator[bytes]:
        await never.wait()
        yield b""

    def answer(asked: Asked) -> Says:
        if asked.number == 0:
            return Says(body=hang)
        return Says(500, body=b"{}") if asked.number == 1 else Says(body=answer_of(Dialect.CHAT))

    async with Api(answer) as api:
        budget = RunBudget(PRICE, max_cost_usd=1.0)
        async with ModelGate(socket_path, upstream=api.base_url, key=Secret("k"), dialect=Dialect.CHAT, budget=budget):
            _, writer = await asyncio.open_unix_connection(str(socket_path))
            writer.write(b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{}")
            await api.until(1)
            asking = [asyncio.create_task(ask(socket_path, Dialect.CHAT)) for _ in range(2)]
            writer.close()
            answers = await asyncio.gather(*asking)
    assert sorted(answer.status for answer in answers) == [200, 500]


async def test_without_a_price_or_without_a_limit_nobody_waits_and_nothing_is_refused() -> None:
    for budget in (RunBudget(), RunBudget(PRICE), RunBudget(None, 0.01)):
        async with budget.request(10**9), budget.request(10**9):
            budget.spend(Used(10**9, 10**9))
        async with budget.request(10**9):
            assert not budget.is_spent


@pytest.mark.parametrize("seed", range(30))
async def test_whatever_requests_cost_only_one_goes_beyond(seed: int) -> None:
    """Random costs, up to the worst that a body of that size can come to, and any number at once."""
    dice = random.Random(seed)
    price = Price(
        input_usd=dice.uniform(0.1, 20), output_usd=dice.uniform(0.1, 80), cache_write_usd=dice.uniform(0, 25)
    )
    limit_usd = dice.uniform(0.5, 60)
    budget = RunBudget(price, max_cost_usd=limit_usd)
    costs: list[float] = []

    async def one(body_bytes: int, used: Used, turns: int) -> None:
        try:
            async with budget.request(body_bytes):
                for _ in range(turns):
                    await asyncio.sleep(0)
                costs.append(budget.spend(used) or 0.0)
        except BudgetSpent:
            pass

    async with asyncio.timeout(WAIT_SECONDS_MAX), asyncio.TaskGroup() as group:
        for _ in range(200):
            body_bytes = dice.randrange(1, 400_000)
            fresh = dice.randrange(0, body_bytes + 1)
            used = Used(fresh, dice.randrange(0, OUTPUT_TOKENS_MAX), 0, body_bytes - fresh)
            group.create_task(one(body_bytes, used, dice.randrange(0, 5)))
    assert budget.is_spent
    before_last = [sum(costs[:n]) for n in range(len(costs))]
    assert all(spent < limit_usd for spent in before_last), "one more was let through after the limit"


async def test_answers_of_our_own_arrive_though_the_request_is_long_and_unread(socket_path: Path) -> None:
    budget = RunBudget(PRICE, max_cost_usd=0.0)
    answers: list[Answer] = []
    async with ModelGate(
        socket_path, upstream="http://127.0.0.1:9", key=Secret("k"), dialect=Dialect.ANTHROPIC, budget=budget
    ):
        answers += [await ask(socket_path, Dialect.ANTHROPIC, b"x" * 3_000_000) for _ in range(3)]
        answers += [await ask(socket_path, Dialect.ANTHROPIC, b"x" * 3_000_000, target="/v1/files")]
    assert [answer.status for answer in answers] == [403] * 4
    assert all(answer.is_whole for answer in answers)
