"""Given a token, the remote gets it and nobody else: no command line, no environment, no file, no other host."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from adapters.git_forge import Forge, serving
from adapters.git_world import TASK, World, make_world

from penstock_agent_exec.git.clone import Clone
from penstock_agent_exec.git.command import git
from penstock_agent_exec.git.credential import SshKey, TokenFile, access_to
from penstock_agent_exec.git.failures import AuthRefused, BadName, RepositoryMissing, Unreachable
from penstock_agent_exec.git.mirror import mirror_of, resolve_base, update_mirror
from penstock_agent_exec.git.names import Remote, check_remote
from penstock_agent_exec.git.publish import Published, publish_branch
from penstock_agent_exec.git.work import commit_leftovers, take_result

pytestmark = pytest.mark.anyio

REAL_SSH = shutil.which("ssh")
TOKEN = f"ghp_{secrets.token_hex(18)}"


@pytest.fixture
def world(tmp_path: Path) -> World:
    return make_world(tmp_path)


@pytest.fixture
def forge(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[Forge]:
    certificate = world.root / "forge.pem"
    monkeypatch.setenv("GIT_SSL_CAINFO", str(certificate))
    with serving(Forge(world.root, certificate, password=TOKEN)) as forge:
        yield forge


@pytest.fixture
def token(world: World) -> TokenFile:
    path = world.root / "token"
    path.write_text(f"{TOKEN}\n")
    return TokenFile(path)


def address(forge: Forge) -> Remote:
    return check_remote(f"{forge.url}/origin.git", allow_local=False)


def where_the_token_is() -> set[str]:
    """The processes of this host that show the token on their command line or in their environment."""
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        for name in ("cmdline", "environ"):
            try:
                if TOKEN.encode() in (process / name).read_bytes():
                    found.add(f"{process.name} {name}: {(process / 'cmdline').read_bytes()!r}")
            except OSError:
                continue
    return found


async def clone_with_work(world: World) -> Clone:
    clone = await world.clone()
    await world.agent(clone, "echo x > x.txt")
    await commit_leftovers(clone, world.sandbox)
    return clone


async def test_fetch_and_push_with_a_token_that_is_on_no_command_line_in_no_environment_and_in_no_file(
    world: World, forge: Forge, token: TokenFile
) -> None:
    seen: set[str] = set()
    forge.watch = lambda: seen.update(where_the_token_is())  # git and its helpers wait meanwhile
    await update_mirror(world.mirror, address(forge), credential=token)
    clone = await clone_with_work(world)
    result = await take_result(clone, world.mirror, world.sandbox)
    pushed = await publish_branch(
        world.mirror, address(forge), clone.branch, result.head, expected=None, credential=token
    )
    assert pushed == Published(result.head, clone.branch, adopted=False)
    assert world.on_remote(clone.branch) == result.head
    assert any(given for _, given in forge.requests)
    assert seen == set()
    for folder in (world.data, world.origin):
        files = [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
        assert len(files) > 10
        assert [path for path in files if TOKEN.encode() in path.read_bytes()] == []


async def test_the_helper_itself_shows_the_token_on_no_command_line(
    world: World, forge: Forge, token: TokenFile
) -> None:
    """The helper's programs are replaced by ones that write down how they were called."""
    programs, log = world.root / "bin", world.root / "called"
    programs.mkdir()
    (programs / "head").write_text(f'#!/bin/sh\ntr "\\0" " " < /proc/$$/cmdline >> {log}; exec /usr/bin/head "$@"\n')
    (programs / "head").chmod(0o755)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
        await update_mirror(world.mirror, address(forge), credential=token)
    assert str(token.path) in log.read_text()
    assert TOKEN not in log.read_text()


async def test_without_a_token_or_with_a_wrong_one_git_does_not_ask_anybody_and_says_so(
    world: World, forge: Forge, token: TokenFile
) -> None:
    with pytest.raises(AuthRefused) as none:
        await update_mirror(world.mirror, address(forge))
    assert (none.value.error_class, none.value.transient) == ("git.auth", False)
    wrong = world.root / "wrong"
    wrong.write_text("not-the-token")
    with pytest.raises(AuthRefused) as refused:
        await update_mirror(world.mirror, address(forge), credential=TokenFile(wrong))
    assert "not-the-token" not in str(refused.value)
    with pytest.raises(AuthRefused):
        await update_mirror(world.mirror, address(forge), credential=TokenFile(world.root / "no-such-file"))


async def test_a_new_token_in_the_file_is_used_at_once(world: World, forge: Forge, token: TokenFile) -> None:
    await update_mirror(world.mirror, address(forge), credential=token)
    forge.password = "rotated"
    with pytest.raises(AuthRefused):
        await update_mirror(world.mirror, address(forge), credential=token)
    token.path.write_text("rotated")
    await update_mirror(world.mirror, address(forge), credential=token)
    assert await resolve_base(world.mirror, "main") == world.on_remote("main")


