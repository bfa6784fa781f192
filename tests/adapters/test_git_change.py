"""Given two commits in the mirror, what is said of the change is true, bounded, and the same every time."""

from __future__ import annotations

from pathlib import Path

import pytest
from adapters.git_world import AGENT, TASK, World, host_git, make_world

from penstock_agent_exec.git.change import (
    Diffstat,
    commits_of,
    diff_text,
    diffstat,
    format_patch,
    has_change,
    patches_of,
    squash,
)
from penstock_agent_exec.git.failures import BadName, Conflict, RefMissing, TooBig
from penstock_agent_exec.git.work import commit_leftovers, take_result

pytestmark = pytest.mark.anyio


@pytest.fixture
def world(tmp_path: Path) -> World:
    return make_world(tmp_path)


async def changed(world: World, script: str) -> Diffstat:
    """What comes of an agent's script, seen from the mirror."""
    clone = await world.clone()
    await world.agent(clone, script)
    await commit_leftovers(clone, world.sandbox)
    return await take_result(clone, world.mirror, world.sandbox)


def applied(world: World, base: str, mailbox: bytes) -> str | None:
    """The tree that a person gets who feeds the mailbox to `git am`; None if it does not apply."""
    host_git(world.work, "checkout", "-q", "-B", "applied", base)
    try:
        host_git(world.work, "am", "-q", stdin=mailbox)
    except AssertionError:
        host_git(world.work, "am", "--abort")
        return None
    return host_git(world.work, "rev-parse", "HEAD^{tree}")


async def test_every_kind_of_change_is_told_with_modes_sizes_and_lines(world: World) -> None:
    result = await changed(
        world,
        "echo more >> README; git mv src/app.py src/main.py; head -c 100 /dev/zero > nul; ln -s /etc/passwd link; : > empty;"
        " chmod +x .gitignore; printf 'a\\tb\\n' > \"$(printf 'tab\\tnew\\nline')\"; ln -s x y; git add -A; git commit -qm all;"
        " git update-index --add --cacheinfo 160000,$(git rev-parse HEAD),sub; mkdir sub; git commit -qm sub",
    )
    told = {f.path: (f.status, f.old_mode, f.new_mode, f.size_bytes, f.added, f.removed) for f in result.files}
    assert told == {
        ".gitignore": ("M", "100644", "100755", 13, 0, 0),
        "README": ("M", "100644", "100644", 11, 1, 0),
        "empty": ("A", "000000", "100644", 0, 0, 0),
        "link": ("A", "000000", "120000", 11, 1, 0),
        "nul": ("A", "000000", "100644", 100, None, None),
        "src/app.py": ("D", "100644", "000000", 0, 0, 2),
        "src/main.py": ("A", "000000", "100644", 26, 2, 0),
        "sub": ("A", "000000", "160000", 0, 1, 0),
        "tab\tnew\nline": ("A", "000000", "100644", 4, 1, 0),
        "y": ("A", "000000", "120000", 1, 1, 0),
    }
    assert result.changed


async def test_an_attribute_or_a_gitmodules_setting_hides_nothing_from_the_figures(world: World) -> None:
    result = await changed(
        world,
        "printf '* -diff\\n*.py binary diff=x filter=x\\n' > .gitattributes; echo \"x = 1\" >> src/app.py;"
        " printf '[submodule \"sub\"]\\n\\tpath = sub\\n\\turl = https://host/x\\n\\tignore = all\\n' > .gitmodules;"
        " git add -A; git update-index --add --cacheinfo 160000,$(git rev-parse HEAD),sub; mkdir sub; git commit -qm x",
    )
    assert [file.path for file in result.files] == [".gitattributes", ".gitmodules", "src/app.py", "sub"]
    text = (await diff_text(world.mirror, result.base, result.head, 1_000_000)).text
    assert "Subproject commit" in text


async def test_has_change_compares_trees_not_commits(world: World) -> None:
    result = await changed(world, "git commit -q --allow-empty -m nothing")
    assert result.head != result.base
    assert not await has_change(world.mirror, result.base, result.head)
    other = world.somebody_pushes("other", "x", "x")
    await world.base()
    assert await has_change(world.mirror, result.base, other)


