"""Given a limit that one task has met, others on the same account are refused at once, unasked, until it is over."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from adapters.broker_world import JSON, SSE, Api, Asked, Says, answer_of, ask

from penstock.settings import Secret
from penstock_agent_exec.agents.facts import REQUEST_LIMIT
from penstock_agent_exec.broker.account import Account
from penstock_agent_exec.broker.dialect import Dialect
from penstock_agent_exec.broker.gate import CONNECTIONS_MAX, ModelGate
from penstock_agent_exec.broker.limits import limit_of, repeated

pytestmark = pytest.mark.anyio

EVERY = list(Dialect)
A, R, C, G = Dialect.ANTHROPIC, Dialect.RESPONSES, Dialect.CHAT, Dialect.GEMINI
NOW = 1_800_000_000.0


def error(**fields: object) -> bytes:
    return json.dumps({"error": fields}).encode()


def google(*details: dict[str, object]) -> bytes:
    return error(code=429, message="m", status="RESOURCE_EXHAUSTED", details=list(details))


RETRY: dict[str, object] = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "37s"}
PER_DAY: dict[str, object] = {
    "@type": "type.googleapis.com/google.rpc.QuotaFailure",
    "violations": [{"quotaId": "GenerateRequestsPerDayPerProjectPerModel"}],
}
UNIFIED = {
    "anthropic-ratelimit-unified-status": "rejected",
    "anthropic-ratelimit-unified-representative-claim": "five_hour",
    "anthropic-ratelimit-unified-reset": str(int(NOW) + 7_200),
    "retry-after": "5",
}
SPENT_WINDOW = {"x-codex-primary-used-percent": "100.0", "x-codex-primary-reset-at": str(int(NOW) + 900)}
SAID: list[tuple[Dialect, int, dict[str, str], bytes, str, float]] = [
    (A, 429, {"retry-after": "60"}, error(type="rate_limit_error"), REQUEST_LIMIT, 60),
    (A, 429, UNIFIED, error(type="rate_limit_error"), "five_hour", 7_200),
    (A, 429, {"retry-after-ms": "1500"}, b"", REQUEST_LIMIT, 1.5),
    (A, 429, {"retry-after": "Fri, 15 Jan 2027 08:01:40 GMT"}, b"", REQUEST_LIMIT, 100),
    (A, 429, {"retry-after": "soon"}, b"no json", REQUEST_LIMIT, 0),
    (A, 429, {"retry-after": "nan"}, b"[1]", REQUEST_LIMIT, 0),
    (A, 429, {"retry-after": "-5"}, b"null", REQUEST_LIMIT, 0),
    (A, 429, {"retry-after": "99999999"}, b"", REQUEST_LIMIT, 0),
    (A, 429, {"retry-after": "Mon, 01 Jan 2024 00:00:00 +99999999999999999999"}, b"", REQUEST_LIMIT, 0),
    (C, 429, {"retry-after": "9"}, error(type=["x"], code={"a": 1}), REQUEST_LIMIT, 9),
    (C, 429, {"retry-after": "9"}, b'{"error": {"resets_at": ' + b"9" * 400 + b"}}", REQUEST_LIMIT, 9),
    (
        A,
        429,
        {"anthropic-ratelimit-tokens-remaining": "0", "anthropic-ratelimit-tokens-reset": "2027-01-15T08:00:30Z"},
        b"",
        REQUEST_LIMIT,
        30,
    ),
    (A, 429, {"anthropic-ratelimit-tokens-reset": "2027-01-15T08:00:30Z"}, b"", REQUEST_LIMIT, 0),
    (R, 429, {"retry-after": "2"}, error(type="rate_limit_exceeded"), REQUEST_LIMIT, 2),
    (R, 429, {}, error(type="usage_limit_reached", resets_at=int(NOW) + 50), "usage_limit_reached", 50),
    (R, 429, {}, error(type="usage_limit_reached", resets_in_seconds=70), "usage_limit_reached", 70),
    (R, 429, SPENT_WINDOW, error(type="usage_limit_reached"), "usage_limit_reached", 900),
    (
        R,
        429,
        {"x-codex-secondary-used-percent": "100", "x-codex-secondary-reset-after-seconds": "80"},
        error(type="usage_limit_reached"),
        "usage_limit_reached",
        80,
    ),
    (R, 429, {}, error(message="Rate limit reached. Please try again in 1m1.5s."), REQUEST_LIMIT, 61.5),
    (C, 429, {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "6m0s"}, b"", REQUEST_LIMIT, 360),
    (C, 429, {"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "20ms"}, b"", REQUEST_LIMIT, 0.02),
    (C, 429, {"x-ratelimit-remaining-tokens": "9", "x-ratelimit-reset-tokens": "6m"}, b"", REQUEST_LIMIT, 0),
    (C, 429, {"retry-after": "3600"}, b"", REQUEST_LIMIT, 3_600),
    (G, 429, {}, google(RETRY), REQUEST_LIMIT, 37),
    (G, 429, {}, google(PER_DAY), "day", 0),
    (G, 429, {}, google(RETRY, PER_DAY), "day", 37),
    (G, 429, {}, b"[" + google(RETRY) + b"]", REQUEST_LIMIT, 37),
    (G, 429, {"retry-after": "9"}, google({"@type": 5, "retryDelay": {}}), REQUEST_LIMIT, 9),
]


@pytest.mark.parametrize(("dialect", "status", "headers", "body", "kind", "seconds"), SAID)
def test_a_refusal_says_what_it_is_for_and_until_when(
    dialect: Dialect, status: int, headers: dict[str, str], body: bytes, kind: str, seconds: float
) -> None:
    limit = limit_of(dialect, status, headers, body, NOW)
    assert limit is not None
    assert limit.kind == kind
    assert limit.resets_at == pytest.approx(NOW + seconds if seconds else 0.0)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (500, b""),
        (403, b""),
        (429, error(type="insufficient_quota", code="insufficient_quota")),
        (429, error(type="usage_not_included")),
    ],
)
def test_what_time_does_not_heal_is_no_limit(status: int, body: bytes) -> None:
    assert limit_of(R, status, {"retry-after": "5"}, body, NOW) is None


@pytest.mark.parametrize(("dialect", "status", "headers", "body", "kind", "seconds"), [s for s in SAID if s[5] > 1])
def test_the_same_refusal_said_again_means_the_same_with_less_time(
    dialect: Dialect, status: int, headers: dict[str, str], body: bytes, kind: str, seconds: float
) -> None:
    limit = limit_of(dialect, status, headers, body, NOW)
    assert limit is not None
    later = NOW + seconds / 2
    again_body, again_headers = repeated(dialect, limit, later)
    again = limit_of(dialect, 429, dict(again_headers), again_body, later)
    assert again is not None
    assert again.kind == kind
    assert again.resets_at == pytest.approx(limit.resets_at, abs=1.0)


# -- among gates ---------------------------------------------------------------------------------------------------------


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="gate-") as name:
        yield Path(name)


@pytest.mark.parametrize("dialect", EVERY)
async def test_a_limit_met_by_one_task_holds_the_others_until_it_is_over(dialect: Dialect, folder: Path) -> None:
    refusal = Says(429, JSON | {"retry-after": "60"}, error(type="rate_limit_error", message="slow down"))
    clock, account = Clock(), Account()

    def answer(asked: Asked) -> Says:
        return refusal if asked.number == 0 else Says(body=answer_of(dialect))

    async with Api(answer) as api:
        one, other, stranger = (
            ModelGate(
                folder / name, upstream=api.base_url, key=Secret(name), dialect=dialect, account=held, clock=clock
            )
            for name, held in (("one", account), ("other", account), ("stranger", Account()))
        )
        async with one, other, stranger:
            assert (await ask(one.socket_path, dialect)).status == 429
            clock.now += 20
            held = [await ask(gate.socket_path, dialect) for gate in (other, one, other)]
            assert [answer.status for answer in held] == [429] * 3
            assert [answer.headers["retry-after"] for answer in held] == ["40"] * 3
            assert b"slow down" in held[0].body
            assert len(api.asked) == 1
            assert other.rate_limited is not None
            assert (other.rate_limited.refused, other.rate_limited.resets_at) == (True, NOW + 60)
            assert (await ask(stranger.socket_path, dialect)).status == 200
            clock.now += 41
            assert (await ask(other.socket_path, dialect)).status == 200
            assert other.rate_limited is None
            assert len(api.asked) == 3


async def test_a_good_answer_that_was_under_way_frees_the_account(folder: Path) -> None:
    clock, account = Clock(), Account()
    limit = limit_of(A, 429, {"retry-after": "60"}, b"", NOW)
    assert limit is not None
    account.limited(limit)
    assert account.held(clock()) is limit
    account.answered()
    assert account.held(clock()) is None


@pytest.mark.parametrize(
    "says",
    [
        Says(429, JSON, b"{}"),
        Says(529, JSON | {"retry-after": "60"}, b"{}"),
        Says(503, JSON | {"retry-after": "60"}, b"{}"),
        Says(429, JSON | {"retry-after": "60"}, error(code="insufficient_quota")),
        Says(200, SSE, b""),
    ],
)
async def test_without_an_end_or_where_the_account_is_not_to_blame_nobody_is_held(says: Says, folder: Path) -> None:
    account = Account()
    async with Api(lambda asked: says) as api:
        gates = [ModelGate(folder / name, upstream=api.base_url, key=Secret("k"), account=account) for name in "ab"]
        async with gates[0], gates[1]:
            for gate in gates:
                assert (await ask(gate.socket_path, A)).status == says.status
    assert len(api.asked) == 2


async def test_no_refusal_however_odd_takes_the_place_of_later_requests(folder: Path) -> None:
    odd = Says(429, JSON | {"retry-after": "Mon, 01 Jan 2024 00:00:00 +99999999999999999999"}, b"{}")
    async with Api(lambda asked: odd if asked.number < CONNECTIONS_MAX else Says(body=answer_of(A))) as api:
        gate = ModelGate(folder / "model", upstream=api.base_url, key=Secret("k"))
        async with gate:
            statuses = [(await ask(gate.socket_path, A)).status for _ in range(CONNECTIONS_MAX + 1)]
    assert statuses == [429] * CONNECTIONS_MAX + [200]


async def test_whoever_asks_for_something_free_is_not_held_and_frees_nobody(folder: Path) -> None:
    account = Account()
    limit = limit_of(A, 429, {"retry-after": "60"}, b"", NOW)
    assert limit is not None
    async with Api(lambda asked: Says(headers=JSON, body=b'{"input_tokens": 1}')) as api:
        gate = ModelGate(folder / "a", upstream=api.base_url, key=Secret("k"), account=account, clock=Clock())
        account.limited(limit)
        async with gate:
            assert (await ask(gate.socket_path, A, target="/v1/messages/count_tokens")).status == 200
            assert (await ask(gate.socket_path, A)).status == 429
    assert len(api.asked) == 1


async def test_a_run_that_begins_after_the_limit_was_met_was_sent_to_try_and_may(folder: Path) -> None:
    refusal = Says(429, JSON | {"retry-after": "3600"}, error(type="rate_limit_error", message="slow down"))
    account = Account()

    def answer(asked: Asked) -> Says:
        return refusal if asked.number < 2 else Says(body=answer_of(A))

    async with Api(answer) as api:

        def gate(name: str) -> ModelGate:
            return ModelGate(folder / name, upstream=api.base_url, key=Secret("k"), account=account, clock=Clock())

        first, beside = gate("first"), gate("beside")
        async with first, beside:
            assert (await ask(first.socket_path, A)).status == 429
            async with gate("later") as later:
                assert (await ask(later.socket_path, A)).status == 429
                assert len(api.asked) == 2
                # It has met the limit itself: that holds it like those who were at work before.
                assert (await ask(later.socket_path, A)).status == 429
            assert (await ask(beside.socket_path, A)).status == 429
            assert len(api.asked) == 2
            async with gate("last") as last:
                assert (await ask(last.socket_path, A)).status == 200
            assert (await ask(beside.socket_path, A)).status == 200
