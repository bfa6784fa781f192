"""Given what an agent has committed, when the change is looked at before it is handed over, what speaks against it is said."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
import pytest
from adapters.git_world import AGENT, World, make_world
from secrets_of_all_kinds import secrets_of_all_kinds

from penstock.values import Finding, Preflight
from penstock_agent_exec.git import change
from penstock_agent_exec.git.command import Completed, run
from penstock_agent_exec.git.names import Identity
from penstock_agent_exec.git.work import commit_leftovers, take_result
from penstock_agent_exec.preflight.look import Change, in_words, let_pass, look_at, speaking_against
from penstock_agent_exec.preflight.scanner import Scanner, installed
from penstock_agent_exec.redact import NOTHING_KNOWN, Redactor

pytestmark = pytest.mark.anyio

USUAL = Preflight()


@pytest.fixture
def world(tmp_path: Path) -> World:
    return make_world(tmp_path)


async def looked(
    world: World,
    script: str,
    *,
    files: dict[str, bytes] | None = None,
    rules: Preflight = USUAL,
    scope: tuple[str, ...] = (),
    author: Identity = AGENT,
    redactor: Redactor = NOTHING_KNOWN,
    scanner: Scanner | None = None,
) -> tuple[Finding, ...]:
    clone = await world.clone()
    for name, content in (files or {}).items():
        (clone.path / name).parent.mkdir(parents=True, exist_ok=True)
        (clone.path / name).write_bytes(content)
    await world.agent(clone, script)
    await commit_leftovers(clone, world.sandbox)
    result = await take_result(clone, world.mirror, world.sandbox)
    assert result.head != result.base
    scratch = world.root / "scratch"
    scratch.mkdir(exist_ok=True)
    return await look_at(
        Change(
            mirror=world.mirror,
            base=result.base,
            head=result.head,
            known=None,
            author=author,
            rules=rules,
            scope=scope,
            redactor=redactor,
            scanner=scanner,
            scratch=scratch,
        )
    )


def said(findings: tuple[Finding, ...]) -> list[tuple[str, str, str, int | None]]:
    return [(one.rule, one.severity, one.file, one.line) for one in findings]


async def test_an_honest_change_is_let_pass_without_a_word(world: World) -> None:
    assert await looked(world, "echo 'print(1)' >> src/app.py && git add -A && git commit -qm 'Print more'") == ()


async def test_fifty_planted_secrets_are_each_found_with_file_line_and_rule_and_none_is_shown(world: World) -> None:
    planted = secrets_of_all_kinds()
    assert len(planted) == 50
    files: dict[str, bytes] = {}
    for number, one in enumerate(planted):
        files[f"planted/{number}/{one.file}"] = b"first\n\n" + one.line.encode() + b"\nlast\n"
    findings = await looked(world, "git add -f -A && git commit -qm 'Plant'", files=files)
    found = {one.file: one for one in findings if one.rule == "secret"}
    missed = [one.kind for number, one in enumerate(planted) if f"planted/{number}/{one.file}" not in found]
    assert missed == []
    assert all(one.line == 3 and one.severity == "hard" and one.can_do for one in found.values())
    told = repr(findings) + in_words(findings)
    assert [one.kind for one in planted if one.secret in told or one.secret[4:20] in told] == []


HARMLESS = """\
password = os.environ["DB_PASSWORD"]
api_key: ${API_KEY}
token = get_token(user)
PASSWORD = "changeme"
password: "your-password-here"
client_secret = settings.client_secret
secret_name: "my-app-secret"
tokenizer = "bert-base-uncased-v2"
password_field = "password"
API_KEY = "xxxxxxxxxxxxxxxxxxxxxxxx"
const token = process.env.GITHUB_TOKEN;
access_key = "AKIAIOSFODNN7EXAMPLE"
url = "postgres://user:password@localhost/db"
token = "<your token>"
sha256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
integrity = "sha512-9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
passwordResetUrl = "/account/reset"
max_tokens = "4096-per-request"
"""


async def test_placeholders_names_and_digests_are_no_secrets(world: World) -> None:
    files = {f"docs/sample{suffix}": HARMLESS.encode() for suffix in (".py", ".yaml", ".txt", ".js")}
    assert said(await looked(world, "true", files=files)) == []


async def test_a_secret_that_a_later_commit_takes_out_again_is_pushed_with_it_and_so_is_found(world: World) -> None:
    one = secrets_of_all_kinds()[0]
    script = "git add -A && git commit -qm 'In' && rm key.py && git commit -qam 'Out again' && echo x > done.txt"
    findings = await looked(world, script, files={"key.py": one.line.encode()})
    assert said(findings) == [("secret", "hard", "key.py", 1)]


async def test_secrets_in_messages_and_names_are_found_and_those_of_the_host_in_any_form(world: World) -> None:
    token = secrets_of_all_kinds()[12].secret
    known = Redactor({"forge_token": "a-word-that-only-the-host-knows"})
    script = (
        f"echo x > a && git add a && git commit -qm 'Use {token}' && echo x > {token}.txt"
        " && printf %s a-word-that-only-the-host-knows | base64 -w0 > encoded"
    )
    findings = await looked(world, script, redactor=known)
    assert {(one.rule, one.severity, one.line) for one in findings if one.rule == "secret"} == {
        ("secret", "hard", None),
        ("secret", "hard", 1),
    }
    assert len([one for one in findings if one.rule == "secret"]) == 3
    assert token not in repr(findings)
    assert "forge_token" in repr(findings)


async def test_a_password_is_found_at_the_end_of_any_line_and_behind_any_beginning(world: World) -> None:
    given = b"DB_PASSWORD=kX9vQ2mZ7pLw"
    files = {
        "crlf.env.txt": given + b"\r\n",
        "config/settings.ini": b"\xef\xbb\xbf" + given + b"\n",
        "long.json": b'{"password":"kX9vQ2mZ7pLw","x":"' + b"y " * 6_000 + b'"}\n',
    }
    files = {"crlf/settings.ini": files.pop("crlf.env.txt")} | files
    findings = await looked(world, "true", files=files)
    assert {one.file for one in findings if one.rule == "secret"} == set(files)


async def test_no_number_of_made_up_secrets_leaves_out_one_that_is_not(world: World) -> None:
    line = secrets_of_all_kinds()[0].line.encode()
    files = {"a/fixtures/keys.py": (line + b"\n") * 120, "src/key.py": line}
    findings = await looked(world, "true", files=files, rules=Preflight(fixtures=("a/fixtures",)))
    assert [one.file for one in speaking_against(findings)] == ["src/key.py"]


async def test_made_up_secrets_of_fixtures_are_said_and_let_pass(world: World) -> None:
    one = secrets_of_all_kinds()[0]
    files = {"tests/fixtures/keys.py": one.line.encode()}
    findings = await looked(world, "true", files=files, rules=Preflight(fixtures=("tests/fixtures",)))
    assert said(findings) == [("secret", "flagged", "tests/fixtures/keys.py", 1)]
    assert speaking_against(findings) == ()


@pytest.mark.parametrize(
    ("script", "finding"),
    [
        ("head -c 2000001 /dev/urandom > big.bin", ("size", "hard", "big.bin", None)),
        ("head -c 2000001 /dev/zero > b && git add b && git commit -qm b && git rm -q b && echo x > y",
         ("size", "hard", "b", None)),
        ("ln -s /etc/passwd link", ("symlink", "hard", "link", None)),
        ("ln -s ../../outside src/link", ("symlink", "hard", "src/link", None)),
        ("ln -s ../.git/config src/link", ("symlink", "hard", "src/link", None)),
        ("mkdir -p d/d/d && ln -s ../../.. d/d/d/up && git add -A && git commit -qm up && ln -s d/d/d/up/../../etc/passwd evil",
         ("symlink", "hard", "evil", None)),
        ("e=$(git mktree </dev/null) && git ls-tree HEAD > .git/was"
         " && t=$(printf '040000 tree %s\\tnothing-to-see\\n' $e | cat - .git/was | git mktree)"
         " && git update-ref HEAD $(git commit-tree $t -p HEAD -m 'See nothing') && echo x >> src/app.py",
         ("path", "hard", "nothing-to-see", None)),
        ("echo A=1 > .env", ("forbidden_file", "hard", ".env", None)),
        ("mkdir a && echo x > a/.env.production", ("forbidden_file", "hard", "a/.env.production", None)),
        ("echo '{}' > credentials.json", ("forbidden_file", "hard", "credentials.json", None)),
        ("echo x > src/id_rsa", ("forbidden_file", "hard", "src/id_rsa", None)),
        ("echo x > server.PEM", ("forbidden_file", "hard", "server.PEM", None)),
        ("mkdir .ssh && echo x > .ssh/work", ("forbidden_file", "hard", ".ssh/work", None)),
        ("git update-index --add --cacheinfo 160000,$(git rev-parse HEAD),lib && git commit -qm sub && echo x > y",
         ("submodule", "hard", "lib", None)),
        ("mkdir -p .github/workflows && echo 'on: push' > .github/workflows/ci.yml",
         ("workflow", "flagged", ".github/workflows/ci.yml", None)),
        ("echo 'a: b' > .gitlab-ci.yml", ("workflow", "flagged", ".gitlab-ci.yml", None)),
        ("echo x > \"$(printf 'src/a\\342\\200\\256b.py')\"", ("path", "hard", "src/a\\u202eb.py", None)),
        ("echo x > \"$(printf 'a\\033[2Jb')\"", ("path", "hard", "a\\x1b[2Jb", None)),
        ("echo x > ./-rf", ("odd_name", "flagged", "-rf", None)),
        ("echo x > nul.txt", ("odd_name", "flagged", "nul.txt", None)),
        ("echo x > readme", ("odd_name", "flagged", "readme", None)),
        ("echo x > run.sh && chmod +x run.sh", ("mode", "flagged", "run.sh", None)),
        ("echo '{}' > package-lock.json", ("lock_file", "flagged", "package-lock.json", None)),
        ("mkdir -p node_modules/x && echo 1 > node_modules/x/index.js",
         ("generated", "flagged", "node_modules/x/index.js", None)),
        ("echo '*.py -diff' > .gitattributes", ("attributes", "flagged", ".gitattributes", None)),
        ("mkdir .claude && echo '{}' > .claude/settings.json",
         ("runs_by_itself", "flagged", ".claude/settings.json", None)),
        ("printf 'a\\n<<<<<<< HEAD\\nb\\n=======\\nc\\n>>>>>>> theirs\\n' > src/app.py",
         ("conflict", "recoverable", "src/app.py", 2)),
    ],
)  # fmt: skip
async def test_each_of_these_is_blocked_or_flagged_with_file_line_and_rule(
    world: World, script: str, finding: tuple[str, str, str, int | None]
) -> None:
    files = {"README": b"hello\nyou\n"} if finding[2] == "readme" else {}
    findings = await looked(world, script, files=files)
    assert said(findings) == [finding]
    assert findings[0].message
    assert findings[0].can_do


@pytest.mark.parametrize(
    "words", ["Add it [skip ci]", "Add it\n\n[CI skip]", "Add it\n\n\nskip-checks: true", "***NO_CI***"]
)
async def test_a_message_that_keeps_the_forges_checks_from_running_is_said_or_blocks(world: World, words: str) -> None:
    findings = await looked(world, f"echo x > a && git add a && git commit -q -m '{words}'")
    assert said(findings) == [("workflow", "flagged", "", None)]
    assert "checks" in findings[0].message
    assert said(await looked(world, "true", rules=Preflight(workflows="block"))) == [("workflow", "hard", "", None)]
    assert await looked(world, "true", rules=Preflight(workflows="allow")) == ()


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be", "utf-32"])
async def test_a_secret_is_found_in_whatever_width_its_letters_have(world: World, encoding: str) -> None:
    shaped, given = secrets_of_all_kinds()[0].line, "DB_PASSWORD=kX9vQ2mZ7pLw"
    known = Redactor({"forge_token": "a-word-that-only-the-host-knows"})
    text = f"{given}\r\nfirst\n{shaped}\nit is a-word-that-only-the-host-knows\n"
    findings = await looked(world, "true", files={"notes/settings.ini": text.encode(encoding)}, redactor=known)
    assert [one.line for one in findings if one.rule == "secret"] == [1, 3, 4]


async def test_a_password_in_a_line_of_code_that_stands_in_json_is_found(world: World) -> None:
    lines = ["x = 1\n", 'DB_PASSWORD = "kX9vQ2mZ7pLw"\n', 'settings = {"api_key": "q8Zt4LmW0pXv7RyB"}\n']
    notebook = msgspec.json.format(msgspec.json.encode({"cells": [{"cell_type": "code", "source": lines}]}))
    findings = await looked(world, "true", files={"look.ipynb": notebook})
    assert [one.line for one in findings if one.rule == "secret"] == [7, 8]


async def test_examples_public_keys_and_files_that_go_away_are_nothing_to_speak_of(world: World) -> None:
    world.somebody_pushes("main", ".env", "A=1\n")
    assert await looked(world, "git rm -q .env && echo A= > .env.example && echo x > id_rsa.pub") == ()


async def test_a_link_within_the_tree_is_fine(world: World) -> None:
    assert await looked(world, "ln -s ../README src/readme-link && ln -s src/app.py app") == ()


async def test_a_change_of_the_forges_automation_is_blocked_where_the_repo_says_so_and_a_person_lets_it_pass(
    world: World,
) -> None:
    script = "mkdir -p .github/workflows && echo 'on: push' > .github/workflows/ci.yml"
    findings = await looked(world, script, rules=Preflight(workflows="block"))
    assert said(findings) == [("workflow", "hard", ".github/workflows/ci.yml", None)]
    assert speaking_against(let_pass(findings, ("preflight.workflow",))) == ()


async def test_no_person_lets_a_secret_a_forbidden_file_or_a_foreign_author_pass(world: World) -> None:
    line = secrets_of_all_kinds()[0].line
    script = "echo A=1 > .env && git add -A && git -c user.email=eve@example.com -c user.name=Eve commit -qm 'All'"
    findings = await looked(world, script, files={"a.py": line.encode()})
    classes = ("preflight.secret", "preflight.forbidden_file", "preflight.author", "preflight.failed")
    assert [one.rule for one in speaking_against(let_pass(findings, classes))] == ["secret", "forbidden_file", "author"]


async def test_a_commit_under_another_name_is_named_and_blocks(world: World) -> None:
    script = (
        "echo x > a && git add a && GIT_AUTHOR_NAME='Linus T' GIT_AUTHOR_EMAIL=linus@example.com git commit -qm 'Hi'"
    )
    findings = await looked(world, script)
    assert said(findings) == [("author", "hard", "", None)]
    assert "Linus T <linus@example.com>" in findings[0].message


async def test_what_is_outside_the_scope_goes_back_with_the_list_lock_files_and_generated_ones_by_name(
    world: World,
) -> None:
    script = "echo x >> src/app.py; echo x > other.txt; echo '{}' > package-lock.json; mkdir d && echo x > d/a.min.js"
    findings = await looked(world, script, scope=("src",))
    outside = {one.file: one.message for one in speaking_against(findings)}
    assert {one.severity for one in speaking_against(findings)} == {"recoverable"}
    assert set(outside) == {"other.txt", "package-lock.json", "d/a.min.js"}
    assert outside["package-lock.json"].startswith("a lock file")
    assert outside["d/a.min.js"].startswith("a generated file")


async def test_what_was_taken_back_in_the_end_is_within_the_scope(world: World) -> None:
    script = "echo x > other.txt && git add -A && git commit -qm 1 && git rm -q other.txt && echo y >> src/app.py"
    assert await looked(world, script, scope=("src",)) == ()


async def test_names_that_git_quotes_and_lines_that_look_like_its_headers_are_read_right(world: World) -> None:
    secret = secrets_of_all_kinds()[0].line.encode()
    files = {'odd "ä\\name.py': b"+++ b/elsewhere.py\n@@ -1 +1 @@\n--- a/x\ndiff --git a/x b/x\n" + secret}
    findings = await looked(world, "true", files=files)
    assert [(one.rule, one.line) for one in findings if one.rule == "secret"] == [("secret", 5)]
    assert next(one for one in findings if one.rule == "secret").file == 'odd "ä\\name.py'


async def test_a_git_that_says_what_cannot_be_read_blocks_the_change(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    shim = world.root / "bin" / "git"
    shim.parent.mkdir()
    real = "/usr/bin/git"
    shim.write_text(f'#!/bin/sh\ncase "$*" in *" log "*--raw*) echo rubbish;; *) exec {real} "$@";; esac\n')
    shim.chmod(0o755)
    findings_of = looked(world, "echo x > a")
    monkeypatch.setenv("PATH", f"{shim.parent}:/usr/bin:/bin")
    assert [(one.rule, one.severity) for one in await findings_of] == [("failed", "hard")]


async def test_a_git_that_crashes_or_hangs_blocks_the_change(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    shim = world.root / "bin" / "git"
    shim.parent.mkdir()
    shim.write_text('#!/bin/sh\ncase "$*" in *" log "*--raw*) kill -SEGV $$;; *) exec /usr/bin/git "$@";; esac\n')
    shim.chmod(0o755)
    monkeypatch.setenv("PATH", f"{shim.parent}:/usr/bin:/bin")
    findings = await looked(world, "echo x > a")
    assert [(one.rule, one.severity) for one in findings] == [("failed", "hard")]
    assert speaking_against(let_pass(findings, ("preflight.failed",))) == findings


async def test_a_change_that_is_too_much_to_be_looked_at_is_blocked(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(change, "LOOKED_AT_BYTES_MAX", 2_000)
    findings = await looked(world, "yes 'some words' | head -c 9000 > a.txt")
    assert [(one.rule, one.severity) for one in findings] == [("failed", "hard")]


def stub(world: World, script: str) -> Scanner:
    program = world.root / "kingfisher"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    cache = world.root / "cache"
    return Scanner(program=program, cache=cache, sandbox=lambda *_: _Bare())


class _Bare:
    """Where a program runs that a test has written."""

    async def __call__(
        self, argv: Sequence[str], *, cwd: str, env: Mapping[str, str], timeout_seconds: float
    ) -> Completed:
        return await run(argv, env=dict(env), timeout_seconds=timeout_seconds)


ANSWER = (
    '{"findings":[{"rule":{"name":"acme"},"finding":{"line":2,"path":"%s/0.py"}}],'
    '"audit":{"summary":{"scan_failed":%d,"scan_partial":0}}}'
)


async def test_what_the_scanner_finds_is_said_with_the_line_of_the_file(world: World) -> None:
    scanner = stub(world, f"printf '%s\\n{{}}\\n' '{ANSWER % ('/x', 0)}'; exit 200")
    findings = await looked(world, "printf 'a\\nb\\n' > new.py", scanner=scanner)
    assert said(findings) == [("secret", "hard", "new.py", 2)]
    assert "acme" in findings[0].message


@pytest.mark.parametrize(
    "script",
    [
        "exit 1",
        "kill -9 $$",
        "echo rubbish",
        "echo '{}'; exit 200",
        f"printf '%s\\n' '{ANSWER % ('/x', 1)}'; exit 200",
        f"printf '%s\\n' '{ANSWER % ('/x', 0)}'; exit 0",
        f"printf '%s\\n' '{(ANSWER % ('/x', 0)).replace('0.py', '7.py')}'; exit 200",
    ],
)
async def test_a_scanner_that_crashes_or_cannot_be_read_blocks_the_change(world: World, script: str) -> None:
    findings = await looked(world, "echo x > new.py", scanner=stub(world, script))
    assert [(one.rule, one.severity) for one in findings] == [("failed", "hard")]
    assert "kingfisher" in findings[0].message or "scanner" in findings[0].message


async def test_without_the_extra_there_is_no_scanner(world: World) -> None:
    found = installed(world.root, lambda *_: _Bare())
    assert found is None or found.program.is_file()


async def test_what_a_merge_brings_in_and_what_stands_in_it_alone_is_looked_at(world: World) -> None:
    one, two = secrets_of_all_kinds()[0].line, secrets_of_all_kinds()[12].line
    script = (
        "git checkout -q -b side && cp .keys/one side.py && git add side.py && git commit -qm Side && git checkout -q - "
        "&& echo x > a && git add a && git commit -qm A && git merge -q --no-ff --no-commit side "
        "&& cp .keys/two evil.py && git add evil.py && git commit -qm Merge && rm -r .keys"
    )
    findings = await looked(world, script, files={".keys/one": one.encode(), ".keys/two": two.encode()})
    assert {one.file for one in findings if one.rule == "secret"} == {"side.py", "evil.py"}


async def test_a_name_that_is_no_text_is_shown_and_blocks(world: World) -> None:
    findings = await looked(world, "echo x > \"$(printf 'a\\377b')\"")
    assert [(one.rule, one.severity) for one in findings] == [("path", "hard")]
    assert findings[0].file == "a\\xffb"
