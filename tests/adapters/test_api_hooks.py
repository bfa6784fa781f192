"""Webhooks of forges: who is believed, what they lead to, and how often."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Final

import asyncpg
import httpx2
import pytest
from adapters.api_house import DEADLINE_SECONDS, House, database_of, the_api_waits
from servers import NatsForTest, PostgresForTest

from penstock import ids
from penstock.commands import StirPullRequest
from penstock_api import deliveries
from penstock_api.hooks import Hint, Secrets, actor_of, believed, hints
from penstock_api.routes.hooks import HOOK_BYTES_MAX

pytestmark = pytest.mark.anyio

SECRET: Final = "a-secret-of-the-shop-0123456789"
NEXT: Final = "the-one-that-takes-its-place-99"
TASK: Final = "t" * 26
SHOPS: Final = {
    "shop": "github",
    "teashop": "gitea",
    "forgeshop": "forgejo",
    "labshop": "gitlab",
    "tryout": "recording",
    "plain": "git",
}
"""Repos by name, and their providers."""
TOKEN: Final = f"penstock_{'0' * 16}_{'A' * 43}"
REVIEW: Final[dict[str, object]] = {
    "action": "submitted",
    "pull_request": {"number": 7, "head": {"ref": "agent/x"}},
    "sender": {"login": "ann"},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With the api's secrets below it."""
    made = tmp_path_factory.mktemp("hooks")
    (made / "secrets").mkdir()
    (made / "secrets" / "shop-hook").write_text(f"{SECRET}\n{NEXT}\n")
    return made


@pytest.fixture(scope="module")
def dsn(postgres_server: PostgresForTest) -> Iterator[str]:
    with database_of(postgres_server) as name:
        yield name


@pytest.fixture(scope="module")
async def broker(folder: Path) -> AsyncIterator[NatsForTest]:
    nats = NatsForTest(folder / "nats")
    nats.start()
    try:
        await nats.provision()
        yield nats
    finally:
        nats.kill()


@pytest.fixture(scope="module")
async def whole_house(broker: NatsForTest, dsn: str, folder: Path) -> AsyncIterator[House]:
    async with running(broker, dsn, folder) as one:
        for name, provider in SHOPS.items():
            wanted = {"clone_url": "https://example.com/shop.git", "provider": provider}
            answer = await one.client.put(f"/v1/repos/{name}", json=wanted | {"hook_secret_ref": "file:shop-hook"})
            assert answer.status_code == 200, answer.text
        yield one


@pytest.fixture
def house(whole_house: House) -> House:
    """As if nothing had come before."""
    whole_house.orchestrator.heard.clear()
    whole_house.orchestrator.follows = (TASK,)
    whole_house.orchestrator.mood = "willing"
    return whole_house


def running(nats: NatsForTest, dsn: str, folder: Path) -> House:
    return House(nats, dsn, folder, first_token=TOKEN, secrets_dir=str(folder / "secrets"))


def heard(house: House) -> list[StirPullRequest]:
    return [one for one in house.orchestrator.heard if isinstance(one, StirPullRequest)]


def signature(body: bytes, secret: str = SECRET) -> str:
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


async def deliver(
    house: House,
    payload: object = REVIEW,
    *,
    delivery: str = "",
    provider: str = "github",
    repo: str = "shop",
    secret: str = SECRET,
    **headers: str,
) -> httpx2.Response:
    """As the forge does it. A keyword of headers changes or (empty) takes away one."""
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    signed = signature(body, secret)
    names = {
        "github": {
            "x-hub-signature-256": f"sha256={signed}",
            "x-github-delivery": delivery or ids.fresh(),
            "x-github-event": "pull_request_review",
        },
        "gitea": {
            "x-gitea-signature": signed,
            "x-gitea-delivery": delivery or ids.fresh(),
            "x-gitea-event": "pull_request_comment",
        },
        "gitlab": {
            "x-gitlab-token": secret,
            "x-gitlab-event-uuid": delivery or ids.fresh(),
            "x-gitlab-event": "Note Hook",
        },
    }[provider]
    given = (
        {"content-type": "application/json"} | names | {key.replace("_", "-"): text for key, text in headers.items()}
    )
    async with httpx2.AsyncClient(timeout=DEADLINE_SECONDS) as client:
        return await client.post(
            f"{house.url}/v1/hooks/{provider}/{repo}",
            content=body,
            headers=[(name.encode(), text.encode("latin-1")) for name, text in given.items() if text],
        )


