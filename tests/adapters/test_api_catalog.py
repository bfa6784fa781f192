"""The catalogue over HTTP, hosts, dead letters; and what may never reach git, a shell or a webhook."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime

import msgspec
import pytest
from adapters.api_house import DEADLINE_SECONDS, House, database_of, house_for_many
from hypothesis import given
from hypothesis import strategies as st
from servers import PostgresForTest

from penstock import subjects as s
from penstock.catalog import HostState, Repo, Route
from penstock.lease import Lease
from penstock_api.remotes import branch_problem, clone_url_problem

pytestmark = pytest.mark.anyio


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


async def test_a_repo_is_put_read_listed_replaced_and_removed(house: House) -> None:
    wanted = {
        "clone_url": "git@example.com:team/blog.git",
        "default_branch": "trunk",
        "verify": {"test": "make test"},
        "command_timeout_seconds": 60,
    }
    put = await house.client.put("/v1/repos/blog", json=wanted)
    assert put.status_code == 200
    repo = msgspec.json.decode(await stored(house, "repo.blog"), type=Repo)
    assert (repo.name, repo.verify.test, repo.default_branch) == ("blog", "make test", "trunk")
    assert (await house.client.get("/v1/repos/blog")).json() == put.json()
    assert put.json() in (await house.client.get("/v1/repos")).json()["repos"]
    again = await house.client.put("/v1/repos/blog", json=wanted | {"name": "blog", "provider": "github"})
    assert again.json()["provider"] == "github"
    assert (await house.client.delete("/v1/repos/blog")).status_code == 204
    assert (await house.client.get("/v1/repos/blog")).status_code == 404
    assert (await house.client.delete("/v1/repos/blog")).status_code == 404
    assert "blog" not in (await house.client.get("/v1/repos")).text


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": "other"}, "name"),
        ({"clone_url": ""}, "clone_url"),
        ({"clone_url": "/srv/git/shop.git"}, "clone_url"),
        ({"clone_url": "file:///srv/git/shop.git"}, "clone_url"),
        ({"clone_url": "x" * 1_001}, "clone_url"),
        ({"clone_url": None}, "clone_url"),
        ({"default_branch": "--upload-pack=x"}, "default_branch"),
        ({"default_branch": "a..b"}, "default_branch"),
        ({"verify": {"tests": "make test"}}, "verify.tests"),
        ({"verify": {"test": ""}}, "verify.test"),
        ({"verify": {"test": "a\0b"}}, "verify.test"),
        ({"verify": "make test"}, "verify"),
        ({"command_timeout_seconds": -1}, "command_timeout_seconds"),
        ({"token": "x"}, "token"),
        ({"provider": "local"}, "clone_url"),
        ({"provider": "local", "clone_url": "file:///home/ann/shop"}, "clone_url"),
        ({"preflight": {"workflows": "shrug"}}, "preflight.workflows"),
        ({"preflight": {"file_bytes_max": 0}}, "preflight.file_bytes_max"),
        ({"preflight": {"scope": ["x" * 501]}}, "preflight.scope[0]"),
        ({"preflight": {"secrets": "allow"}}, "preflight.secrets"),
        ({"pull_requests": {"labels": ["x" * 51]}}, "pull_requests.labels[0]"),
        ({"pull_requests": {"labels": ["@team"]}}, "pull_requests.labels[0]"),
        ({"pull_requests": {"draft": "yes"}}, "pull_requests.draft"),
    ],
)
async def test_a_repo_that_cannot_be_taken_is_refused_by_field(
    house: House, change: dict[str, object], field: str
) -> None:
    answer = await house.client.put("/v1/repos/bad", json={"clone_url": "https://example.com/a.git"} | change)
    assert (answer.status_code, answer.json()["field"]) == (422, field)
    assert answer.json()["hint"]
    assert (await house.client.get("/v1/repos/bad")).status_code == 404


async def test_a_folder_of_a_host_and_what_changes_are_looked_at_for_are_kept_as_they_were_put(house: House) -> None:
    rules = {"file_bytes_max": 5_000, "workflows": "block", "scope": ["src"], "fixtures": ["tests/fixtures"]}
    body = {"provider": "local", "clone_url": "/home/ann/shop", "preflight": rules}
    opened = {"draft": True, "labels": ["penstock"]}
    assert (await house.client.put("/v1/repos/folder", json=body | {"pull_requests": opened})).status_code == 200
    said = (await house.client.get("/v1/repos/folder")).json()
    assert said["pull_requests"] == opened
    assert (said["provider"], said["clone_url"], said["preflight"]) == ("local", "/home/ann/shop", rules)
    assert (await house.client.delete("/v1/repos/folder")).status_code == 204


async def test_credentials_in_a_clone_url_are_refused_and_not_repeated(house: House) -> None:
    answer = await house.client.put("/v1/repos/bad", json={"clone_url": "https://me:hunter2@example.com/a.git"})
    assert answer.status_code == 422
    assert "credentials" in answer.json()["detail"]
    assert "hunter2" not in answer.text


@pytest.mark.parametrize("name", ["A", "-a", "a.b", "a" * 64, "a%20b", "%2e%2e", "a%0a", "ä"])
async def test_a_name_that_is_none_cannot_be_given_and_is_not_found(house: House, name: str) -> None:
    for kind, body in (("repos", {"clone_url": "https://example.com/a.git"}), ("routes", {"channel": "console"})):
        answer = await house.client.put(f"/v1/{kind}/{name}", json=body)
        assert (answer.status_code, answer.json()["field"]) == (422, "name")
        assert (await house.client.get(f"/v1/{kind}/{name}")).status_code == 404


REFUSED_URLS = [
    "",
    " ",
    "shop",
    "http://example.com/a.git",
    "git://example.com/a.git",
    "ftp://example.com/a.git",
    "https://",
    "https:///a.git",
    "https://example.com",
    "https://example.com/",
    "https://user@example.com/a.git",
    "https://user:secret@example.com/a.git",
    "https://:secret@example.com/a.git",
    "https://example.com/a.git?access_token=secret",
    "https://example.com/a.git#secret",
    "https://example.com:99999/a.git",
    "https://example.com:x/a.git",
    "https://-oProxyCommand=x/a.git",
    "https://exa mple.com/a.git",
    "https://example.com/a.git\n",
    "https://example.com/\x1b[31m.git",
    "https://example.com/a\u2028.git",
    "ssh://-oProxyCommand=touch${IFS}x/a.git",
    "ssh://-oProxyCommand=x@example.com/a.git",
    "ssh://git:secret@example.com/a.git",
    "ssh://git@example.com/-a",
    "-oProxyCommand=x@example.com:a.git",
    "git@-oProxyCommand=x:a.git",
    "git@example.com:-a.git",
    "git@example.com:",
    "git@example.com::a",
    "--upload-pack=touch x",
    "--upload-pack=/bin/sh",
    "ext::sh",
    "ext::sh -c touch% /tmp/x",
    "fd::17/foo",
    "transport::address",
    "file://host/a.git",
    "//example.com/a.git",
    "C:\\repo",
    "../shop.git",
    "~/shop.git",
]
ACCEPTED_URLS = [
    "https://example.com/a.git",
    "https://example.com:8443/team/a",
    "https://xn--bcher-kva.example/a.git",
    "ssh://git@example.com/a.git",
    "ssh://example.com:2222/~me/a.git",
    "ssh://git@[2001:db8::1]/a.git",
    "git@example.com:team/a.git",
    "git@host:a",
]


@pytest.mark.parametrize("url", REFUSED_URLS)
def test_a_url_that_git_must_not_be_given_is_refused(url: str) -> None:
    assert clone_url_problem(url, allow_local=False)
    if not url.startswith("//"):
        assert clone_url_problem(url, allow_local=True)


@pytest.mark.parametrize("url", ACCEPTED_URLS)
def test_an_honest_url_is_taken(url: str) -> None:
    assert clone_url_problem(url, allow_local=False) is None


@pytest.mark.parametrize("url", ["/srv/git/a.git", "file:///srv/git/a.git"])
def test_local_paths_are_taken_only_where_that_is_allowed(url: str) -> None:
    assert clone_url_problem(url, allow_local=True) is None
    assert "PENSTOCK_ALLOW_LOCAL_REMOTES" in (clone_url_problem(url, allow_local=False) or "")


@given(st.text(max_size=60))
def test_no_text_is_taken_that_git_would_read_as_an_option_or_a_helper(text: str) -> None:
    if clone_url_problem(text, allow_local=True) is None:
        assert not text.startswith("-")
        assert text.isprintable()
        assert "::" not in text.split("/", 1)[0]


@pytest.mark.parametrize("name", ["main", "release/1.2", "feature-x", "a@b", "ünïcode"])
def test_an_honest_branch_is_taken(name: str) -> None:
    assert branch_problem(name) is None


@pytest.mark.parametrize(
    "name",
    [
        *["-x", "/a", "a/", "a//b", "a..b", ".a", "a/.b", "a.lock", "a.lock/b", "a.", "a b", "a~b", "a^", "a:b", "a?"],
        *["a*", "a[b", "a\\b", "a@{b", "@", "a\nb", "a\x7fb"],
    ],
)
def test_a_name_that_git_forbids_for_a_branch_is_refused(name: str) -> None:
    assert branch_problem(name)


HOOK = {"channel": "webhook", "url": "https://example.com/hook", "secret_ref": "file:hook"}


async def test_a_route_is_put_read_listed_and_removed(house: House) -> None:
    put = await house.client.put("/v1/routes/ops", json=HOOK | {"types": ["task_failed"], "repos": ["shop"]})
    assert put.status_code == 200
    route = msgspec.json.decode(await stored(house, "route.ops"), type=Route)
    assert (route.channel, route.types, route.secret_ref) == ("webhook", ("task_failed",), "file:hook")
    assert (await house.client.get("/v1/routes/ops")).json() == put.json()
    assert [entry["name"] for entry in (await house.client.get("/v1/routes")).json()["routes"]] == ["ops"]
    assert (await house.client.delete("/v1/routes/ops")).status_code == 204
    assert (await house.client.get("/v1/routes")).json() == {"routes": []}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"channel": "pigeon"}, "channel"),
        ({"url": ""}, "url"),
        ({"url": "ftp://example.com"}, "url"),
        ({"url": "https://me:secret@example.com"}, "url"),
        ({"url": "https://"}, "url"),
        ({"url": "https://exa\nmple.com"}, "url"),
        ({"url": "javascript:alert(1)"}, "url"),
        ({"secret_ref": ""}, "secret_ref"),
        ({"secret_ref": "env:HOME"}, "secret_ref"),
        ({"secret_ref": "file:../../etc/passwd"}, "secret_ref"),
        ({"secret_ref": "file:.."}, "secret_ref"),
        ({"secret_ref": "file:/etc/passwd"}, "secret_ref"),
        ({"types": ["task_exploded"]}, "types"),
        ({"types": ["task_failed"] * 101}, "types"),
        ({"repos": ["Not A Name"]}, "repos[0]"),
        ({"channel": "console"}, "url"),
        ({"enabled": "yes"}, "enabled"),
        ({"name": "other"}, "name"),
    ],
)
async def test_a_route_that_could_never_deliver_is_refused_by_field(
    house: House, change: dict[str, object], field: str
) -> None:
    answer = await house.client.put("/v1/routes/bad", json=HOOK | change)
    assert (answer.status_code, answer.json()["field"]) == (422, field)
    assert "secret@" not in answer.text


async def test_an_entry_that_cannot_be_read_is_left_out_and_nothing_breaks(house: House) -> None:
    admin = await house.nats.connect()
    try:
        js = admin.jetstream()
        await js.publish(s.kv(s.CATALOG, "repo.broken"), b"{not json")
        await house.put_repo("whole")
        names = [repo["name"] for repo in (await house.client.get("/v1/repos")).json()["repos"]]
        assert "whole" in names
        assert "broken" not in names
        assert (await house.client.get("/v1/repos/broken")).status_code == 404
    finally:
        await admin.close()


async def test_hosts_are_shown_while_they_hold_their_lease_and_bring_their_vendors(house: House) -> None:
    state = HostState(
        host="h1",
        instance="i1",
        installation="x",
        started_at=datetime.now(UTC),
        slots=2,
        busy=1,
        vendors=("homemade",),
        notes=("no sandbox",),
        versions={"homemade": "1.2"},
    )
    refused = await house.client.post("/v1/tasks", json={"repo": "shop", "title": "t", "vendor": "homemade"})
    assert refused.status_code == 422
    lease = await Lease.acquire(house.executor, s.host_lease("h1"), state, seconds=300)
    async with asyncio.timeout(DEADLINE_SECONDS):
        while not (hosts := (await house.client.get("/v1/hosts")).json()["hosts"]):
            await asyncio.sleep(0.01)
    assert (hosts[0]["host"], hosts[0]["busy"], hosts[0]["notes"]) == ("h1", 1, ["no sandbox"])
    assert hosts[0]["versions"] == {"homemade": "1.2"}
    taken = await house.client.post("/v1/tasks", json={"repo": "shop", "title": "t", "vendor": "homemade"})
    assert taken.status_code == 201
    await lease.release()
    async with asyncio.timeout(DEADLINE_SECONDS):
        while (await house.client.get("/v1/hosts")).json()["hosts"]:
            await asyncio.sleep(0.01)


async def test_dead_letters_are_shown_with_their_reason_in_pages(house: House) -> None:
    admin = await house.nats.connect()
    try:
        for number in range(3):
            await admin.jetstream().publish(
                s.dead_letter("notify", f"ops.e{number}"),
                b"\xff body %d" % number,
                headers={"Penstock-Reason": "gone"},
                stream=s.DEAD,
            )
    finally:
        await admin.close()
    first = (await house.client.get("/v1/dead-letters", params={"limit": 2})).json()
    letter = first["dead_letters"][0]
    assert (letter["source"], letter["name"], letter["headers"]) == ("notify", "ops.e0", {"Penstock-Reason": "gone"})
    assert letter["body"].endswith("body 0")
    assert letter["at"]
    rest = (await house.client.get("/v1/dead-letters", params={"after": first["next"]})).json()
    assert [entry["name"] for entry in rest["dead_letters"]] == ["ops.e2"]
    assert rest["next"] is None
