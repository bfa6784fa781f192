"""Requests that were honest once, then mutilated: whatever comes, the answer is a 2xx, a 4xx or a closed connection."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from typing import Final

import pytest
from adapters.api_house import DEADLINE_SECONDS, House, database_of, house_for_many
from servers import PostgresForTest

from penstock_api.auth import ACCESS
from penstock_api.openapi import openapi_document
from penstock_api.parameters import parameters_of

pytestmark = pytest.mark.anyio

AT_ONCE: Final = 16
REQUEST_SECONDS_MAX: Final = 10.0
"""Of the api's patience: a slow machine answers sooner, and who announces a body that never comes is not waited for long."""
LINGER_SECONDS: Final = 0.5
"""So long a request keeps the next one waiting. What is then without an answer mostly waits for its own body."""
BODIES: Final[dict[tuple[str, str], dict[str, object]]] = {
    ("POST", "/v1/tasks"): {
        "repo": "shop",
        "title": "t",
        "description": "d",
        "priority": 3,
        "labels": ["a"],
        "max_turns": None,
        "max_cost_usd": 1.5,
        "flow": "patch",
    },
    ("POST", "/v1/tasks/{task}/cancel"): {"reason": "r"},
    ("PUT", "/v1/repos/{name}"): {"clone_url": "git@example.com:a/b.git", "verify": {"test": "make"}},
    ("PUT", "/v1/routes/{name}"): {"channel": "webhook", "url": "https://example.com", "secret_ref": "file:x"},
    ("POST", "/v1/tasks/{task}/continue"): {"title": "t", "description": "d"},
    ("POST", "/v1/tasks/{task}/unblock"): {"max_cost_usd": 3.5, "max_wall_seconds": 60},
    ("POST", "/v1/tasks/{task}/prioritize"): {"priority": 1},
    ("POST", "/v1/tasks/{task}/plan/approve"): {"number": 1},
    ("POST", "/v1/tasks/{task}/plan/reject"): {"number": 1, "reason": "r"},
    ("POST", "/v1/tasks/{task}/plan/comment"): {"number": 1, "comment": "c"},
    ("POST", "/v1/tasks/{task}/messages"): {"text": "t"},
    ("POST", "/v1/tasks/{task}/decisions/{decision}/answer"): {"answer": "no"},
    ("PUT", "/v1/templates/{name}"): {"task": {"title": "t", "window": {"opens": "22:00", "closes": "06:00"}}},
    ("PUT", "/v1/schedules/{name}"): {
        "cron": "30 2 * * MON-FRI",
        "timezone": "Europe/Berlin",
        "task": {"repo": "shop", "title": "t", "plan_gate": {"silence": "park", "silence_seconds": 60}},
    },
    ("PUT", "/v1/controls/{kind}/{name}"): {"mode": "pause", "reason": "r"},
    ("PUT", "/v1/settings"): {
        "tasks_max": 3,
        "accounts": {"claude": 2},
        "prices": [{"vendor": "claude", "price": {"input_usd": 1, "output_usd": 2}}],
    },
    ("POST", "/v1/memories"): {"repo": "shop", "kind": "lesson", "title": "t", "text": "x", "pinned": True},
    ("PATCH", "/v1/memories/{memory}"): {"kind": "lesson", "title": "t", "text": "x", "pinned": False},
    ("POST", "/v1/hooks/{provider}/{repo}"): {"pull_request": {"number": 7, "head": {"ref": "agent/x"}}},
    ("POST", "/v1/tokens"): {"name": "n", "role": "viewer", "expires_in_days": 1},
}
QUERY: Final = {
    "limit": "5",
    "after": "3",
    "repo": "shop",
    "phase": "queued",
    "outcome": "failed",
    "q": "a+b",
    "kind": "lesson",
    "cursor": "MjAyNnwx",
    "follow": "forever",
    "format": "text",
}
PARAMETERS: Final = parameters_of(openapi_document())
PIECES: Final = (
    *[b"\x00", b"\xff", b"\xed\xa0\x80", b"%00", b"%ff", b"%", b"..", b"//", b"\r\n", b"\n", b" ", b"\t", b'"', b"\\"],
    *[
        b"\\ud800",
        b"\\u0000",
        b"1e999",
        b"-1",
        b"99999999999999999999",
        b"NaN",
        b"null",
        b"true",
        b"[]",
        b"{}",
        b"[" * 600,
    ],
    *[
        b'{"a":' * 600,
        b"'",
        b";",
        b"$(x)",
        b"{0}",
        b"%s",
        "ä".encode(),
        "\u202e".encode(),
        b"A" * 3_000,
        b"?",
        b"#",
        b"&",
    ],
)
VALUES: Final[tuple[object, ...]] = (
    *[
        None,
        True,
        0,
        -1,
        2**63,
        2**70,
        1.5,
        1e308,
        "",
        " ",
        "x" * 30_000,
        "\0",
        "\ud83d\ude00",
        [],
        [[]],
        {},
        {"a": {}},
    ],
)


@pytest.fixture(scope="module")
def database(postgres_server: PostgresForTest) -> Iterator[str]:
    with database_of(postgres_server) as dsn:
        yield dsn


