"""Given a change and the secrets of this host, what the change would carry outside is seen before it is handed over."""

from __future__ import annotations

from pathlib import Path

import pytest
from adapters.git_world import World, make_world

from penstock_agent_exec.git import change
from penstock_agent_exec.git.failures import TooBig
from penstock_agent_exec.git.secrets import secrets_in
from penstock_agent_exec.git.work import commit_leftovers, take_result
from penstock_agent_exec.redact import Redactor

pytestmark = pytest.mark.anyio

TOKEN = "forge-token-0123456789abcdef"
REDACTOR = Redactor({"git_token_file": TOKEN, "key": "another-secret-of-the-host"})


@pytest.fixture
def world(tmp_path: Path) -> World:
    return make_world(tmp_path)


async def found(world: World, script: str) -> tuple[str, ...]:
    clone = await world.clone()
    await world.agent(clone, script)
    await commit_leftovers(clone, world.sandbox)
    result = await take_result(clone, world.mirror, world.sandbox)
    assert result.head != result.base
    return await secrets_in(world.mirror, result.base, result.head, REDACTOR)


@pytest.mark.parametrize(
    "script",
    [
        f"echo 'token = {TOKEN}' > settings.ini",
        f"echo x > a && git add a && git commit -qm 'Use {TOKEN}'",
        f"echo x > a && git add a && git commit -qm 'First' -m '- {TOKEN}' && echo y > a",
        f"echo x > '{TOKEN}.txt'",
        f"printf '\\000\\001{TOKEN}\\000' > blob.bin",
        f"printf %s {TOKEN} | base64 > encoded",
        f"echo {TOKEN} > a && git add a && git commit -qm 'In' && rm a && git commit -qam 'Out again'",
        f"echo '-{TOKEN}' > list",
        f"ln -s {TOKEN} link",
        f"printf 'it is\\n{TOKEN}\\n' | iconv -t UTF-16 > wide.txt",
        f"echo '- {TOKEN}' | iconv -t UTF-32BE > wider.txt",
    ],
)
async def test_a_secret_that_a_change_brings_is_named(world: World, script: str) -> None:
    assert await found(world, script) == ("git_token_file",)


async def test_a_change_without_secrets_and_one_that_takes_one_away_are_let_pass(world: World) -> None:
    world.somebody_pushes("main", "leaked.ini", f"a\ntoken = {TOKEN}\nb\n")
    assert await found(world, "printf 'a\\ntoken = from-elsewhere\\nb\\n' > leaked.ini") == ()


async def test_a_change_that_takes_one_away_in_wide_letters_is_let_pass(world: World) -> None:
    world.somebody_pushes("main", "leaked.txt", f"a\n{TOKEN}\nb\n".encode("utf-16-le").decode())
    assert await found(world, "printf 'a\nb\n' | iconv -t UTF-16LE > leaked.txt") == ()


async def test_a_header_that_nobody_shows_is_pushed_and_so_is_looked_at(world: World) -> None:
    script = (
        "echo x > a && git add a && git commit -qm In && git cat-file commit HEAD"
        f" | sed '/^committer/a x-note {TOKEN}' | git hash-object -t commit -w --stdin > .git/odd"
        " && git reset -q --soft $(cat .git/odd)"
    )
    assert await found(world, script) == ("git_token_file",)


async def test_a_change_that_is_too_big_to_be_looked_through_is_not_let_pass(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(change, "LOOKED_AT_BYTES_MAX", 100_000)
    with pytest.raises(TooBig):
        await found(world, f"head -c 200000 /dev/urandom > blob; echo {TOKEN} > a")
    with pytest.raises(TooBig):
        await found(world, "seq 100000 > numbers")
