"""Templates, schedules, controls and limits over HTTP; and writing against the revision that was seen."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta

import httpx2
import msgspec
import pytest
from adapters.api_house import House, database_of, house_for_many
from msgspec import UNSET
from servers import PostgresForTest

from penstock import subjects as s
from penstock.catalog import Control, FleetSettings, Repo, Schedule, Template
from penstock.values import Window
from penstock_orchestrator.core import schedule as fires

pytestmark = pytest.mark.anyio

NIGHTLY = {"cron": "30 2 * * *", "timezone": "Europe/Berlin", "task": {"repo": "shop", "title": "deps"}}


@pytest.fixture(scope="module")
def database(postgres_server: PostgresForTest) -> Iterator[str]:
    with database_of(postgres_server) as dsn:
        yield dsn


@pytest.fixture(scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory, database: str) -> AsyncIterator[House]:
    async with house_for_many(tmp_path_factory.mktemp("api"), database) as running:
        yield running


async def stored(house: House, key: str) -> bytes:
    message = await house.writer.jetstream().get_last_msg(s.kv_stream(s.CATALOG), s.kv(s.CATALOG, key))
    return message.data or b""


def refused(answer: httpx2.Response, field: str, status: int = 422) -> dict[str, str]:
    assert (answer.status_code, answer.json()["field"]) == (status, field), answer.text
    return dict(answer.json())


async def test_a_template_keeps_what_it_says_and_leaves_open_what_it_does_not(house: House) -> None:
    window = {"opens": "22:00", "closes": "06:00"}
    task: dict[str, object] = {"mode": "interactive", "max_cost_usd": None, "window": window}
    put = await house.client.put("/v1/templates/careful", json={"task": task})
    assert put.status_code == 200
    assert put.json() == {"name": "careful", "task": task | {"window": window | {"timezone": "UTC"}}}
    template = msgspec.json.decode(await stored(house, "template.careful"), type=Template)
    assert (template.task.mode, template.task.max_cost_usd, template.task.title) == ("interactive", None, UNSET)
    assert (await house.client.get("/v1/templates/careful")).json() == put.json()
    assert put.json() in (await house.client.get("/v1/templates")).json()["templates"]
    assert (await house.client.delete("/v1/templates/careful")).status_code == 204
    assert (await house.client.get("/v1/templates/careful")).status_code == 404


@pytest.mark.parametrize(
    ("task", "field"),
    [
        ({"repo": "nowhere"}, "task.repo"),
        ({"vendor": "gpt"}, "task.vendor"),
        ({"flow": "merge"}, "task.flow"),
        ({"window": {"opens": "9:00", "closes": "17:00"}}, "task.window.opens"),
        ({"titel": "x"}, "task.titel"),
        ({"template": "other"}, "task.template"),
    ],
)
async def test_a_template_is_as_strict_as_a_task(house: House, task: dict[str, object], field: str) -> None:
    body = refused(await house.client.put("/v1/templates/bad", json={"task": task}), field)
    assert body["hint"]
    assert (await house.client.get("/v1/templates/bad")).status_code == 404


async def test_a_schedule_shows_when_it_fires_next_as_the_orchestrator_will_fire_it(house: House) -> None:
    began = datetime.now(UTC)
    put = await house.client.put("/v1/schedules/nightly", json=NIGHTLY)
    assert put.status_code == 200, put.text
    schedule = msgspec.json.decode(await stored(house, "schedule.nightly"), type=Schedule)
    assert schedule.since is not None
    assert began <= schedule.since <= datetime.now(UTC)
    shown = (await house.client.get("/v1/schedules/nightly")).json()
    assert shown == put.json()
    assert shown["task"] == {"repo": "shop", "title": "deps"}
    next_ = [datetime.fromisoformat(moment) for moment in shown["next"]]
    assert next_ == fires.fires(schedule, datetime.now(UTC), datetime.now(UTC) + timedelta(days=9))[:5]
    assert len(next_) == 5
    assert shown in (await house.client.get("/v1/schedules")).json()["schedules"]
    off = (await house.client.put("/v1/schedules/nightly", json=NIGHTLY | {"enabled": False})).json()
    assert (off["next"], off["since"]) == ([], shown["since"])
    assert (await house.client.delete("/v1/schedules/nightly")).status_code == 204


async def test_a_schedule_answers_for_no_fire_from_before_it_was_what_it_is_now(house: House) -> None:
    async def since(**change: object) -> str:
        answer = await house.client.put("/v1/schedules/since", json=NIGHTLY | change)
        return str(answer.json()["since"])

    first = await since()
    assert await since(missed="all") == first
    assert (moved := await since(cron="30 3 * * *")) > first
    assert await since(cron="30 3 * * *", enabled=False) == moved
    assert (again := await since(cron="30 3 * * *")) > moved
    assert await since(cron="30 3 * * *", since="2026-01-01T00:00:00Z") == "2026-01-01T00:00:00Z" < again


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"cron": "30 2 * *"}, "cron"),
        ({"cron": "0 30 2 * * *"}, "cron"),
        ({"cron": "@daily"}, "cron"),
        ({"cron": "61 2 * * *"}, "cron"),
        ({"cron": "30 2 31 2 *"}, "cron"),
        ({"cron": "30 2 * * XYZ"}, "cron"),
        ({"cron": "30 2 * * 1#9"}, "cron"),
        ({"cron": "*/0 * * * *"}, "cron"),
        ({"cron": "L L L L L"}, "cron"),
        ({"cron": ", , , , ,"}, "cron"),
        ({"cron": "1-/2-/ 2 * * *"}, "cron"),
        ({"cron": "²L 2 * * ²L"}, "cron"),
        ({"timezone": "Moon/Base"}, "timezone"),
        ({"timezone": ""}, "timezone"),
        ({"timezone": "/etc/passwd"}, "timezone"),
        ({"timezone": "x" * 100}, "timezone"),
        ({"task": {"title": "t"}}, "task.repo"),
        ({"task": {"repo": "shop"}}, "task.title"),
        ({"task": {"repo": "nowhere", "title": "t"}}, "task.repo"),
        ({"task": {"repo": "shop", "title": "t", "priority": 10}}, "task.priority"),
        ({"template": "nowhere"}, "template"),
        ({"missed": "some"}, "missed"),
        ({"grace_seconds": -1}, "grace_seconds"),
        ({"since": "yesterday"}, "since"),
        ({"since": "2026-01-01T00:00:00"}, "since"),
        ({"name": "other"}, "name"),
    ],
)
async def test_a_schedule_that_could_never_submit_is_refused_by_field(
    house: House, change: dict[str, object], field: str
) -> None:
    body = refused(await house.client.put("/v1/schedules/bad", json=NIGHTLY | change), field)
    assert body["hint"]
    assert (await house.client.get("/v1/schedules/bad")).status_code == 404


async def test_a_schedule_may_get_repo_and_title_from_its_template(house: House) -> None:
    await house.client.put("/v1/templates/usual", json={"task": {"repo": "shop", "title": "the usual"}})
    only = {"cron": "0 * * * *", "template": "usual"}
    assert (await house.client.put("/v1/schedules/usual", json=only)).status_code == 200
    await house.put_repo("gone")
    await house.client.put("/v1/templates/usual", json={"task": {"repo": "gone", "title": "the usual"}})
    await house.client.delete("/v1/repos/gone")
    refused(await house.client.put("/v1/schedules/usual", json=only), "task.repo")


async def test_a_control_says_who_has_put_the_hand_on_and_is_taken_off_again(house: House) -> None:
    for kind, name in (("fleet", "all"), ("repo", "shop"), ("vendor", "claude"), ("host", "h-of-tomorrow")):
        path = f"/v1/controls/{kind}/{name}"
        put = await house.client.put(path, json={"mode": "drain", "reason": "the forge is moving"})
        assert put.status_code == 200, put.text
        control = msgspec.json.decode(await stored(house, f"control.{kind}.{name}"), type=Control)
        assert (control.mode, control.reason) == ("drain", "the forge is moving")
        assert control.set_by.startswith("first (")
        shown = (await house.client.get(path)).json()
        assert (shown["scope"], shown["name"], shown["set_at"]) == (kind, name, put.json()["set_at"])
        assert shown in (await house.client.get("/v1/controls")).json()["controls"]
        assert (await house.client.delete(path)).status_code == 204
        assert (await house.client.get(path)).status_code == 404
    assert (await house.client.get("/v1/controls")).json() == {"controls": []}


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("fleet/mine", {"mode": "pause"}, "name"),
        ("repo/nowhere", {"mode": "pause"}, "name"),
        ("vendor/gpt", {"mode": "pause"}, "name"),
        ("host/H1", {"mode": "pause"}, "name"),
        ("fleet/all", {"mode": "stop"}, "mode"),
        ("fleet/all", {}, "mode"),
        ("fleet/all", {"mode": "pause", "set_by": "me"}, "set_by"),
    ],
)
async def test_a_control_on_nothing_is_refused(house: House, path: str, body: dict[str, str], field: str) -> None:
    assert refused(await house.client.put(f"/v1/controls/{path}", json=body), field)["hint"]


async def test_a_control_of_an_unknown_scope_is_not_there(house: House) -> None:
    assert (await house.client.get("/v1/controls/planet/earth")).status_code == 404


async def test_settings_are_at_their_defaults_until_they_are_put(house: House) -> None:
    answer = await house.client.get("/v1/settings")
    assert (answer.json()["tasks_max"], answer.headers["etag"]) == (100, '"0"')
    wanted = {
        "tasks_max": 7,
        "accounts": {"claude": 2},
        "hosts": {"h1": 1},
        "ageing_seconds": 60,
        "max_cost_usd_per_day": 20,
        "prices": [{"vendor": "claude", "model": "opus", "price": {"input_usd": 5, "output_usd": 25}}],
        "share_work": True,
        "publish_pool": "publish",
    }
    put = await house.client.put("/v1/settings", json=wanted, headers={"If-Match": answer.headers["etag"]})
    assert put.status_code == 200, put.text
    settings = msgspec.json.decode(await stored(house, "settings"), type=FleetSettings)
    assert (settings.tasks_max, settings.accounts, settings.prices[0].price.output_usd) == (7, {"claude": 2}, 25)
    assert (settings.share_work, settings.publish_pool) == (True, "publish")
    again = await house.client.get("/v1/settings")
    assert (again.json(), again.headers["etag"]) == (put.json(), put.headers["etag"])
    stale = await house.client.put("/v1/settings", json=wanted, headers={"If-Match": answer.headers["etag"]})
    assert stale.status_code == 412


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"tasks_max": 0}, "tasks_max"),
        ({"accounts": {"claude": 0}}, "accounts[...]"),
        ({"accounts": {"": 1}}, "accounts"),
        ({"hosts": {"H 1": 1}}, "hosts"),
        ({"ageing_seconds": 0}, "ageing_seconds"),
        ({"max_cost_usd_per_day": -1}, "max_cost_usd_per_day"),
        ({"publish_pool": "Not a name"}, "publish_pool"),
        ({"prices": [{"vendor": "gpt", "price": {"input_usd": 1, "output_usd": 1}}]}, "prices[0].vendor"),
        ({"prices": [{"vendor": "claude", "price": {"input_usd": 1}}]}, "prices[0].price.output_usd"),
        ({"prices": [{"vendor": "claude", "price": {"input_usd": -1, "output_usd": 1}}]}, "prices[0].price.input_usd"),
        ({"task_max": 5}, "task_max"),
    ],
)
async def test_limits_that_cannot_be_taken_are_refused_by_field(
    house: House, body: dict[str, object], field: str
) -> None:
    assert refused(await house.client.put("/v1/settings", json=body), field)["hint"]


async def test_a_repo_has_its_own_limits_and_window(house: House) -> None:
    url = {"clone_url": "https://example.com/a.git"}
    window = {"opens": "20:00", "closes": "07:00", "timezone": "Asia/Tokyo"}
    limits = {"parallel_max": 3, "max_cost_usd_per_day": 12.5, "abstain_below": 25, "window": window}
    assert (await house.client.put("/v1/repos/limits", json=url | limits)).status_code == 200
    repo = msgspec.json.decode(await stored(house, "repo.limits"), type=Repo)
    assert (repo.parallel_max, repo.max_cost_usd_per_day, repo.abstain_below) == (3, 12.5, 25)
    assert repo.window == Window(opens="20:00", closes="07:00", timezone="Asia/Tokyo")
    for change, field in (
        ({"parallel_max": 0}, "parallel_max"),
        ({"abstain_below": 101}, "abstain_below"),
        ({"window": window | {"timezone": "Nowhere"}}, "window.timezone"),
        ({"window": window | {"closes": "24:00"}}, "window.closes"),
        ({"window": window | {"open": "20:00"}}, "window.open"),
    ):
        refused(await house.client.put("/v1/repos/limits", json=url | limits | change), field)


async def test_a_repo_names_the_hosts_that_its_sandboxes_may_reach(house: House) -> None:
    url = {"clone_url": "https://example.com/a.git"}
    hosts = ["pypi.org:443", "*.pythonhosted.org:443", "pypi.org:443"]
    assert (await house.client.put("/v1/repos/open", json=url | {"egress": hosts})).status_code == 200
    repo = msgspec.json.decode(await stored(house, "repo.open"), type=Repo)
    assert repo.egress == ("pypi.org:443", "*.pythonhosted.org:443")
    for entry, says in (
        ("pypi.org", "host:port"),
        ("https://pypi.org:443", "is an address"),
        ("127.0.0.1:443", "is an address"),
        ("[::1]:443", "is an address"),
        ("localhost:443", "no proper host"),
        ("PyPI.org:443", "lower case"),
        ("pypi.org:65536", "at most 65535"),
        ("pypi.org:0", "no proper host"),
        ("*.org:443", "top-level domain"),
        ("a.*.org:443", "no proper host"),
        ("pypi.org:443 ", "host:port"),
    ):
        answer = refused(await house.client.put("/v1/repos/open", json=url | {"egress": [entry]}), "egress")
        assert says in answer["detail"], answer
    refused(await house.client.put("/v1/repos/open", json=url | {"egress": ["pypi.org:443"] * 51}), "egress")


async def test_of_two_who_have_seen_the_same_entry_one_replaces_it(house: House) -> None:
    url = {"clone_url": "https://example.com/a.git"}
    put = await house.client.put("/v1/repos/both", json=url)
    seen = {"If-Match": put.headers["etag"]}
    assert (await house.client.get("/v1/repos/both")).headers["etag"] == put.headers["etag"]
    answers = await asyncio.gather(
        *(house.client.put("/v1/repos/both", json=url | {"command_timeout_seconds": n}, headers=seen) for n in range(8))
    )
    assert sorted(answer.status_code for answer in answers) == [200, *[412] * 7]
    (good,) = [answer for answer in answers if answer.status_code == 200]
    assert (await house.client.get("/v1/repos/both")).json() == good.json()
    assert (await house.client.delete("/v1/repos/both", headers=seen)).status_code == 412
    assert (await house.client.delete("/v1/repos/both", headers={"If-Match": good.headers["etag"]})).status_code == 204


async def test_a_condition_says_whether_there_must_be_an_entry(house: House) -> None:
    path = "/v1/templates/conditions"
    body: dict[str, object] = {"task": {}}
    assert (await house.client.put(path, json=body, headers={"If-Match": "*"})).status_code == 412
    assert (await house.client.put(path, json=body, headers={"If-None-Match": "*"})).status_code == 200
    assert (await house.client.put(path, json=body, headers={"If-None-Match": "*"})).status_code == 412
    assert (await house.client.put(path, json=body, headers={"If-Match": "*"})).status_code == 200
    assert (await house.client.delete(path)).status_code == 204
    assert (await house.client.put(path, json=body, headers={"If-None-Match": "*"})).status_code == 200
    for name in ("If-Match", "If-None-Match"):
        answer = await house.client.put(path, json=body, headers={name: "W/x"})
        assert refused(answer, name, 400)["hint"]
