"""What a client has written is either taken as it stands or refused by name: nothing of it is passed over in silence."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import msgspec
import pytest
from adapters.api_house import House, database_of, house_for_many
from servers import PostgresForTest

from penstock.catalog import FORGES
from penstock_api.auth import ACCESS
from penstock_api.openapi import openapi_document

pytestmark = pytest.mark.anyio

JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def database(postgres_server: PostgresForTest) -> Iterator[str]:
    with database_of(postgres_server) as dsn:
        yield dsn


@pytest.fixture(scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory, database: str) -> AsyncIterator[House]:
    async with house_for_many(tmp_path_factory.mktemp("api"), database) as running:
        yield running


@pytest.mark.parametrize(
    ("method", "path", "body", "field"),
    [
        (
            "POST",
            "/v1/tasks",
            '{"repo": "shop", "title": "t", "max_cost_usd": 1, "max_cost_usd": 1000}',
            "max_cost_usd",
        ),
        ("POST", "/v1/tasks", '{"repo": "shop", "title": "t", "priority": 3, "priority": 3}', "priority"),
        (
            "POST",
            "/v1/tasks",
            '{"repo": "shop", "title": "t", "max_cost_usd": 1, "max_cost_us\\u0064": 2}',
            "max_cost_usd",
        ),
        ("PUT", "/v1/repos/twice", '{"clone_url": "https://h/x", "verify": {"test": "a", "test": "b"}}', "test"),
        ("PUT", "/v1/settings", '{"accounts": {"claude": 1, "claude": 9}}', "claude"),
    ],
)
async def test_a_field_that_is_given_twice_is_refused_and_nothing_is_done(
    house: House, method: str, path: str, body: str, field: str
) -> None:
    before = [(await house.client.get(look)).json() for look in ("/v1/repos", "/v1/settings")]
    answer = await house.client.request(method, path, content=body, headers=JSON)
    assert (answer.status_code, answer.json()["field"]) == (422, field)
    assert "twice" in answer.json()["detail"]
    assert [(await house.client.get(look)).json() for look in ("/v1/repos", "/v1/settings")] == before


async def test_the_same_name_in_two_objects_is_not_twice(house: House) -> None:
    prices = [{"vendor": vendor, "price": {"input_usd": 1, "output_usd": 2}} for vendor in ("claude", "codex")]
    answer = await house.client.put("/v1/settings", json={"prices": prices})
    assert answer.status_code == 200, answer.text


async def test_a_filter_with_a_slip_in_its_name_is_refused_with_the_names_that_there_are(house: House) -> None:
    answer = await house.client.get("/v1/tasks?repos=shop")
    assert (answer.status_code, answer.json()["field"]) == (422, "repos")
    assert answer.json()["hint"] == "there are: repo, phase, outcome, cursor, limit"
    assert (await house.client.get("/v1/repos?limit=1")).json()["hint"] == "there are none here"


async def test_a_parameter_that_is_given_twice_is_refused(house: House) -> None:
    answer = await house.client.get("/v1/tasks?limit=1&limit=2")
    assert (answer.status_code, answer.json()["field"]) == (422, "limit")
    assert "twice" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("query", "field", "hint"),
    [
        ("limit=1000", "limit", "a whole number from 1 to 200"),
        ("limit=many", "limit", "a whole number from 1 to 200"),
        ("outcome=good", "outcome", "one of: succeeded, unverified, no_change, failed, cancelled"),
        (f"repo={'x' * 64}", "repo", "text of at most 63 characters"),
    ],
)
async def test_a_wrong_parameter_is_answered_with_what_stood_there_and_what_would_be_right(
    house: House, query: str, field: str, hint: str
) -> None:
    answer = (await house.client.get(f"/v1/tasks?{query}")).json()
    assert (answer["status"], answer["field"], answer["hint"]) == (422, field, hint)
    assert answer["value"].startswith(query.partition("=")[2][:20])


async def test_who_may_not_ask_is_not_told_what_could_be_asked(house: House) -> None:
    async with house.as_holder_of("penstock_0000000000000000_none") as stranger:
        assert (await stranger.get("/v1/tasks?repos=shop")).status_code == 401


async def test_probes_and_webhooks_may_carry_parameters_of_their_own(house: House) -> None:
    assert (await house.client.get("/healthz?verbose=1")).status_code == 200
    assert (await house.client.get("/v1/openapi.json?v=2")).status_code == 200
    assert (await house.client.post("/v1/hooks/gitea/shop?from=forge", json={})).status_code == 401


async def test_the_document_says_of_every_route_with_a_token_that_it_may_refuse_a_value() -> None:
    paths = msgspec.json.decode(openapi_document())["paths"]
    silent = [
        (method, path)
        for (method, path), role in ACCESS.items()
        if role is not None and "422" not in paths[path][method.lower()]["responses"]
    ]
    assert silent == []


async def test_a_provider_that_nobody_knows_is_refused_with_those_that_there_are(house: House) -> None:
    wanted = {"clone_url": "https://github.com/acme/shop.git"}
    answer = (await house.client.put("/v1/repos/typo", json=wanted | {"provider": "gihub"})).json()
    assert (answer["status"], answer["field"], answer["value"]) == (422, "provider", "gihub")
    assert answer["hint"] == "one of: forgejo, git, gitea, github, gitlab, local, recording"
    for provider in FORGES:
        assert (await house.client.put("/v1/repos/typo", json=wanted | {"provider": provider})).status_code == 200
