"""Given a clone whose every setting is a trap, nothing of it runs on the trusted side, and its files are taken all the same.

The canary lies outside of what the sandbox shows, so it can only appear by something that ran outside.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from adapters.git_world import AGENT, TASK, World, host_git, make_world

from penstock_agent_exec.git.bundle import carry, take_bundle
from penstock_agent_exec.git.change import commits_of, diff_text, diffstat, format_patch, has_change, squash
from penstock_agent_exec.git.clone import drop_clone
from penstock_agent_exec.git.command import Completed
from penstock_agent_exec.git.failures import BundleRefused, GitFailed
from penstock_agent_exec.git.heal import heal_clone
from penstock_agent_exec.git.mirror import maintain_mirror, task_ref, update_mirror
from penstock_agent_exec.git.publish import publish_branch
from penstock_agent_exec.git.work import commit_leftovers, keep_work, take_result

pytestmark = pytest.mark.anyio


@pytest.fixture
def world(tmp_path: Path) -> World:
    return make_world(tmp_path)


HOOKS = (
    "applypatch-msg commit-msg fsmonitor-watchman post-applypatch post-checkout post-commit post-index-change post-merge"
    " post-receive post-rewrite post-update pre-applypatch pre-auto-gc pre-commit pre-merge-commit pre-push pre-rebase"
    " pre-receive prepare-commit-msg proc-receive push-to-checkout reference-transaction sendemail-validate update"
)

# Each sets one trap; `$T` is a command that springs it, `set` puts a setting into the clone, `$PWD/.git/trap` is a program.
PRELUDE = 'set_() { git config --file .git/config "$@"; }; mkdir -p .git/info; P=$PWD/.git/trap;'
TRAPS = {
    "core.fsmonitor": 'set_ core.fsmonitor "$T"',
    "hooks": f"mkdir -p .git/hooks; for h in {HOOKS}; do cp $P .git/hooks/$h; done",
    "core.hooksPath": f'mkdir -p evil; for h in {HOOKS}; do cp $P evil/$h; done; set_ core.hooksPath "$PWD/evil"',
    "clean and smudge": (
        'set_ filter.x.clean "$T; cat"; set_ filter.x.smudge "$T; cat"; set_ filter.x.process "$T";'
        " echo '* filter=x' > .git/info/attributes; echo '* filter=x' > .gitattributes"
    ),
    "required filter": 'set_ filter.x.clean "$T; false"; set_ filter.x.required true; echo "* filter=x" > .gitattributes',
    "textconv": 'set_ diff.x.textconv "$T; cat"; set_ diff.x.cachetextconv true; echo "* diff=x" > .gitattributes',
    "diff driver": 'set_ diff.x.command "$T"; echo "* diff=x" > .gitattributes',
    "diff.external": 'set_ diff.external "$T"',
    "merge driver": 'set_ merge.x.driver "$T"; echo "* merge=x" > .gitattributes',
    "gpg.program": "set_ gpg.program $P; set_ commit.gpgSign true; set_ log.showSignature true",
    "core.sshCommand": 'set_ core.sshCommand "$T"; set_ remote.origin.url ssh://x/y',
    "core.gitProxy": "set_ core.gitProxy $P",
    "core.pager": 'set_ core.pager "$T"; set_ pager.log true; set_ core.askPass $P',
    "core.editor": 'set_ core.editor "$T"; set_ sequence.editor "$T"',
    "credential.helper": 'set_ credential.helper "!$T"',
    "url.insteadOf": 'set_ "url.ext::$P.insteadOf" /; set_ "url.ext::$P.pushInsteadOf" /',
    "protocol.ext.allow": "set_ protocol.allow always; set_ protocol.ext.allow always; set_ remote.origin.url 'ext::sh x'",
    "remote.uploadpack": 'set_ uploadpack.packObjectsHook $P; set_ remote.origin.uploadpack "$T; git-upload-pack"',
    "aliases": 'for a in status add commit bundle rev-parse read-tree write-tree update-ref; do set_ alias.$a "!$T"; done',
    "include.path": 'printf "[core]\\n\\tfsmonitor = $P\\n" > evil.config; set_ include.path "$PWD/evil.config"',
    "core.worktree": 'set_ core.worktree /; set_ core.fsmonitor "$T"',
    "core.bare": 'set_ core.bare true; set_ core.fsmonitor "$T"',
    "config.worktree": 'set_ extensions.worktreeConfig true; printf "[core]\\n\\tfsmonitor = $P\\n" > .git/config.worktree',
    "a bare repository in the tree": (
        "mkdir -p bare/objects bare/refs; printf 'ref: refs/heads/x\\n' > bare/HEAD; touch bare/objects/x bare/refs/x;"
        ' printf "[core]\\n\\tbare = false\\n\\tworktree = .\\n\\tfsmonitor = $P\\n" > bare/config'
    ),
    "a submodule with an update command": (
        'set_ submodule.x.update "!$T"; set_ submodule.x.url /;'
        ' printf "[submodule \\"x\\"]\\n\\tpath = x\\n\\turl = https://h/x\\n" > .gitmodules'
    ),
    "alternates elsewhere": "printf '/etc\\n/root\\n' >> .git/objects/info/alternates",
    "replace refs and grafts": "git replace HEAD HEAD^; git rev-parse HEAD > .git/info/grafts",
    "a shallow file": "git rev-parse HEAD > .git/shallow",
    "a promisor remote": (
        'set_ extensions.partialClone origin; set_ remote.origin.promisor true; set_ remote.origin.url "ext::$P"'
    ),
    "maintenance": 'set_ maintenance.auto true; set_ gc.auto 1; set_ gc.recentObjectsHook "$T"',
    "trailers and notes": 'set_ trailer.x.command "$T"; set_ trailer.x.cmd "$T"; set_ core.notesRef refs/notes/x',
    "trace files": "set_ trace2.normalTarget {canary}; set_ trace2.eventTarget {canary}",
}

# What may already be in the repo, committed and pushed by whoever may push there. `$C` is the canary's path.
COMMITTED = {
    "pointers of Git LFS": (
        "printf '*.bin filter=lfs diff=lfs merge=lfs -text\\n' > .gitattributes;"
        " printf 'version https://git-lfs.github.com/spec/v1\\noid sha256:%064d\\nsize 9\\n' 1 > big.bin;"
        ' printf "[lfs]\\n\\turl = ext::touch $C\\n[remote \\"origin\\"]\\n\\tlfsurl = ext::touch $C\\n" > .lfsconfig'
    ),
    "a submodule with an address that is a command": (
        'printf "[submodule \\"x\\"]\\n\\tpath = sub\\n\\turl = ext::touch $C\\n" > .gitmodules;'
        " git update-index --add --cacheinfo 160000,$(git rev-parse HEAD),sub"
    ),
    "links that lead out": "ln -s /etc/passwd secret; ln -s ../../../.. up; ln -s .git/config settings; ln -s / root",
    "names that read like options": (
        "touch -- --output=x -rf --upload-pack=x '-c core.fsmonitor=x' --; mkdir -- --git-dir=x; touch -- --git-dir=x/-"
    ),
    "names that a shell would run": "touch \"\\$(touch $(basename $C))\" '`id`' 'a;id' 'a|id' '* ? [x]' '&' '\"' \"'\"",
    "names with every odd byte": (
        "touch \"$(printf 'new\\nline')\" \"$(printf 'tab\\t')\" \"$(printf 'esc\\033[31m')\" \"$(printf '\\377\\376')\" ' ' 'x '"
        " 'x.' $(printf 'n%.0s' $(seq 250)) ':(exclude)*' ':!x' '!x' '#x'"
    ),
    "names that look alike": "mkdir up UP; touch up/x UP/x readme ReadMe; touch .GITIGNORE '.gıt' 'Å' 'Å'",
    "a huge file": "head -c 48000000 /dev/zero > zeros; head -c 3000000 /dev/urandom > chance",
    "folders in folders": "d=$(printf 'd/%.0s' $(seq 120)); mkdir -p $d; touch $d/x",
    "attributes that hide and expand": (
        "printf '* ident export-subst export-ignore -diff -merge linguist-generated whitespace=cr-at-eol\\n' > .gitattributes;"
        " echo '$Id$ $Format:%H$' > id"
    ),
    "a repository for whoever steps into it": (
        "mkdir -p bare/objects bare/refs; printf 'ref: refs/heads/x\\n' > bare/HEAD; touch bare/objects/x bare/refs/x;"
        ' printf "[core]\\n\\tbare = false\\n\\tworktree = .\\n\\tfsmonitor = touch $C\\n" > bare/config'
    ),
}

REPLACED = {
    "a file": "mv .git /tmp/g; echo 'gitdir: {host}' > .git",
    "a link to the host": "mv .git /tmp/g; ln -s {host} .git",
    "a link inside": "mv .git moved; ln -s moved .git",
    "a bare repository": "mv .git /tmp/g; git init -q --bare .git",
    "commondir elsewhere": "echo {host} > .git/commondir",
    "objects elsewhere": "rm -r .git/objects; ln -s {host}/objects .git/objects",
    "refs elsewhere": "rm -r .git/refs; ln -s {host}/refs .git/refs",
    "HEAD as a link": "rm .git/HEAD; ln -s {host}/HEAD .git/HEAD",
    "settings as a link": "rm .git/config; ln -s {host}/config .git/config",
}


def evil_repository(world: World) -> Path:
    """A repository on the host that the agent points to; it must never be used."""
    host = world.root / "host"
    host.mkdir()
    host_git(host, "init", "-q")
    host_git(host, "config", "core.fsmonitor", f"touch {world.root}/canary")
    return host / ".git"


async def through_everything(world: World, script: str) -> list[str]:
    """All that the trusted side does with a task, on a clone that `script` has prepared. The paths that came out."""
    canary = world.root / "canary"
    clone = await world.clone()
    spring = f"touch {canary} .git/sprung 2>/dev/null; true"
    trap = clone.git_dir / "trap"
    trap.write_text(f"#!/bin/sh\n{spring}\n")
    trap.chmod(0o755)
    filled = script.replace("{canary}", str(canary)).replace("{host}", str(world.root / "host" / ".git"))
    await world.agent(clone, f"{PRELUDE} T={shlex.quote(spring)}; echo new > a.new; echo more >> README; {filled}")
    await heal_clone(clone, world.sandbox)
    await keep_work(clone, world.mirror, 1, world.sandbox)
    await commit_leftovers(clone, world.sandbox)
    result = await take_result(clone, world.mirror, world.sandbox)
    await world.clone()  # asked again, as after a restart
    assert await has_change(world.mirror, result.base, result.head)
    await diff_text(world.mirror, result.base, result.head, 1_000_000)
    await format_patch(world.mirror, result.base, result.head)
    await commits_of(world.mirror, result.base, result.head)
    await squash(world.mirror, result.base, result.head, message="x", identity=AGENT)
    await publish_branch(world.mirror, world.remote, f"agent/{TASK}", result.head, expected=None)
    await update_mirror(world.mirror, world.remote)
    await maintain_mirror(world.mirror)
    assert await diffstat(world.mirror, result.base, result.head) == result
    await drop_clone(world.data, TASK)
    return [file.path for file in result.files]


@pytest.mark.parametrize("trap", TRAPS)
async def test_a_trap_in_the_clone_springs_nowhere_outside_and_the_work_is_taken(world: World, trap: str) -> None:
    paths = await through_everything(world, TRAPS[trap])
    assert not (world.root / "canary").exists()
    assert {"README", "a.new"} <= set(paths)


@pytest.mark.parametrize("what", COMMITTED)
async def test_what_a_repo_already_holds_runs_nothing_and_stays_as_it_is(world: World, what: str) -> None:
    script = f"set -eu; C={shlex.quote(str(world.root / 'canary'))}; {COMMITTED[what]}"
    subprocess.run(["bash", "-c", script], cwd=world.work, check=True, env={"PATH": os.environ["PATH"]}, timeout=600)
    host_git(world.work, "add", "-A")
    host_git(world.work, "commit", "-q", "-m", "Odd things")
    host_git(world.work, "push", "-q", "origin", "main")
    paths = await through_everything(world, ":")
    assert not (world.root / "canary").exists()
    assert set(paths) == {"README", "a.new"}


async def test_a_repo_with_a_submodule_that_git_would_not_take_is_refused_by_the_defects_name(world: World) -> None:
    """Forges refuse such a push, too."""
    (world.work / ".gitmodules").write_text('[submodule "x"]\n\tpath = sub\n\turl = /x\n\tupdate = !id\n')
    host_git(world.work, "add", "-A")
    host_git(world.work, "commit", "-q", "-m", "A submodule")
    host_git(world.work, "push", "-q", "origin", "main")
    with pytest.raises(BundleRefused, match="gitmodulesUpdate"):
        await through_everything(world, ":")


@pytest.mark.parametrize("how", REPLACED)
async def test_a_git_folder_that_leads_elsewhere_is_not_followed_and_the_work_is_taken(world: World, how: str) -> None:
    host = evil_repository(world)
    before = sorted((str(path), path.lstat().st_mtime_ns) for path in host.rglob("*"))
    paths = await through_everything(world, REPLACED[how])
    assert not (world.root / "canary").exists()
    assert {"README", "a.new"} <= set(paths)
    assert sorted((str(path), path.lstat().st_mtime_ns) for path in host.rglob("*")) == before


@pytest.mark.parametrize(
    "trap", ["core.fsmonitor", "clean and smudge", "textconv", "diff.external", "include.path", "config.worktree"]
)
async def test_the_traps_are_live_plain_git_on_the_host_springs_them(world: World, trap: str) -> None:
    """The control: were the trusted side to run git in the clone, the canary would be there."""
    clone = await world.clone()
    spring = f"touch {world.root}/canary; true"
    (clone.git_dir / "trap").write_text(f"#!/bin/sh\n{spring}\n")
    (clone.git_dir / "trap").chmod(0o755)
    await world.agent(clone, f"{PRELUDE} T={shlex.quote(spring)}; echo new > a.new; echo x >> README; {TRAPS[trap]}")
    for command in (("status",), ("diff", "HEAD"), ("add", "-A")):
        try:
            host_git(clone.path, *command)
        except AssertionError:
            continue
    assert (world.root / "canary").exists()


async def test_no_git_but_the_sandboxes_ever_had_the_clone_as_its_place(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wrapper on the trusted side's PATH writes down every git call with its folder; none of them names the clone."""
    log, programs = world.root / "calls", world.root / "bin"
    programs.mkdir()
    wrapper = programs / "git"
    wrapper.write_text(f'#!/bin/sh\necho "$PWD $*" >> {log}\nexec /usr/bin/git "$@"\n')
    wrapper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    await through_everything(world, ":")
    lines = log.read_text().splitlines()
    assert len(lines) > 20
    assert [line for line in lines if "/tasks/" in line] == []
    inside = [call for call in world.sandbox.calls if call[0] == "git"]
    assert len(inside) > 10