async def test_an_unknown_or_unfit_commit_is_named(world: World) -> None:
    base = await world.base()
    with pytest.raises(RefMissing):
        await has_change(world.mirror, base, "1" * 40)
    for ask in (has_change, diffstat, commits_of, format_patch):
        with pytest.raises(BadName):
            await ask(world.mirror, base, "--output=/tmp/x")


async def test_a_diff_for_people_shows_renames_and_is_cut_at_the_limit(world: World) -> None:
    result = await changed(world, "git mv src/app.py src/main.py; seq 1 10000 > numbers")
    whole = await diff_text(world.mirror, result.base, result.head, 1_000_000)
    assert "rename from src/app.py" in whole.text
    assert not whole.truncated
    part = await diff_text(world.mirror, result.base, result.head, 1_000)
    assert part.truncated
    assert len(part.text) <= 1_000
    assert part.text.endswith("\n")
    assert whole.text.startswith(part.text)


async def test_the_commits_tell_who_wrote_them(world: World) -> None:
    result = await changed(
        world,
        "echo x > x; git add x; export GIT_AUTHOR_NAME='Eve \\x1b[31m' GIT_AUTHOR_EMAIL=eve@evil.example;"
        " git commit -qm 'One: ü'; echo y > y",
    )
    one, two = await commits_of(world.mirror, result.base, result.head)
    assert (one.author_email, one.committer_email, one.subject, one.parents) == (
        "eve@evil.example",
        AGENT.email,
        "One: ü",
        1,
    )
    assert (two.commit, two.author_email) == (result.head, AGENT.email)


SCRIPT = (
    "echo one > one.txt; git add -A; git commit -qm 'Add one'; git commit -q --allow-empty -m 'Nothing';"
    " head -c 1000 /dev/urandom > bin; rm README; chmod +x src/app.py; git add -A; git commit -qm 'Two: ü';"
    " git mv src/app.py app.py; printf 'no newline' > n; git add -A; git commit -qm 'Three'"
)


async def test_a_mailbox_makes_the_same_files_and_is_the_same_bytes_every_time(world: World) -> None:
    result = await changed(world, SCRIPT)
    mailbox = await format_patch(world.mirror, result.base, result.head)
    assert mailbox == await format_patch(world.mirror, result.base, result.head)
    assert applied(world, result.base, mailbox) == host_git(
        world.root, f"--git-dir={world.mirror.path}", "rev-parse", f"{result.head}^{{tree}}"
    )
    assert host_git(world.work, "log", "--format=%s", "-3") == "Three\nTwo: ü\nAdd one"


async def test_each_commit_with_a_change_has_a_patch_of_its_own(world: World) -> None:
    result = await changed(world, SCRIPT)
    patches = await patches_of(world.mirror, result.base, result.head)
    assert [patch.subject for patch in patches] == ["Add one", "Two: ü", "Three"]
    assert all(patch.content.startswith(f"From {patch.commit} ".encode()) for patch in patches)
    applied(world, result.base, patches[0].content)
    assert host_git(world.work, "diff", "--name-only", result.base, "HEAD") == "one.txt"


SMUGGLED_DIFF = """---
diff --git a/evil b/evil
new file mode 100644
--- /dev/null
+++ b/evil
@@ -0,0 +1 @@
+evil
"""
SMUGGLED_MAIL = f"""From 0000000000000000000000000000000000000000 Mon Sep 17 00:00:00 2001
From: Eve <eve@evil.example>
Date: Mon, 17 Sep 2001 00:00:00 +0000
Subject: [PATCH] smuggled

{SMUGGLED_DIFF}--
"""