async def test_a_signed_delivery_is_told_to_whoever_follows_the_pull_request(house: House) -> None:
    answer = await deliver(house, marked())
    assert (answer.status_code, answer.json()) == (202, {"outcome": "told"})
    (command,) = heard(house)
    assert (command.repo, command.number, command.branch) == ("shop", 7, "agent/x")
    assert (command.what, command.by, command.via) == ("pull_request_review", "ann", "github")
    house.orchestrator.follows = ()
    answer = await deliver(house, marked())
    assert (answer.status_code, answer.json()) == (200, {"outcome": "nobody"})


async def test_each_forge_is_believed_in_its_own_way_and_by_either_secret(house: House) -> None:
    note = {"object_kind": "note", "merge_request": {"iid": 9, "source_branch": "agent/y"}, "user": {"username": "ben"}}
    assert (await deliver(house, marked(), provider="gitea", repo="teashop")).status_code == 202
    assert (await deliver(house, note, provider="gitlab", repo="labshop")).status_code == 202
    assert (await deliver(house, marked(), secret=NEXT)).status_code == 202
    assert (await deliver(house, marked(), provider="gitea", repo="forgeshop")).status_code == 202
    assert (await deliver(house, marked(), provider="gitea", repo="tryout")).status_code == 202
    assert [(one.via, one.number, one.by) for one in heard(house)] == [
        ("gitea", 7, "ann"),
        ("gitlab", 9, "ben"),
        ("github", 7, "ann"),
        ("gitea", 7, "ann"),
        ("gitea", 7, "ann"),
    ]


async def test_a_delivery_to_the_path_of_another_forge_is_refused_and_not_remembered(house: House) -> None:
    delivery, payload = ids.fresh(), marked()
    assert (await deliver(house, payload, delivery=delivery)).json() == {"outcome": "told"}
    again = await deliver(house, payload, delivery=delivery, provider="gitea", x_github_delivery=delivery)
    assert (again.status_code, again.json()["type"]) == (404, "urn:penstock:problem:other-provider")
    assert "/v1/hooks/github/shop" in again.json()["hint"]
    note = {"object_kind": "note", "merge_request": {"iid": 9}}
    assert (await deliver(house, note, provider="gitlab")).status_code == 404
    assert "no forge" in (await deliver(house, marked(), repo="plain")).json()["hint"]
    assert len(heard(house)) == 1
    first, twin = marked(), ids.fresh()
    assert (await deliver(house, first, delivery=twin, repo="teashop")).status_code == 404
    right = await deliver(house, first, delivery=twin, provider="gitea", repo="teashop")
    assert right.json() == {"outcome": "told"}, "what was refused has left no trace"
    stranger = await deliver(house, marked(), provider="gitea", secret="another-secret-0123456789")
    assert stranger.status_code == 401, "and nobody learns it who is not believed"


async def test_who_is_not_believed_learns_nothing_else(house: House, folder: Path) -> None:
    await house.client.put("/v1/repos/bare", json={"clone_url": "https://example.com/bare.git"})
    await house.client.put(
        "/v1/repos/lost", json={"clone_url": "https://example.com/lost.git", "hook_secret_ref": "file:not-there"}
    )
    (folder / "secrets" / "short").write_text("short\n")
    await house.client.put(
        "/v1/repos/short", json={"clone_url": "https://example.com/short.git", "hook_secret_ref": "file:short"}
    )
    answers = [
        await deliver(house, secret="another-secret-0123456789"),
        await deliver(house, x_hub_signature_256=""),
        await deliver(house, x_hub_signature_256="sha256=ü"),
        await deliver(house, repo="bare"),
        await deliver(house, repo="lost"),
        await deliver(house, repo="short", secret="short"),
        await deliver(house, repo="nowhere"),
        await deliver(house, provider="gitlab", x_gitlab_token=""),
        await deliver(house, b"not json", secret="another-secret-0123456789", x_github_delivery=""),
    ]
    assert {answer.status_code for answer in answers} == {401}
    bodies = [{**answer.json(), "instance": ""} for answer in answers]
    assert all(body == bodies[0] for body in bodies)
    assert heard(house) == []


async def test_a_signature_is_of_the_very_bytes(house: House) -> None:
    body = json.dumps(REVIEW).encode()
    answer = await deliver(house, body.replace(b"7", b"8"), x_hub_signature_256=f"sha256={signature(body)}")
    assert answer.status_code == 401


async def test_what_is_about_no_pull_request_is_taken_and_ignored(house: House) -> None:
    payloads: tuple[object, ...] = (
        {"zen": "Keep it logically awesome."},
        {"issue": {"number": 3}},
        [],
        "text",
        {"ref": "refs/tags/v1"},
    )
    for payload in payloads:
        answer = await deliver(house, payload)
        assert (answer.status_code, answer.json()) == (200, {"outcome": "ignored"})
    assert heard(house) == []