async def test_a_redirect_leads_neither_git_nor_the_token_to_another_host(
    world: World, forge: Forge, token: TokenFile
) -> None:
    with serving(Forge(world.root, forge.certificate, password=TOKEN)) as other:
        forge.answer = lambda path: (302, {"Location": f"{other.url}{path}?service=git-upload-pack"})
        with pytest.raises(RepositoryMissing):
            await update_mirror(world.mirror, address(forge), credential=token)
        assert other.requests == []


async def test_the_token_of_one_host_is_not_offered_to_another(world: World, forge: Forge, token: TokenFile) -> None:
    """Even if git should get to speak to another host with the settings of the first."""
    with serving(Forge(world.root, forge.certificate, password=TOKEN)) as other:
        access = access_to(address(forge), token)
        await update_mirror(world.mirror, world.remote)
        done = await git(
            world.mirror.path,
            "ls-remote",
            f"{other.url}/origin.git",
            protocol="https",
            settings=access.settings,
            env=access.env,
        )
        assert done.returncode != 0
        assert [given for _, given in other.requests] == [None]


@pytest.mark.parametrize(
    ("status", "failure"), [(403, AuthRefused), (404, RepositoryMissing), (503, Unreachable), (429, Unreachable)]
)
async def test_an_answer_of_the_forge_is_told_by_its_kind(
    world: World, forge: Forge, token: TokenFile, status: int, failure: type[Exception]
) -> None:
    forge.answer = lambda path: (status, {})
    with pytest.raises(failure):
        await update_mirror(world.mirror, address(forge), credential=token)


async def test_a_certificate_that_nobody_knows_is_not_accepted(
    world: World, forge: Forge, token: TokenFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GIT_SSL_CAINFO")
    with pytest.raises(AuthRefused):
        await update_mirror(world.mirror, address(forge), credential=token)
    assert forge.requests == []


async def test_a_push_whose_answer_never_came_over_the_net_is_looked_up_and_adopted(
    world: World, forge: Forge, token: TokenFile
) -> None:
    clone = await clone_with_work(world)
    result = await take_result(clone, world.mirror, world.sandbox)
    forge.cut = "/git-receive-pack"
    published = await publish_branch(
        world.mirror, address(forge), clone.branch, result.head, expected=None, credential=token
    )
    assert published == Published(result.head, clone.branch, adopted=True)
    posts = [path for path, _ in forge.requests if path.endswith("/git-receive-pack")]
    assert len(posts) >= 1


@pytest.mark.skipif(REAL_SSH is None, reason="there is no ssh to ask how it understands its options")
async def test_a_key_goes_to_ssh_by_its_file_and_nothing_of_the_accounts_own_is_read(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs, understood = world.root / "bin", world.root / "understood"
    programs.mkdir()
    (programs / "ssh").write_text(f'#!/bin/sh\n{REAL_SSH} -G "$@" >> {understood}; env >> {understood}; exit 255\n')
    (programs / "ssh").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setenv("SSH_AUTH_SOCK", "/run/agent.sock")
    key = SshKey(world.root / "my key's file", world.root / "known hosts")
    remote = check_remote("git@host:o/r.git", allow_local=False)
    with pytest.raises(Unreachable):
        await update_mirror(world.mirror, remote, credential=key)
    said = understood.read_text().splitlines()
    for line in (
        "user git",
        "hostname host",
        f"identityfile {key.path}",
        f"userknownhostsfile {key.known_hosts}",
        "identitiesonly yes",
        "identityagent none",
        "batchmode yes",
        "stricthostkeychecking true",
        "controlmaster false",
    ):
        assert line in said
    assert not any(line.startswith("SSH_AUTH_SOCK") for line in said)


def test_a_credential_that_does_not_fit_the_address_is_refused_by_name(tmp_path: Path) -> None:
    https = check_remote("https://host/o/r", allow_local=False)
    ssh = check_remote("git@host:o/r", allow_local=False)
    with pytest.raises(AuthRefused, match="A token is for https; this remote speaks ssh"):
        access_to(ssh, TokenFile(tmp_path / "token"))
    with pytest.raises(AuthRefused, match="A key is for ssh; this remote speaks https"):
        access_to(https, SshKey(tmp_path / "key", tmp_path / "hosts"))
    for unfit in (TokenFile(Path("relative")), TokenFile(tmp_path / "token", username="a\npassword=b")):
        with pytest.raises(BadName):
            access_to(https, unfit)
    assert mirror_of(tmp_path, "r").path.name == "r.git"
    assert TASK not in str(access_to(https, TokenFile(tmp_path / "token")))
