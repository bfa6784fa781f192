"""Given answers of four dialects, streamed and plain, whole and broken off, what they used is counted while they pass."""

from __future__ import annotations

import asyncio
import gzip
import json
import random
import tempfile
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from adapters.broker_world import JSON, SSE, Api, Says, answer_of, ask, events
from patience import WAIT_SECONDS_MAX

from penstock.settings import Secret
from penstock.values import Price
from penstock_agent_exec.agents.facts import Usage
from penstock_agent_exec.broker.budget import RunBudget
from penstock_agent_exec.broker.dialect import Dialect
from penstock_agent_exec.broker.gate import ModelGate
from penstock_agent_exec.broker.metering import LINE_BYTES_MAX, AnswerMeter, Used
from penstock_agent_exec.broker.passing import INFLATED_BYTES_MAX, PIECE_BYTES_MAX, Inflating, TooMuch

pytestmark = pytest.mark.anyio

PRICE = Price(input_usd=3.0, output_usd=15.0, cache_read_usd=0.3, cache_write_usd=3.75)
EVERY = list(Dialect)


@pytest.fixture
def socket_path() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="gate-") as folder:
        yield Path(folder) / "model"


def gate_to(api: Api, path: Path, dialect: Dialect, budget: RunBudget | None = None) -> tuple[ModelGate, list[Usage]]:
    gate = ModelGate(path, upstream=api.base_url, key=Secret("k"), dialect=dialect, budget=budget)
    told: list[Usage] = []
    gate.books.tell(told.append)
    return gate, told


def expected(dialect: Dialect) -> Used:
    return Used(100, 40, 1_000, 20 if dialect is Dialect.ANTHROPIC else 0)


def used_of(usage: Usage) -> Used:
    return Used(usage.input_tokens, usage.output_tokens, usage.cache_read_tokens, usage.cache_write_tokens)


@pytest.mark.parametrize("dialect", EVERY)
async def test_a_streamed_answer_is_counted_once_with_its_cost(dialect: Dialect, socket_path: Path) -> None:
    body = answer_of(dialect)
    async with Api(lambda asked: Says(body=body)) as api:
        gate, told = gate_to(api, socket_path, dialect, RunBudget(PRICE))
        async with gate:
            answer = await ask(socket_path, dialect)
    assert (answer.status, answer.body, answer.is_whole) == (200, body, True)
    assert [used_of(usage) for usage in told] == [expected(dialect)]
    assert told[0].message_id == "a1"
    fresh, output, read, write = expected(dialect)
    assert told[0].cost_usd == pytest.approx((fresh * 3 + output * 15 + read * 0.3 + write * 3.75) / 1e6)
    assert gate.books.budget.spent_usd == told[0].cost_usd


