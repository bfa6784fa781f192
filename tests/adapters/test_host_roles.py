"""What a host is told it is there for, and what it therefore does not hold: looked at when it starts, and not believed."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from executor_world import World, world
from nats.aio.client import Client
from patience import WAIT_SECONDS_MAX
from servers import NatsForTest
from whole import calc_remote

from penstock.settings import BadSettings
from penstock_agent_exec.agents.run import Outcome
from penstock_agent_exec.agents.vendor import Verdict
from penstock_agent_exec.folder import hold
from penstock_agent_exec.forge.configured import NO_FORGES, forges_of
from penstock_agent_exec.git.credential import NoKey, TokenFile, access_to
from penstock_agent_exec.git.names import check_remote
from penstock_agent_exec.known_secrets import KnownSecrets
from penstock_agent_exec.process import Ending
from penstock_agent_exec.settings import FORGE_TOKENS, Settings, load
from penstock_agent_exec.steps.agent import of_session
from penstock_agent_exec.steps.bench import Bench
from penstock_agent_exec.steps.running import Failure, Ran

TOKEN_FILE = "PENSTOCK_GIT_TOKEN_FILE"


def loaded(**more: str) -> Settings:
    return load({"PENSTOCK_HOST": "h1", "PENSTOCK_DATA_DIR": "/data", **more})


def refused(**more: str) -> str:
    with pytest.raises(BadSettings) as caught:
        loaded(**more)
    return str(caught.value)


def test_a_laptop_runs_and_hands_over() -> None:
    found = loaded(**{TOKEN_FILE: "/secrets/forge", "GITHUB_TOKEN": "of the user"})
    assert (found.runs, found.publishes, found.publish_pool) == (True, True, "publish")


@pytest.mark.parametrize("name", [TOKEN_FILE, "PENSTOCK_FORGES_FILE", *FORGE_TOKENS])
def test_a_host_that_only_runs_does_not_start_with_what_could_push(name: str) -> None:
    said = refused(PENSTOCK_ROLES="run", **{name: "/secrets/forge"})
    assert said.startswith(f"{name} is set, and PENSTOCK_ROLES=run ")
    assert "PENSTOCK_GIT_READ_TOKEN_FILE" in said


def test_a_host_that_only_runs_may_read_private_repos() -> None:
    found = loaded(PENSTOCK_ROLES="run", PENSTOCK_GIT_READ_TOKEN_FILE="/secrets/reader")
    assert (found.runs, found.publishes, found.git_read_token_file) == (True, False, "/secrets/reader")
    assert "PENSTOCK_GIT_READ_TOKEN_FILE must be an absolute path" in refused(PENSTOCK_GIT_READ_TOKEN_FILE="reader")


def test_a_host_that_only_publishes_may_hold_what_pushes() -> None:
    found = loaded(**{"PENSTOCK_ROLES": "publish", TOKEN_FILE: "/secrets/forge", "PENSTOCK_PUBLISH_POOL": "ours"})
    assert (found.runs, found.publishes, found.publish_pool) == (False, True, "ours")


@pytest.fixture
def forges_file(tmp_path: Path) -> Path:
    (tmp_path / "forges.toml").write_text(
        '[forges."github.com"]\nprovider = "github"\ntoken_file = "/secrets/github"\n'
    )
    return tmp_path / "forges.toml"


@pytest.mark.parametrize("name", [TOKEN_FILE, "PENSTOCK_GIT_READ_TOKEN_FILE"])
def test_a_token_without_a_host_is_refused_where_hosts_are_named(forges_file: Path, name: str) -> None:
    said = refused(PENSTOCK_FORGES_FILE=str(forges_file), **{name: "/secrets/any"})
    assert said.startswith(f"{name} and PENSTOCK_FORGES_FILE are both set")
    assert '[git."<host>"] and token_file = "/secrets/any"' in said
    assert f"take {name} away" in said
    forges_file.write_text("")
    assert loaded(PENSTOCK_FORGES_FILE=str(forges_file), **{name: "/secrets/any"}).publishes, "it names no host"


def test_where_hosts_are_named_no_other_is_shown_a_token(forges_file: Path, tmp_path: Path) -> None:
    # As no settings would have it that were checked.
    settings = Settings(
        host="h1", data_dir=str(tmp_path), git_token_file="/secrets/any", git_read_token_file="/secrets/reader"
    )
    forges = forges_of(str(forges_file), settings.git_token_file, tmp_path / "tokens")
    named, other = (check_remote(f"https://{host}/a/b.git", allow_local=False) for host in ("github.com", "x.example"))
    bench = Bench(
        nc=Client(),
        settings=settings,
        folder=hold(tmp_path / "data"),
        bwrap=None,
        offers={},
        secrets=KnownSecrets({}, {}),
        forges=forges,
    )
    for pushes in (True, False):
        assert bench.credential(named, pushes=pushes) == TokenFile(Path("/secrets/github"))
        assert bench.credential(other, pushes=pushes) is None
    nobody = replace(bench, forges=NO_FORGES)
    assert nobody.credential(other, pushes=True) == TokenFile(Path("/secrets/any"))
    assert nobody.credential(other) == TokenFile(Path("/secrets/reader"))


@pytest.mark.parametrize("roles", ["", "agent", "run,run", "run publish", "run,"])
def test_a_role_that_there_is_not_is_refused_by_name(roles: str) -> None:
    assert "PENSTOCK_ROLES" in refused(PENSTOCK_ROLES=roles)


def test_ssh_shows_a_remote_no_key_of_the_account() -> None:
    access = access_to(check_remote("ssh://git@forge.example/shop.git", allow_local=False), NoKey())
    argv = [*access.env["GIT_SSH_COMMAND"].split(), "-G", "git@forge.example"]
    said = subprocess.run(
        argv, capture_output=True, text=True, timeout=WAIT_SECONDS_MAX, check=True
    ).stdout.splitlines()
    assert {"identitiesonly yes", "identityagent none", "identityfile none"} <= set(said)
    assert access.settings == ()


# A session that is another one


WANTED, OTHER = "1f0c2a52-0000-4000-8000-000000000001", "1f0c2a52-0000-4000-8000-000000000002"
FAILURE = Failure(error_class="vendor.max_turns", message="50 turns", transient=False, retry_at=None)


def ran(session_id: str, failure: Failure | None = None, *, stopped: bool = False) -> Ran:
    ending = Ending(
        why="exited",
        exit_code=0,
        wall_seconds=1.0,
        stdout_bytes=0,
        stderr_bytes=0,
        stderr_tail=b"",
        nothing_left=True,
    )
    outcome = Outcome(
        verdict=Verdict(ok=failure is None, session_id=session_id), ending=ending, sandbox="", cut_lines=0
    )
    return Ran(outcome=outcome, stopped=stopped, failure=failure)


def test_a_run_that_went_on_with_another_session_than_it_was_to_is_no_result() -> None:
    found = of_session(ran(OTHER), WANTED)
    assert found.failure is not None
    assert found.failure.error_class == "vendor.session_lost"
    assert WANTED in found.failure.message
    assert OTHER in found.failure.message


@pytest.mark.parametrize(
    "one", [ran(WANTED), ran(""), ran(OTHER, FAILURE), replace(ran(OTHER), stopped=True)], ids=range(4)
)
def test_any_other_run_is_what_it_was(one: Ran) -> None:
    assert of_session(one, WANTED) is one


# As a process


@pytest.fixture
async def place(tmp_path: Path, nats: NatsForTest) -> AsyncIterator[World]:
    async with world(tmp_path / "w", nats, calc_remote(tmp_path / "calc")) as found:
        yield found


@pytest.mark.anyio
async def test_a_host_that_only_runs_and_holds_a_token_says_so_and_ends(place: World, tmp_path: Path) -> None:
    process = place.executor("h1", roles="run", git_token_file=str(tmp_path / "token"))
    process.start()
    assert await asyncio.to_thread(process.ended) == 1
    assert "PENSTOCK_GIT_TOKEN_FILE is set" in process.log


@pytest.mark.anyio
async def test_a_host_that_only_publishes_needs_no_sandbox_and_offers_nobody(place: World, tmp_path: Path) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("git", "rm", "chmod", "setpriv", "sync", "true", "tar", "head", "sh"):
        found = next(path for part in ("/usr/local/bin", "/usr/bin", "/bin") if (path := Path(part) / name).exists())
        (tools / name).symlink_to(found)
    process = place.executor("h2", path=str(tools), roles="publish")
    process.start()
    await process.ready()
    state = await place.desk.host_state("h2")
    assert state is not None
    assert (state.vendors, state.pools, state.notes) == ((), ("publish",), ())
