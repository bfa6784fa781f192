"""Given a name that somebody typed, it reaches git only if it can be nothing but a name."""

from __future__ import annotations

import re
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock_agent_exec.git.failures import BadName
from penstock_agent_exec.git.names import (
    Identity,
    check_branch,
    check_commit,
    check_identity,
    check_remote,
    check_repo,
    check_task,
)

GOOD_REMOTES = {
    "https://github.com/owner/repo.git": ("https", "github.com"),
    "https://git.example.com:8443/group/sub.group/repo": ("https", "git.example.com:8443"),
    "https://dev.azure.com/org/My%20Project/_git/repo": ("https", "dev.azure.com"),
    "https://[2001:db8::1]:444/repo.git": ("https", "[2001:db8::1]:444"),
    "https://127.0.0.1/repo/": ("https", "127.0.0.1"),
    "ssh://git@github.com/owner/repo.git": ("ssh", "github.com"),
    "ssh://git.example.com:2222/~user/repo.git": ("ssh", "git.example.com:2222"),
    "git@github.com:owner/repo.git": ("ssh", "github.com"),
    "github.com:owner/repo.git": ("ssh", "github.com"),
    "git@host:/srv/git/repo.git": ("ssh", "host"),
}

BAD_REMOTES = [
    "",
    " ",
    "x" * 1_001,
    "repo.git",
    "./repo.git",
    "../repo.git",
    "owner/repo",
    "C:\\repo",
    "C:/repo",
    "-oProxyCommand=touch /tmp/x",
    "--upload-pack=touch /tmp/x",
    "-u./run",
    "ext::sh -c touch% /tmp/x",
    "ext::ssh -t user@host git-upload-pack",
    "EXT::sh",
    "fd::17",
    "fd::17,18/x",
    "::sh",
    "https::https://github.com/o/r",
    "transport-helper::address",
    "http://github.com/owner/repo.git",
    "HTTPS://github.com/owner/repo.git",
    "git://github.com/owner/repo.git",
    "ftp://host/repo",
    "ftps://host/repo",
    "rsync://host/repo",
    "git+ssh://host/repo",
    "ssh+git://host/repo",
    "javascript://host/repo",
    "https://",
    "https:///repo",
    "https://host",
    "https://host/",
    "https://host//repo",
    "https://host/../repo",
    "https://host/./repo",
    "https://host/%2e%2e/repo",
    "https://host/a%2fb",
    "https://host/a%00b",
    "https://host/a%0ab",
    "https://host/a%5cb",
    "https://host/a%25b",
    "https://host/a%zz",
    "https://host/-oops",
    "https://host/%2doops",
    "https://host/repo?token=1",
    "https://host/repo#main",
    "https://host/repo git",
    "https://host/repo\n",
    "https://host/repo\r\nHost: evil",
    "https://host/repo\x00",
    "https://host/repo\x1b[31m",
    "https://host/$(id)",
    "https://host/`id`",
    "https://host/a;id",
    "https://host/a|id",
    "https://host/a&id",
    "https://host/'a'",
    'https://host/"a"',
    "https://host/a\\b",
    "https://-host/repo",
    "https://host-/repo",
    "https://ho_st/repo",
    "https://.host/repo",
    "https://host..com/repo",
    "https://host:0/repo",
    "https://host:65536/repo",
    "https://host:port/repo",
    "https://host:/repo",
    "https://[::1/repo",
    "https://[::g]/repo",
    "https://[fe80::1%25eth0]/repo",
    "https://[::1]x/repo",
    "https://gіthub.com/owner/repo",  # a Cyrillic i
    "https://github.com/owner/\u202erepo",
    "https://github.com/owner/re\u200bpo",
    "https://user@host/repo",
    "https://user:secret@host/repo",
    "https://:secret@host/repo",
    "https://x-access-token:ghp_secret@github.com/owner/repo",
    "https://github.com@evil.com/repo",
    "https://evil.com\\@github.com/repo",
    "ssh://git:secret@host/repo",
    "ssh://-oProxyCommand=id/repo",
    "ssh://-oProxyCommand=id@host/repo",
    "ssh://git@-oProxyCommand=id/repo",
    "ssh://host:-1/repo",
    "ssh://$(id)@host/repo",
    "git@-oProxyCommand=id:repo",
    "-git@host:repo",
    "git@host:-oProxyCommand",
    "git@host:",
    "git@host:../repo",
    "git:secret@host:repo",
    "@host:repo",
    "/srv/git/repo.git",
    "file:///srv/git/repo.git",
    "file://host/repo.git",
]