PLAIN = {
    Dialect.ANTHROPIC: {"id": "a1", "type": "message", "usage": {"input_tokens": 7, "output_tokens": 9}},
    Dialect.RESPONSES: {"id": "a1", "object": "response", "usage": {"input_tokens": 7, "output_tokens": 9}},
    Dialect.CHAT: {"id": "a1", "choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 9}},
    Dialect.GEMINI: {"responseId": "a1", "usageMetadata": {"promptTokenCount": 7, "candidatesTokenCount": 9}},
}


@pytest.mark.parametrize("dialect", EVERY)
async def test_a_plain_answer_is_counted_too(dialect: Dialect, socket_path: Path) -> None:
    body = json.dumps(PLAIN[dialect], indent=2).encode()
    async with Api(lambda asked: Says(headers=JSON, body=body)) as api:
        gate, told = gate_to(api, socket_path, dialect)
        async with gate:
            assert (await ask(socket_path, dialect)).body == body
    assert [(used_of(usage), usage.message_id, usage.cost_usd) for usage in told] == [(Used(7, 9), "a1", None)]


def test_geminis_plain_stream_is_a_list_whose_last_part_counts() -> None:
    parts = [
        {"usageMetadata": {"promptTokenCount": 5}},
        {"usageMetadata": {"promptTokenCount": 5, "candidatesTokenCount": 8}},
    ]
    meter = AnswerMeter(Dialect.GEMINI, streamed=False)
    meter.feed(json.dumps(parts, indent=1).encode())
    assert meter.used(body_bytes=10, broken_off=False) == Used(5, 8)


@pytest.mark.parametrize("dialect", EVERY)
@pytest.mark.parametrize("seed", range(5))
def test_it_does_not_matter_in_which_pieces_the_bytes_come(dialect: Dialect, seed: int) -> None:
    dice = random.Random(seed)
    body = answer_of(dialect, words=20).replace(b"\n", b"\r\n" if seed % 2 else b"\n")
    cuts = sorted(dice.sample(range(len(body)), 40))
    meter = AnswerMeter(dialect, streamed=True)
    for begin, end in zip([0, *cuts], [*cuts, len(body)], strict=True):
        meter.feed(body[begin:end])
    assert meter.used(body_bytes=10, broken_off=False) == expected(dialect)


async def test_an_answer_is_passed_on_while_it_is_made_and_counted_at_its_end(socket_path: Path) -> None:
    go_on = asyncio.Event()
    whole = answer_of(Dialect.CHAT)
    first, rest = whole[:80], whole[80:]

    async def slowly() -> AsyncIterator[bytes]:
        yield first
        await go_on.wait()
        yield rest

    async with Api(lambda asked: Says(body=slowly)) as api:
        gate, told = gate_to(api, socket_path, Dialect.CHAT)
        async with gate:
            reader, writer = await asyncio.open_unix_connection(str(socket_path))
            writer.write(b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{}")
            async with asyncio.timeout(WAIT_SECONDS_MAX):
                assert first in await reader.readuntil(first)
            assert told == []
            go_on.set()
            async with asyncio.timeout(WAIT_SECONDS_MAX):
                await reader.readuntil(b"[DONE]")
            writer.close()
            await gate.quiet()
    assert [used_of(usage) for usage in told] == [expected(Dialect.CHAT)]


@pytest.mark.parametrize("dialect", EVERY)
async def test_an_answer_that_breaks_off_is_estimated_and_never_free(dialect: Dialect, socket_path: Path) -> None:
    async def cut() -> AsyncIterator[bytes]:
        yield answer_of(dialect, words=30, whole=False)
        raise ConnectionError("cut on purpose")

    async with Api(lambda asked: Says(body=cut)) as api:
        gate, told = gate_to(api, socket_path, dialect, RunBudget(PRICE))
        async with gate:
            answer = await ask(socket_path, dialect, b"x" * 4_000)
    assert not answer.is_whole
    assert len(told) == 1
    assert told[0].input_tokens == (100 if dialect is Dialect.ANTHROPIC else 1_000)
    assert 30 <= told[0].output_tokens <= 200
    assert told[0].cost_usd is not None
    assert told[0].cost_usd > 0


async def test_who_leaves_just_before_the_numbers_come_pays_all_the_same(socket_path: Path) -> None:
    never = asyncio.Event()

    async def without_end() -> AsyncIterator[bytes]:
        yield answer_of(Dialect.CHAT, words=50, whole=False)
        await never.wait()

    async with Api(lambda asked: Says(body=without_end)) as api:
        gate, told = gate_to(api, socket_path, Dialect.CHAT)
        async with gate:
            reader, writer = await asyncio.open_unix_connection(str(socket_path))
            writer.write(b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 800\r\n\r\n" + b"x" * 800)
            await reader.readuntil(b"word")
            writer.close()
            await gate.quiet()
    assert [usage.input_tokens for usage in told] == [200]
    assert told[0].output_tokens >= 1


async def test_a_request_left_before_any_word_has_cost_its_input(socket_path: Path) -> None:
    never = asyncio.Event()

    async def nothing() -> AsyncIterator[bytes]:
        await never.wait()
        yield b""

    class Late(Api):
        async def _say(self, *_: object) -> None:
            await never.wait()

    async with Late(lambda asked: Says(body=nothing)) as api:
        gate, told = gate_to(api, socket_path, Dialect.RESPONSES)
        async with gate:
            _, writer = await asyncio.open_unix_connection(str(socket_path))
            writer.write(b"POST /v1/responses HTTP/1.1\r\nhost: x\r\ncontent-length: 400\r\n\r\n" + b"x" * 400)
            await api.until(1)
            writer.close()
            await gate.quiet()
    assert [used_of(usage) for usage in told] == [Used(100, 0)]


async def test_requests_with_answers_of_the_same_name_are_all_paid_for(socket_path: Path) -> None:
    async with Api(lambda asked: Says(body=answer_of(Dialect.CHAT))) as api:
        gate, told = gate_to(api, socket_path, Dialect.CHAT)
        async with gate:
            await asyncio.gather(*(ask(socket_path, Dialect.CHAT) for _ in range(5)))
    assert len({usage.message_id for usage in told}) == 5


@pytest.mark.parametrize(
    ("dialect", "path"),
    [(Dialect.ANTHROPIC, "/v1/messages/count_tokens"), (Dialect.GEMINI, "/v1beta/models/m:countTokens")],
)
async def test_counting_tokens_costs_nothing(dialect: Dialect, path: str, socket_path: Path) -> None:
    async with Api(lambda asked: Says(headers=JSON, body=b'{"input_tokens": 5, "usage": {"input_tokens": 5}}')) as api:
        gate, told = gate_to(api, socket_path, dialect)
        async with gate:
            assert (await ask(socket_path, dialect, target=path)).status == 200
    assert told == []


@pytest.mark.parametrize("dialect", EVERY)
async def test_neither_an_error_nor_another_kind_of_page_is_an_answer(dialect: Dialect, socket_path: Path) -> None:
    pages = [
        Says(500, JSON, b'{"error": {"message": "x"}, "usage": {"input_tokens": 5}}'),
        Says(200, {"content-type": "text/html"}, b"<html>log in</html>"),
        Says(200, SSE, b""),
        Says(302, {"location": "https://elsewhere.example/"}, b""),
    ]
    async with Api(lambda asked: pages[asked.number]) as api:
        gate, told = gate_to(api, socket_path, dialect)
        async with gate:
            statuses = [(await ask(socket_path, dialect)).status for _ in pages]
    assert statuses == [500, 200, 200, 302]
    assert told == []


async def test_an_answer_that_comes_compressed_against_our_wish_is_read_beside(socket_path: Path) -> None:
    packed = gzip.compress(answer_of(Dialect.CHAT))
    async with Api(lambda asked: Says(headers=SSE | {"content-encoding": "gzip"}, body=packed)) as api:
        gate, told = gate_to(api, socket_path, Dialect.CHAT)
        async with gate:
            answer = await ask(socket_path, Dialect.CHAT, headers=("accept-encoding: gzip, zstd",))
    assert api.asked[0].headers["accept-encoding"] == "identity"
    assert answer.body == packed
    assert [used_of(usage) for usage in told] == [expected(Dialect.CHAT)]


async def test_a_compressed_answer_that_comes_to_very_much_holds_nobody_up_and_is_not_free(socket_path: Path) -> None:
    packed = gzip.compress(answer_of(Dialect.CHAT) + b"\n" * (INFLATED_BYTES_MAX + PIECE_BYTES_MAX))
    assert len(packed) < 1_000_000
    async with Api(lambda asked: Says(headers=SSE | {"content-encoding": "gzip"}, body=packed)) as api:
        gate, told = gate_to(api, socket_path, Dialect.CHAT)
        async with gate:
            answer = await ask(socket_path, Dialect.CHAT)
    assert answer.body == packed
    assert [used_of(usage) for usage in told] == [expected(Dialect.CHAT)]
    sizes: list[int] = []
    with pytest.raises(TooMuch):
        sizes.extend(len(piece) for piece in Inflating().pieces(packed))
    assert max(sizes) == PIECE_BYTES_MAX
    assert sum(sizes) == INFLATED_BYTES_MAX


def test_a_flood_of_ends_of_lines_makes_no_object_of_each() -> None:
    meter = AnswerMeter(Dialect.CHAT, streamed=True)
    flood = b"\n" * 32 * 1024 * 1024
    tracemalloc.start()
    try:
        meter.feed(flood)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < len(flood)


def test_of_a_line_that_is_too_long_the_numbers_are_found_and_little_is_kept() -> None:
    usage = {"input_tokens": 1_100, "input_tokens_details": {"cached_tokens": 1_000}, "output_tokens": 40}
    text = 'a "usage": {"input_tokens": 1} b' * (12 * LINE_BYTES_MAX // 40)
    done = {"type": "response.completed", "response": {"id": "long", "output": [text], "usage": usage, "z": 1}}
    body = events(done)
    meter = AnswerMeter(Dialect.RESPONSES, streamed=True)
    for at in range(0, len(body), 65_536):
        meter.feed(body[at : at + 65_536])
        assert len(meter._line.content) <= LINE_BYTES_MAX
    assert meter.used(body_bytes=1, broken_off=False) == Used(100, 40, 1_000)
    assert meter.answer_id == "long"


NONSENSE = [
    b"data: {this is no json\n\n",
    b'data: {"usage": {"input_tokens": -5}}\n\n',
    b'data: {"usage": {"input_tokens": 1e400, "output_tokens": "x"}}\n\n',
    b'data: {"usage": ' + b"[" * 5_000 + b"\n\n",
    b'data: "usage"\n\n',
    b'data: \xff\xfe"usage"\n\n',
    b'data: {"usage": null, "usageMetadata": null, "message": {"usage": 7}}\n\n',
    b'data: {"usage": {"input_tokens": 99999999999999999999999}}\n\n',
]


@pytest.mark.parametrize("dialect", EVERY)
def test_nonsense_in_the_place_of_numbers_is_survived_and_costs_nothing_negative(dialect: Dialect) -> None:
    for nonsense in NONSENSE:
        meter = AnswerMeter(dialect, streamed=True)
        meter.feed(nonsense + answer_of(dialect))
        used = meter.used(body_bytes=10, broken_off=False)
        assert used == expected(dialect), nonsense


async def test_ten_megabytes_pass_either_way(socket_path: Path) -> None:
    size_bytes = 10 * 1024 * 1024
    body = json.dumps(
        {"id": "a1", "text": "x" * size_bytes, "usage": {"prompt_tokens": 7, "completion_tokens": 9}}
    ).encode()
    async with Api(lambda asked: Says(headers=JSON, body=body)) as api:
        gate, told = gate_to(api, socket_path, Dialect.CHAT)
        async with gate:
            answer = await ask(socket_path, Dialect.CHAT, b"y" * size_bytes)
    assert api.asked[0].body_bytes == size_bytes
    assert answer.body == body
    assert [used_of(usage) for usage in told] == [Used(7, 9)]