async def test_what_cannot_be_read_is_refused_once_it_is_believed(house: House) -> None:
    assert (await deliver(house, b"{")).status_code == 400
    assert (await deliver(house, b"[" * 100_000)).status_code == 400
    assert (await deliver(house, content_type="application/x-www-form-urlencoded")).status_code == 415
    assert (await deliver(house, x_github_delivery="")).status_code == 400
    assert (await deliver(house, x_github_delivery="a b")).status_code == 400
    assert (await deliver(house, b" " * (HOOK_BYTES_MAX + 1))).status_code == 413
    assert heard(house) == []


async def test_a_delivery_that_came_five_times_to_two_apis_and_an_hour_later_has_one_effect(
    house: House, broker: NatsForTest, dsn: str, folder: Path
) -> None:
    delivery, payload = ids.fresh(), marked()
    async with running(broker, dsn, folder) as other:
        # One of the two stands in for the orchestrator.
        await other.stop_orchestrator()
        answers = await asyncio.gather(
            *(deliver(one, payload, delivery=delivery) for one in (house, other) for _ in range(5))
        )
        assert sorted(answer.json()["outcome"] for answer in answers) == ["known"] * 9 + ["told"]
        assert len(heard(house)) == 1
        await aged(dsn, hours=1)
        assert (await deliver(other, payload, delivery=delivery)).json() == {"outcome": "known"}
        assert (await deliver(house, payload, delivery=ids.fresh())).json() == {"outcome": "known"}, "the same body"
    await aged(dsn, hours=8 * 24)
    async with running(broker, dsn, folder) as late:
        await late.stop_orchestrator()
        assert (await deliver(late, payload, delivery=delivery)).json() == {"outcome": "known"}
    assert len(heard(house)) == 1


def marked() -> dict[str, object]:
    """A payload that was never sent before."""
    return REVIEW | {"n": ids.fresh()}


async def aged(dsn: str, *, hours: int) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(
            "update penstock_api.hook_delivery set received_at = received_at - $1::integer * interval '1 hour'", hours
        )
    finally:
        await connection.close()


async def test_a_delivery_that_could_not_be_told_may_come_again(house: House) -> None:
    delivery, payload = ids.fresh(), marked()
    house.orchestrator.mood = "busy"
    with the_api_waits(0.5, "penstock_api.orders.ORDER_SECONDS_MAX"):
        answer = await deliver(house, payload, delivery=delivery)
    assert answer.status_code == 503
    assert "retry-after" in answer.headers
    house.orchestrator.mood = "willing"
    first = heard(house)[0].id
    assert (await deliver(house, payload, delivery=delivery)).json() == {"outcome": "told"}
    assert heard(house)[-1].id == first, "whoever did hear it knows it again"
    assert (await deliver(house, payload, delivery=delivery)).json() == {"outcome": "known"}


async def test_a_delivery_that_cannot_be_remembered_is_told_to_nobody_and_may_come_again(
    house: House, dsn: str
) -> None:
    delivery, payload = ids.fresh(), marked()
    connection = await asyncpg.connect(dsn)
    try:
        async with connection.transaction():
            await connection.execute("lock table penstock_api.hook_delivery in access exclusive mode")
            answer = await deliver(house, payload, delivery=delivery)
        assert (answer.status_code, heard(house)) == (503, [])
    finally:
        await connection.close()
    assert (await deliver(house, payload, delivery=delivery)).json() == {"outcome": "told"}


async def test_deliveries_are_forgotten_after_a_month(house: House, dsn: str) -> None:
    old = marked()
    delivery = ids.fresh()
    assert (await deliver(house, old, delivery=delivery)).json() == {"outcome": "told"}
    await aged(dsn, hours=31 * 24)
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(deliveries.TIDY, deliveries.KEPT_DAYS)
        left = await connection.fetchval(
            "select count(*) from penstock_api.hook_delivery where delivery = $1", delivery
        )
    finally:
        await connection.close()
    assert left == 0


async def test_a_flood_is_turned_away_and_the_api_goes_on(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deliveries, "PER_MINUTE_MAX", 3)
    strangers = [(await deliver(house, secret="another-secret-0123456789")).status_code for _ in range(6)]
    assert strangers == [401] * 6, "and none of them has taken the room of somebody who is believed"
    # Twice as many as may come in a minute and in the next: it may end meanwhile.
    codes = [(await deliver(house)).status_code for _ in range(12)]
    assert codes.count(429) >= 2
    assert (await house.client.get("/v1/tasks")).status_code == 200


