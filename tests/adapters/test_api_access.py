"""Who may do what: tokens, roles, and the table that says it; and what every answer has in common."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import httpx2
import jsonschema
import pytest
from adapters.api_house import House, database_of, house_for_many
from servers import PostgresForTest

from penstock import ids
from penstock_api import queries, queries_talk, tokens
from penstock_api.auth import ACCESS, AGENT_ROUTES, RANK
from penstock_api.database import Database
from penstock_api.openapi import openapi_document
from penstock_api.tokens import BadFirstToken, Role, Tokens, fresh_token

pytestmark = pytest.mark.anyio

ROLES: tuple[Role, ...] = ("viewer", "operator", "admin")
STATEMENTS = (*queries.STATEMENTS, *queries_talk.STATEMENTS, *tokens.STATEMENTS)


@pytest.fixture(scope="module")
def database(postgres_server: PostgresForTest) -> Iterator[str]:
    with database_of(postgres_server) as dsn:
        yield dsn


@pytest.fixture(scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory, database: str) -> AsyncIterator[House]:
    async with house_for_many(tmp_path_factory.mktemp("api"), database) as running:
        yield running


@pytest.fixture(scope="module")
async def token_of(house: House) -> dict[str, str]:
    return {role: await house.token(role) for role in ROLES}


@pytest.fixture(scope="module")
async def agent(house: House) -> tuple[str, str]:
    """A task, and the token of its agent."""
    task = await house.submit("with an agent")
    return task, await house.token("agent", task)


def example_path(template: str) -> str:
    """A path of that form, to nothing that exists."""
    names = {
        "task": ids.fresh(),
        "job": ids.fresh(),
        "number": 1,
        "decision": ids.fresh(),
        "memory": ids.fresh(),
        "stage": "test",
        "provider": "gitea",
        "repo": "nothing",
        "kind": "host",
        "name": "nothing",
        "id": "0" * 16,
    }
    return template.format(**names)


async def status_of(client: httpx2.AsyncClient, method: str, path: str) -> httpx2.Response:
    async with client.stream(method, path) as answer:
        if not answer.headers.get("content-type", "").startswith("text/event-stream"):
            await answer.aread()
        return answer


@pytest.mark.parametrize(("method", "template"), sorted(ACCESS))
async def test_a_route_answers_exactly_the_roles_of_the_table(
    house: House, token_of: dict[str, str], method: str, template: str
) -> None:
    needed = ACCESS[method, template]
    path = example_path(template)
    async with house.as_holder_of("") as stranger:
        answer = await status_of(stranger, method, path)
        if needed is None:
            # A webhook has no token, and is believed by its signature alone.
            assert answer.status_code == (401 if "/hooks/" in template else 200)
            return
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith("Bearer")
        assert answer.json()["type"] == "urn:penstock:problem:unauthorized"
    for role in ROLES:
        async with house.as_holder_of(token_of[role]) as client:
            status = (await status_of(client, method, path)).status_code
        assert (status == 403) == (needed == "agent" or RANK[role] < RANK[needed]), role
        assert status != 401
        assert status < 500


@pytest.mark.parametrize(("method", "template"), sorted(route for route, role in ACCESS.items() if role is not None))
async def test_an_agent_reaches_the_talk_of_its_own_task_and_may_write_to_others_and_is_told_so(
    house: House, agent: tuple[str, str], method: str, template: str
) -> None:
    own_task, token = agent
    own, other = template.replace("{task}", own_task), template
    async with house.as_holder_of(token) as client:
        for path, is_own in ((own, True), (other, False)):
            answer = await status_of(client, method, example_path(path))
            own_only = AGENT_ROUTES.get((method, template))
            assert (answer.status_code == 403) == (own_only is None or (own_only and not is_own)), path
            assert answer.status_code != 401
            assert answer.status_code < 500
            if answer.status_code == 403:
                assert own_task in answer.json()["detail"]
                assert "raise a decision" in answer.json()["hint"]


def junk_headers() -> list[str]:
    good = fresh_token()
    return [
        "Bearer",
        "Bearer  x",
        "Bearer x",
        f"Basic {good}",
        good,
        f"Bearer {good}x",
        f"Bearer {good[:-1]}",
        f"Bearer {good}",
        f"Bearer {good.upper()}",
        "Bearer penstock_0000000000000000_" + "A" * 43,
        "Bearer " + "x" * 5_000,
        "Bearer \xff\xfe",
    ]


@pytest.mark.parametrize("header", junk_headers(), ids=range(len(junk_headers())))
async def test_what_is_not_a_token_is_refused(house: House, header: str) -> None:
    async with house.as_holder_of("") as client:
        answer = await client.get("/v1/tasks", headers={b"authorization": header.encode("latin-1")})
    assert answer.status_code == 401
    assert "www-authenticate" in answer.headers


async def test_the_right_id_with_another_secret_is_refused(house: House, token_of: dict[str, str]) -> None:
    _, id_, _ = token_of["viewer"].split("_", 2)
    async with house.as_holder_of(f"penstock_{id_}_{'A' * 43}") as client:
        assert (await client.get("/v1/tasks")).status_code == 401


async def test_the_scheme_may_be_written_in_any_case(house: House, token_of: dict[str, str]) -> None:
    async with house.as_holder_of("") as client:
        answer = await client.get("/v1/tasks", headers={"Authorization": f"bearer {token_of['viewer']}"})
    assert answer.status_code == 200


async def test_a_token_is_shown_once_listed_without_its_secret_and_refused_when_withdrawn(house: House) -> None:
    made = (await house.client.post("/v1/tokens", json={"name": "ci", "role": "viewer", "expires_in_days": 7})).json()
    async with house.as_holder_of(made["token"]) as client:
        assert (await client.get("/v1/tasks")).status_code == 200
        listed = await house.client.get("/v1/tokens")
        secret = made["token"].rsplit("_", 1)[1] if made["token"].count("_") == 2 else made["token"][26:]
        assert secret not in listed.text
        row = next(row for row in listed.json()["tokens"] if row["id"] == made["made"]["id"])
        assert (row["name"], row["role"]) == ("ci", "viewer")
        assert row["last_used_at"] is not None
        assert row["expires_at"] is not None
        assert (await house.client.delete(f"/v1/tokens/{row['id']}")).status_code == 204
        assert (await client.get("/v1/tasks")).status_code == 401
    assert (await house.client.delete(f"/v1/tokens/{row['id']}")).status_code == 404


async def test_an_expired_token_is_refused(house: House) -> None:
    made = (await house.client.post("/v1/tokens", json={"name": "old", "role": "viewer"})).json()
    connection = await asyncpg.connect(house.dsn)
    try:
        await connection.execute(
            "update penstock_api.token set expires_at = now() - interval '1 second' where id = $1", made["made"]["id"]
        )
        stored = await connection.fetchrow("select * from penstock_api.token where id = $1", made["made"]["id"])
    finally:
        await connection.close()
    assert stored is not None
    assert made["token"][26:] not in repr(dict(stored))
    async with house.as_holder_of(made["token"]) as client:
        answer = await client.get("/v1/tasks")
    assert (answer.status_code, answer.json()["detail"]) == (401, "the token has expired")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"name": "", "role": "viewer"}, "name"),
        ({"name": "a\nb", "role": "viewer"}, "name"),
        ({"name": "x" * 101, "role": "viewer"}, "name"),
        ({"name": "a", "role": "root"}, "role"),
        ({"name": "a", "role": "viewer", "expires_in_days": 0}, "expires_in_days"),
        ({"name": "a", "role": "viewer", "expires_in_days": 10**9}, "expires_in_days"),
        ({"role": "viewer"}, "name"),
        ({"name": "a", "role": "agent"}, "task"),
        ({"name": "a", "role": "agent", "task": "?"}, "task"),
        ({"name": "a", "role": "operator", "task": "t" * 26}, "task"),
    ],
)
async def test_a_token_that_cannot_be_made_is_refused(house: House, body: dict[str, object], field: str) -> None:
    answer = await house.client.post("/v1/tokens", json=body)
    assert (answer.status_code, answer.json()["field"]) == (422, field)


async def test_an_agent_s_token_is_of_a_task_that_exists(house: House) -> None:
    body = {"name": "a", "role": "agent", "task": ids.fresh()}
    assert (await house.client.post("/v1/tokens", json=body)).status_code == 404


async def test_use_is_noted_at_most_once_a_minute(house: House) -> None:
    connection = await asyncpg.connect(house.dsn)
    try:
        await connection.execute(tokens.USED, house.admin_token.split("_")[1])
        first = await connection.fetchval("select max(last_used_at) from penstock_api.token where name = 'first'")
        done = await connection.execute(tokens.USED, house.admin_token.split("_")[1])
    finally:
        await connection.close()
    assert first is not None
    assert done == "UPDATE 0"


async def test_the_last_admin_token_cannot_be_withdrawn_even_by_two_at_once(postgres: str, tmp_path: Path) -> None:
    database = await Database.connect(postgres, STATEMENTS)
    try:
        known = Tokens(database)
        one, _ = await known.add("one", "admin", None)
        two, _ = await known.add("two", "admin", 7)
        done = await asyncio.gather(known.remove(one.id), known.remove(two.id), return_exceptions=True)
        assert sorted(type(result).__name__ for result in done) == ["NoneType", "Problem"]
        assert len(await known.all()) == 1
    finally:
        await database.close()


async def test_the_first_token_is_drawn_once_however_many_start(
    postgres: str, capsys: pytest.CaptureFixture[str]
) -> None:
    database = await Database.connect(postgres, STATEMENTS)
    try:
        made = await asyncio.gather(*(Tokens(database).ensure_first("") for _ in range(5)))
        assert sorted(made) == [False] * 4 + [True]
        printed = re.findall(tokens.TOKEN_PATTERN, capsys.readouterr().err)
        assert len(printed) == 1
        token = await Tokens(database).bearer(f"Bearer penstock_{printed[0][0]}_{printed[0][1]}")
        assert token.role == "admin"
    finally:
        await database.close()


@pytest.mark.parametrize("content", ["", "changeme", "penstock_1_2", None])
async def test_a_file_without_a_token_is_named_and_leaves_the_table_empty(
    postgres: str, tmp_path: Path, content: str | None
) -> None:
    file = tmp_path / "token"
    if content is not None:
        file.write_text(content)
    database = await Database.connect(postgres, STATEMENTS)
    try:
        with pytest.raises(BadFirstToken, match="PENSTOCK_FIRST_TOKEN_FILE"):
            await Tokens(database).ensure_first(str(file))
        assert await Tokens(database).all() == ()
    finally:
        await database.close()


async def test_every_answer_has_the_security_headers_and_none_lets_other_sites_in(house: House) -> None:
    answers = [
        await house.client.get("/v1/tasks"),
        await house.client.get("/nowhere"),
        await house.client.post("/v1/tasks", content=b"{"),
        await house.client.request("OPTIONS", "/v1/tasks", headers={"Origin": "https://evil.example"}),
        await house.client.get("/healthz"),
    ]
    for answer in answers:
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["content-security-policy"].startswith("default-src 'none'")
        assert answer.headers["cache-control"] == "no-store"
        assert not [name for name in answer.headers if name.startswith("access-control-")]
        assert "server" not in answer.headers


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/v1", 404),
        ("GET", "/v1/tasks/a/b/c", 404),
        ("GET", "/v1/../etc/passwd", 404),
        ("GET", "/%00", 404),
        ("GET", "/v1/tasks/%ff%fe", 404),
        ("PUT", "/v1/tasks", 405),
        ("PATCH", "/v1/repos/shop", 405),
        ("TRACE", "/v1/tasks", 405),
    ],
)
async def test_what_is_not_there_is_said_in_problem_details(house: House, method: str, path: str, status: int) -> None:
    answer = await house.client.request(method, path)
    assert answer.status_code == status
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert answer.json()["status"] == status
    if status == 405:
        assert answer.headers["allow"]


async def test_an_error_of_ours_gives_an_id_and_no_trace(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    connection = await asyncpg.connect(house.dsn)
    task = await house.submit()
    await house.client.get(f"/v1/tasks/{task}")
    try:
        await connection.execute("update penstock.task set patch = '[]' where task = $1", task)
        answer = await house.client.get(f"/v1/tasks/{task}")
    finally:
        await connection.execute("update penstock.task set patch = null where task = $1", task)
        await connection.close()
    assert answer.status_code == 500
    body = answer.json()
    assert set(body) == {"type", "title", "status", "detail", "instance"}
    error_id = body["instance"].rpartition(":")[2]
    assert error_id in capsys.readouterr().out
    assert "msgspec" not in answer.text


async def test_health_and_readiness_need_no_token(house: House) -> None:
    async with house.as_holder_of("") as stranger:
        assert (await stranger.get("/healthz")).json() == {"ready": True, "problems": []}
        assert (await stranger.get("/readyz")).status_code == 200
        document = (await stranger.get("/v1/openapi.json")).json()
    assert document["openapi"].startswith("3.1")


def test_the_document_needs_no_server_and_names_every_route_with_its_role_and_problems() -> None:
    document = json.loads(openapi_document())
    described = {(method.upper(), path) for path, item in document["paths"].items() for method in item}
    assert described == set(ACCESS)
    for (method, path), role in ACCESS.items():
        operation = document["paths"][path][method.lower()]
        assert operation.get("x-penstock-role") == role
        assert ("x-penstock-agent" in operation) == ((method, path) in AGENT_ROUTES)
        assert operation["summary"]
        if role is not None:
            problem = operation["responses"]["401"]["content"]["application/problem+json"]
            assert problem["schema"] == {"$ref": "#/components/schemas/ProblemDetails"}
        if "requestBody" in operation:
            media = operation["requestBody"]["content"]["application/json"]
            assert operation["requestBody"]["required"] == (path.rpartition("/")[2] not in ("cancel", "unblock"))
            name = media["schema"].get("$ref", media["schema"].get("allOf", [{}])[0].get("$ref")).rpartition("/")[2]
            assert document["components"]["schemas"][name]["examples"]


def test_the_examples_of_the_document_are_right_by_its_own_schemas() -> None:
    document = json.loads(openapi_document())
    tried = 0
    for name, schema in document["components"]["schemas"].items():
        for example in schema.get("examples", []):
            validator = jsonschema.Draft202012Validator({"$ref": f"#/components/schemas/{name}", **document})
            validator.validate(example)
            tried += 1
    assert tried >= 5


def test_no_statement_leaves_anything_behind_on_its_connection() -> None:
    # The pool does not reset connections between requests: that is only right as long as this holds.
    forbidden = re.compile(r"\b(listen|notify|advisory|set\s+(session|local|role|search_path)|declare|temp)\b", re.I)
    for statement in (*STATEMENTS, tokens.HOLD):
        assert not forbidden.search(statement), statement
        assert not statement.strip().lower().startswith("set"), statement
    source = "".join(path.read_text() for path in Path(tokens.__file__).parent.rglob("*.py"))
    assert not re.search(r"add_listener|set_type_codec|\"set |'set ", source)