SWAPPED = {
    "a link to somebody else's bundle": ("ln -s {theirs} {file}", "not where git has written it"),
    "a link to a device": ("ln -s /dev/zero {file}", "not where git has written it"),
    "a pipe": ("mkfifo {file}", "not a plain file"),
    "a folder": ("mkdir {file}", "not a plain file"),
    "nothing": ("true", "not where git has written it"),
    "a folder that is a link": ("mv .git moved; ln -s moved .git", "not where git has written it"),
}


@pytest.mark.parametrize("how", SWAPPED)
async def test_a_bundle_swapped_for_something_else_is_not_read(world: World, how: str) -> None:
    clone = await world.clone()
    await world.agent(clone, "echo x > x; git add x; git commit -qm x")
    file, theirs = clone.git_dir / "penstock.bundle", world.root / "theirs.bundle"
    swap, said = SWAPPED[how]

    async def swapping(argv: Sequence[str], *, cwd: str, env: Mapping[str, str], timeout_seconds: float) -> Completed:
        """The sandbox, with an agent alive in it that acts right after git has written the bundle."""
        done = await world.sandbox(argv, cwd=cwd, env=env, timeout_seconds=timeout_seconds)
        if "bundle" in argv:
            theirs.write_bytes(file.read_bytes())
            keep = "" if how == "a folder that is a link" else f"rm {file};"
            await world.agent(clone, keep + swap.format(theirs=theirs, file=file))
        return done

    with pytest.raises(BundleRefused, match=said):
        await carry(clone, world.mirror, swapping, ref=f"refs/heads/{clone.branch}", into=task_ref(TASK))
    assert "penstock" not in host_git(world.root, f"--git-dir={world.mirror.path}", "for-each-ref")


async def test_a_bundle_that_asks_for_missing_objects_to_be_fetched_is_refused(world: World) -> None:
    """A partial bundle says that its missing objects can be had from a promisor; here nobody promises anything."""
    clone = await world.clone()
    await world.agent(
        clone,
        "echo x > x; git add x; git commit -qm x; git config uploadpack.allowFilter true;"
        " git bundle create -q out --filter=blob:none HEAD^..HEAD HEAD",
    )
    with pytest.raises(GitFailed):
        await take_bundle(world.mirror, clone.path / "out", ref="HEAD", into=task_ref(TASK), base=clone.base)
    assert "penstock" not in host_git(world.root, f"--git-dir={world.mirror.path}", "for-each-ref")


def test_there_are_more_than_twenty_five_ways_and_the_reference_names_each() -> None:
    text = (Path(__file__).parents[2] / "docs" / "reference" / "git.md").read_text()
    named = [cell.strip() for cell in re.findall(r"^\| (.+?) \|", text, re.MULTILINE)]
    ways = [*TRAPS, *REPLACED, *COMMITTED, *SWAPPED]
    assert len(ways) > 50
    assert [way for way in ways if way not in named] == []