BAD_LOCAL = [
    "relative/repo",
    "~/repo",
    "file://repo",
    "file:repo",
    "file:/srv/repo",
    "file:////srv/repo",
    "//srv/repo",
    "/srv/../etc",
    "/srv/./repo",
    "/srv//repo",
    "/",
    "/srv/%2e%2e/repo",
    "/srv/-upload-pack",
    "/srv/re\npo",
    "/srv/re\x00po",
    "file:///srv/../etc",
]

GOOD_BRANCHES = ["main", "agent/01h", "release-1.2_x", "a", "feature/a/b/c", "x" * 101, "0", "v1.2.3", "HEAD2", "A.b"]

BAD_BRANCHES = [
    "",
    " ",
    "-main",
    "--upload-pack=id",
    "--output=/tmp/x",
    "/main",
    "main/",
    "a//b",
    "a/./b",
    "a/../b",
    "a..b",
    ".main",
    "a/.b",
    "main.",
    "a./b",
    "main.lock",
    "a.lock/b",
    "HEAD",
    "refs/heads/main",
    "a b",
    "a\tb",
    "a\nb",
    "main\n",
    "a\x00b",
    "a\x1b[0mb",
    "a~1",
    "a^",
    "a:b",
    "+main",
    "a?b",
    "a*b",
    "a[b",
    "a\\b",
    "a@{1}",
    "@",
    "a;id",
    "a$(id)",
    "a`id`",
    "a|b",
    "a&b",
    "a'b",
    'a"b',
    "a<b",
    "a(b)",
    "a#b",
    "a%b",
    "a,b",
    "a=b",
    "ä",
    "mаin",  # a Cyrillic a
    "a\u202eb",
    "x" * 102,
    "0" * 40,
    "a1" * 32,
]

BAD_IDS = [
    "",
    "short",
    "x" * 41,
    "../../etc/passwd0",
    "01HZZZZZZZZZZZZZZZZZ",
    "task-with-dashes-00",
    "a" * 15,
    "b" * 20 + "\n",
]
BAD_REPOS = ["", ".", "..", "a.b", "a/b", "-a", "_a", "A", "a b", "a\n", "a\x00", "x" * 64, "ä", "CON.git"]
BAD_COMMITS = ["", "HEAD", "main", "a" * 39, "a" * 41, "A" * 40, "g" * 40, "-" + "a" * 39, "a" * 40 + "\n", "a" * 63]


@pytest.mark.parametrize(("address", "said"), GOOD_REMOTES.items())
def test_an_ordinary_address_is_taken_as_it_is(address: str, said: tuple[str, str]) -> None:
    remote = check_remote(address, allow_local=False)
    assert (remote.url, remote.protocol, remote.host) == (address, *said)


@pytest.mark.parametrize("address", BAD_REMOTES)
def test_an_address_that_could_be_more_than_an_address_is_refused(address: str) -> None:
    with pytest.raises(BadName) as refused:
        check_remote(address, allow_local=False, field="clone_url")
    assert "clone_url: " in str(refused.value)
    assert refused.value.error_class == "git.bad_name"
    assert not refused.value.transient


@pytest.mark.parametrize("address", BAD_LOCAL)
def test_a_path_that_is_not_plain_and_absolute_is_refused_even_where_paths_are_allowed(address: str) -> None:
    with pytest.raises(BadName):
        check_remote(address, allow_local=True)