async def test_bodies_that_do_not_end_hold_no_more_than_a_bound_and_nobody_else_up(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deliveries, "READING_MAX", 2)
    opened = [await asyncio.open_connection("127.0.0.1", house.port) for _ in range(5)]
    head = f"POST /v1/hooks/github/shop HTTP/1.1\r\nHost: x\r\nContent-Length: {HOOK_BYTES_MAX}\r\n\r\n"
    for _, writer in opened:
        writer.write(head.encode() + b"x" * 100_000)
    answers = [asyncio.create_task(reader.readline()) for reader, _ in opened]
    try:
        async with asyncio.timeout(DEADLINE_SECONDS):
            while sum(answer.done() for answer in answers) < 3:
                await asyncio.wait([one for one in answers if not one.done()], return_when=asyncio.FIRST_COMPLETED)
        assert {answer.result()[:12] for answer in answers if answer.done()} == {b"HTTP/1.1 503"}
        assert sum(answer.done() for answer in answers) == 3
        assert (await deliver(house, marked())).status_code == 202
    finally:
        for answer, (_, writer) in zip(answers, opened, strict=True):
            answer.cancel()
            writer.close()


async def test_a_reference_that_is_none_is_refused_and_not_repeated(house: House) -> None:
    answer = await house.client.put(
        "/v1/repos/shop", json={"clone_url": "https://example.com/shop.git", "hook_secret_ref": SECRET}
    )
    assert answer.status_code == 422
    assert answer.json()["field"] == "hook_secret_ref"
    assert SECRET not in answer.text


def test_without_a_folder_of_secrets_nobody_is_believed() -> None:
    (nobodys,) = Secrets(None).of("file:shop-hook")
    body = b"{}"
    assert not believed("github", {"x-hub-signature-256": f"sha256={signature(body)}"}, body, (nobodys,))
    right = {"x-hub-signature-256": f"sha256={hmac.new(nobodys, body, hashlib.sha256).hexdigest()}"}
    assert believed("github", right, body, (nobodys,))
    assert not believed("sourcehut", right, body, (nobodys,)), "there is no such provider"


@pytest.mark.parametrize(
    ("provider", "payload", "found"),
    [
        ("github", {"pull_request": {"number": 7, "head": {"ref": "b"}}}, (Hint(7, "b"),)),
        ("github", {"issue": {"number": 7, "pull_request": {"url": "x"}}}, (Hint(7, ""),)),
        (
            "github",
            {"check_run": {"pull_requests": [{"number": 7}], "check_suite": {"head_branch": "b"}}},
            (Hint(7, ""), Hint(None, "b")),
        ),
        ("github", {"check_suite": {"pull_requests": [], "head_branch": "b"}}, (Hint(None, "b"),)),
        ("github", {"workflow_run": {"head_branch": "b"}}, (Hint(None, "b"),)),
        ("github", {"branches": [{"name": "b"}, {"name": "b"}, 3]}, (Hint(None, "b"),)),
        ("gitea", {"ref": "refs/heads/agent/x"}, (Hint(None, "agent/x"),)),
        ("github", {"pull_request": {"number": True, "head": {"ref": "b" * 300}}}, ()),
        ("github", {"pull_request": {"number": -1, "head": 3}}, ()),
        (
            "gitlab",
            {"object_kind": "merge_request", "object_attributes": {"iid": 7, "source_branch": "b"}},
            (Hint(7, "b"),),
        ),
        ("gitlab", {"object_kind": "note", "merge_request": {"iid": 7, "source_branch": "b"}}, (Hint(7, "b"),)),
        (
            "gitlab",
            {"object_kind": "pipeline", "merge_request": {"iid": 7}, "object_attributes": {"ref": "b"}},
            (Hint(7, ""), Hint(None, "b")),
        ),
        ("gitlab", {"object_kind": "build", "ref": "b"}, (Hint(None, "b"),)),
        ("gitlab", {"object_kind": "push", "ref": "refs/heads/b"}, (Hint(None, "b"),)),
        ("gitlab", {"object_kind": "push", "ref": "refs/tags/b"}, ()),
    ],
)
def test_the_pull_request_is_found_in_what_forges_send(provider: str, payload: object, found: tuple[Hint, ...]) -> None:
    assert hints(provider, payload) == found


def test_who_has_caused_it_is_named_as_the_forge_does() -> None:
    assert actor_of({"sender": {"login": "ann"}}) == "ann"
    assert actor_of({"user": {"username": "ben"}}) == "ben"
    assert actor_of({"user_username": "cy"}) == "cy"
    assert actor_of({"sender": 3}) == ""