@pytest.fixture(scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory, database: str) -> AsyncIterator[House]:
    folder = tmp_path_factory.mktemp("api")
    async with house_for_many(folder, database, request_seconds_max=REQUEST_SECONDS_MAX) as running:
        yield running


class Mutants:
    """Requests drawn from a seed: the same seed, the same requests."""

    def __init__(self, seed: int, token: str, task: str) -> None:
        self._draw = random.Random(seed)
        self._token = token
        self._task = task

    def next(self) -> bytes:
        """A whole request; one in five is whole in every sense."""
        draw = self._draw
        method, template = draw.choice(sorted(ACCESS))
        names = {
            "task": self._task,
            "decision": "d" * 26,
            "kind": "host",
            "name": "fuzz",
            "id": "0" * 16,
            "job": "j" * 26,
            "number": 1,
            "stage": "test",
            "memory": "m" * 26,
            "provider": "gitea",
            "repo": "shop",
        }
        path = template.format(**names)
        target = (path + self._query(method, template)).encode()
        given = BODIES.get((method, template))
        body = b"" if given is None else json.dumps(self._value_changed(given)).encode()
        headers = [
            b"Host: x",
            b"Authorization: Bearer " + self._token.encode(),
            b"Content-Type: application/json",
            b"Idempotency-Key: k%d" % draw.randrange(5),
            b"Last-Event-ID: %d" % draw.randrange(9),
        ]
        verb = method.encode()
        match draw.randrange(6):
            case 0:
                target = self._spoilt(target)
            case 1:
                body = self._spoilt(body)
            case 2:
                at = draw.randrange(len(headers))
                headers[at] = self._spoilt(headers[at])
            case 3:
                headers.pop(draw.randrange(len(headers)))
            case 4:
                verb = draw.choice((b"PATCH", b"HEAD", b"OPTIONS", b"DELETE", b"PUT", b"POST", b"get", b"BREW"))
            case _:
                pass
        length = len(body) + draw.choice((0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, -1))
        headers += [b"Content-Length: %d" % max(length, 0), b"Connection: close"]
        return verb + b" " + target + b" HTTP/1.1\r\n" + b"\r\n".join(headers) + b"\r\n\r\n" + body

    def _query(self, method: str, template: str) -> str:
        """Some of the route's own parameters; seldom one that it may not have."""
        own = [name for name in PARAMETERS.get((method, template), {}) if self._draw.random() < 0.3]
        names = own if self._draw.random() < 0.95 else [self._draw.choice([*QUERY])]
        return "?" + "&".join(f"{name}={QUERY[name]}" for name in names) if names else ""

    def _value_changed(self, body: dict[str, object]) -> object:
        draw = self._draw
        if draw.random() < 0.4:
            return body
        name = draw.choice([*body, "extra"])
        return draw.choice([body | {name: draw.choice(VALUES)}, {name: body.get(name)}, [body], draw.choice(VALUES)])

    def _spoilt(self, text: bytes) -> bytes:
        draw = self._draw
        for _ in range(draw.randrange(1, 4)):
            at = draw.randrange(len(text) + 1)
            match draw.randrange(4):
                case 0:
                    text = text[:at] + draw.choice(PIECES) + text[at:]
                case 1:
                    text = text[:at] + text[at + draw.randrange(1, 9) :]
                case 2:
                    text = text[:at] + bytes([draw.randrange(256)]) + text[at + 1 :]
                case _:
                    text = text[:at] + text[:at]
        return text[:100_000]


async def status_of(port: int, request: bytes) -> int:
    """The status of the first answer; 0 where the connection was closed without one."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request)
        async with asyncio.timeout(DEADLINE_SECONDS):
            line = await reader.readline()
    except ConnectionError:
        return 0
    finally:
        writer.transport.abort()
    return int(line.split(b" ")[1]) if line else 0


@pytest.mark.parametrize(
    "count", [600, pytest.param(10_000, marks=[pytest.mark.slow, pytest.mark.timeout(900)])], ids=["short", "long"]
)
async def test_no_mutilated_request_is_answered_with_an_error_of_ours(house: House, count: int) -> None:
    task = await house.submit()
    mutants = Mutants(20, house.admin_token, task)
    statuses: Counter[int] = Counter()
    failed: list[tuple[int, bytes]] = []
    requests = iter([mutants.next() for _ in range(count)])

    async def one(request: bytes) -> None:
        status = await status_of(house.port, request)
        statuses[status] += 1
        if status >= 500:
            failed.append((status, request[:500]))

    async def some(group: asyncio.TaskGroup) -> None:
        for request in requests:
            await asyncio.wait({group.create_task(one(request))}, timeout=LINGER_SECONDS)

    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(some(group))
    assert not failed, failed[:5]
    assert sum(statuses.values()) == count
    assert sum(statuses[status] for status in (200, 201, 202, 204)) > count // 10, statuses
    assert {400, 401, 404, 405, 422} <= set(statuses), statuses
    assert (await house.client.get("/healthz")).status_code == 200