def test_a_plain_path_is_taken_only_where_paths_are_allowed() -> None:
    assert check_remote("/srv/My Repos/ä.git", allow_local=True).url == "/srv/My Repos/ä.git"
    assert check_remote("file:///srv/repo.git", allow_local=True).url == "/srv/repo.git"
    with pytest.raises(BadName, match="not allowed for this repo"):
        check_remote("/srv/repo.git", allow_local=False)


def test_a_refused_address_says_what_would_be_right_and_never_repeats_the_password() -> None:
    with pytest.raises(BadName, match="use a secret reference") as refused:
        check_remote("https://me:hunter2@host/repo", allow_local=False)
    assert "hunter2" not in str(refused.value)
    with pytest.raises(BadName, match="makes git run a helper program"):
        check_remote("ext::sh -c id", allow_local=True)
    with pytest.raises(BadName, match="git would read as an option"):
        check_remote("--upload-pack=id", allow_local=True)
    with pytest.raises(BadName, match=r"right would be https://host/owner/repo\.git"):
        check_remote("http://host/repo", allow_local=False)


@pytest.mark.parametrize("branch", GOOD_BRANCHES)
def test_an_ordinary_branch_is_taken_and_git_agrees(branch: str) -> None:
    assert check_branch(branch) == branch
    assert subprocess.run(["git", "check-ref-format", f"refs/heads/{branch}"], check=False).returncode == 0


@pytest.mark.parametrize("branch", BAD_BRANCHES)
def test_a_branch_that_could_be_more_than_a_name_is_refused(branch: str) -> None:
    with pytest.raises(BadName, match=r"default_branch: .*right would be"):
        check_branch(branch, "default_branch")


@pytest.mark.parametrize("task", BAD_IDS)
def test_a_task_that_would_leave_its_folder_is_refused(task: str) -> None:
    with pytest.raises(BadName, match="task: "):
        check_task(task)


@pytest.mark.parametrize("repo", BAD_REPOS)
def test_a_repo_that_would_leave_its_folder_is_refused(repo: str) -> None:
    with pytest.raises(BadName, match="repo: "):
        check_repo(repo)


@pytest.mark.parametrize("commit", BAD_COMMITS)
def test_only_a_full_commit_id_is_a_commit(commit: str) -> None:
    with pytest.raises(BadName, match="commit: "):
        check_commit(commit)


@pytest.mark.parametrize(
    "identity",
    [
        Identity("", "a@b.c"),
        Identity("A\nB", "a@b.c"),
        Identity('A"\n[core]\n\tfsmonitor = id', "a@b.c"),
        Identity('A"', "a@b.c"),
        Identity("A <a@b.c>", "a@b.c"),
        Identity("A", "a"),
        Identity("A", "a@b\n[core]"),
        Identity("A", ""),
    ],
)
def test_an_identity_cannot_break_out_of_a_header_or_a_setting(identity: Identity) -> None:
    with pytest.raises(BadName, match="identity"):
        check_identity(identity)


@settings(deadline=None, database=None)
@given(st.text(max_size=40) | st.from_regex(r"(https|ssh|file|ext|fd)?:?:?/{0,3}[-a-z@:./%~]{0,30}", fullmatch=True))
def test_whatever_is_accepted_begins_with_a_protocol_we_speak_and_hides_nothing(address: str) -> None:
    try:
        remote = check_remote(address, allow_local=True)
    except BadName:
        return
    assert remote.url.isprintable()
    assert not remote.url.startswith("-")
    assert not re.match(r"[A-Za-z0-9+.-]*::", remote.url), "git runs a helper for this"
    beginning = {"https": "https://", "ssh": "", "file": "/"}[remote.protocol]
    assert remote.url.startswith(beginning)


@settings(deadline=None, database=None)
@given(st.text(alphabet="aA0._/-@{}~^: \n", max_size=12))
def test_whatever_branch_is_accepted_git_accepts_too(branch: str) -> None:
    try:
        check_branch(branch)
    except BadName:
        return
    assert subprocess.run(["git", "check-ref-format", f"refs/heads/{branch}"], check=False).returncode == 0