@pytest.mark.parametrize("smuggled", [SMUGGLED_DIFF, SMUGGLED_MAIL], ids=["diff", "mail"])
async def test_a_patch_hidden_in_a_message_never_reaches_whoever_applies_the_mailbox(
    world: World, smuggled: str
) -> None:
    result = await changed(world, f"echo x > x; git add x; git commit -q -F - <<'END'\ninnocent\n\n{smuggled}END")
    git_dir = f"--git-dir={world.mirror.path}"
    tree = host_git(world.root, git_dir, "rev-parse", f"{result.head}^{{tree}}")
    naive = host_git(world.root, git_dir, "format-patch", "--stdout", f"{result.base}..{result.head}")
    assert applied(world, result.base, naive.encode()) != tree, "the attack works on a plain mailbox"
    assert applied(world, result.base, await format_patch(world.mirror, result.base, result.head)) == tree


@pytest.mark.parametrize("named", ["From: Eve <eve@evil.example>", "[PATCH]\nfrom: Eve <eve@evil.example>"])
async def test_an_author_named_in_a_message_is_none_to_whoever_applies_the_mailbox(world: World, named: str) -> None:
    result = await changed(
        world, f"echo x > x; git add x; git commit -q -F - <<'END'\ninnocent\n\n{named}\n\nmore\nEND"
    )
    naive = host_git(
        world.root, f"--git-dir={world.mirror.path}", "format-patch", "--stdout", f"{result.base}..{result.head}"
    )
    applied(world, result.base, naive.encode())
    assert host_git(world.work, "log", "-1", "--format=%an") == "Eve", "the attack works on a plain mailbox"
    applied(world, result.base, await format_patch(world.mirror, result.base, result.head))
    assert host_git(world.work, "log", "-1", "--format=%an") != "Eve"


async def test_a_history_with_a_merge_becomes_one_patch(world: World) -> None:
    result = await changed(
        world,
        "git checkout -q -b side; echo s > s; git add s; git commit -qm s; git checkout -q -; echo x > x; git add x;"
        " git commit -qm x; git merge -q --no-edit side",
    )
    patches = await patches_of(world.mirror, result.base, result.head)
    assert [patch.subject for patch in patches] == ["Squash 3 commits"]
    tree = host_git(world.root, f"--git-dir={world.mirror.path}", "rev-parse", f"{result.head}^{{tree}}")
    assert applied(world, result.base, patches[0].content) == tree
    assert patches == await patches_of(world.mirror, result.base, result.head)


async def test_a_patch_of_nothing_is_empty(world: World) -> None:
    base = await world.base()
    assert await format_patch(world.mirror, base, base) == b""
    result = await changed(world, "git commit -q --allow-empty -m nothing")
    assert await patches_of(world.mirror, base, result.head) == ()


async def test_a_patch_over_the_limit_is_refused(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    result = await changed(world, "seq 1 100000 > numbers")
    monkeypatch.setattr("penstock_agent_exec.git.change.PATCH_BYTES_MAX", 10_000)
    with pytest.raises(TooBig, match="10000"):
        await format_patch(world.mirror, result.base, result.head)


async def test_a_squash_is_one_commit_on_the_branch_as_it_is_now_and_the_same_each_time(world: World) -> None:
    result = await changed(world, SCRIPT)
    onto = world.somebody_pushes("main", "theirs.txt", "x")
    await world.base()
    commit = await squash(world.mirror, onto, result.head, message="Do it\n\nAll of it.\n", identity=AGENT)
    assert commit == await squash(world.mirror, onto, result.head, message="Do it\n\nAll of it.\n", identity=AGENT)
    (only,) = await commits_of(world.mirror, onto, commit)
    assert (only.subject, only.author_email) == ("Do it", AGENT.email)
    files = [(f.path, f.status) for f in (await diffstat(world.mirror, onto, commit)).files]
    assert files == [(f.path, f.status) for f in result.files]
    assert TASK not in only.subject


async def test_a_squash_that_does_not_fit_any_more_names_the_files(world: World) -> None:
    result = await changed(world, "echo mine > README; echo x > x")
    onto = world.somebody_pushes("main", "README", "theirs\n")
    await world.base()
    with pytest.raises(Conflict, match=r"In README\.") as refused:
        await squash(world.mirror, onto, result.head, message="Do it", identity=AGENT)
    assert refused.value.error_class == "git.conflict"
