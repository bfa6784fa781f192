"""Which forge is spoken to, as which project, and with whose credential."""

from __future__ import annotations

import base64
import json
import stat
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from forges.double import Double, certificate_in
from forges.github import GitHubDialect
from forges.made import Place, place

from penstock.values import RepoSnapshot
from penstock_agent_exec.forge import ForgeAuthRefused, ForgeRefused, http
from penstock_agent_exec.forge.app_token import app_jwt, read_key, sign
from penstock_agent_exec.forge.configured import Forges, forges_of
from penstock_agent_exec.forge.table import (
    NO_HOSTS,
    BadForges,
    ForgeTable,
    GitTable,
    Hosts,
    Provider,
    api_url,
    host_of,
    project_of,
    read_hosts,
)
from penstock_agent_exec.git.credential import TokenFile
from penstock_agent_exec.git.names import check_remote

HERE = Path("/nonexistent")


@pytest.mark.parametrize(
    ("provider", "url", "api", "project"),
    [
        ("github", "https://github.com/acme/calc.git", "https://api.github.com", "acme/calc"),
        ("github", "git@github.com:acme/calc.git", "https://api.github.com", "acme/calc"),
        ("github", "https://ghe.example/acme/calc", "https://ghe.example/api/v3", "acme/calc"),
        ("github", "ssh://git@ghe.example:2222/acme/calc.git", "https://ghe.example/api/v3", "acme/calc"),
        ("gitea", "https://git.example:3000/acme/calc.git", "https://git.example:3000/api/v1", "acme/calc"),
        ("gitlab", "https://gitlab.com/acme/tools/sub/calc.git", "https://gitlab.com/api/v4", "acme/tools/sub/calc"),
    ],
)
def test_the_api_and_the_project_come_from_the_address(provider: Provider, url: str, api: str, project: str) -> None:
    found = check_remote(url, allow_local=False)
    table = ForgeTable(provider=provider, token_file="/t")
    assert api_url(host_of(found), table) == api
    assert project_of(found, provider, api) == project


def test_a_forge_below_a_folder_of_its_host_has_its_projects_there_too() -> None:
    found = check_remote("https://intra.example/git/acme/calc.git", allow_local=False)
    assert project_of(found, "gitea", "https://intra.example/git/api/v1") == "acme/calc"


@pytest.mark.parametrize(
    ("provider", "url"),
    [
        ("github", "https://github.com/acme/tools/calc.git"),
        ("github", "https://github.com/calc.git"),
        ("gitea", "https://git.example/acme/ca%20lc.git"),
        ("gitlab", "https://gitlab.com/calc"),
    ],
)
@pytest.mark.anyio
async def test_an_address_that_names_no_project_is_said_when_the_forge_is_asked(provider: Provider, url: str) -> None:
    found = check_remote(url, allow_local=False)
    with pytest.raises(ValueError, match="owner/name"):
        project_of(found, provider, "https://x.example")
    forges = Forges(Hosts(forges={host_of(found): ForgeTable(provider=provider, token_file="/t")}), HERE)
    forge = forges.of(RepoSnapshot(name="calc", clone_url=url, provider=provider), found)
    assert forge is not None
    with pytest.raises(ForgeRefused, match="owner/name"):
        await forge.find("agent/x")


def test_a_repo_that_says_forgejo_is_spoken_to_as_the_gitea_that_it_is() -> None:
    # Its tasks are followed to a merge: without a pull request they would wait for what nobody has opened.
    found = check_remote("https://codeberg.org/acme/calc.git", allow_local=False)
    forges = Forges(Hosts(forges={host_of(found): ForgeTable(provider="gitea", token_file="/t")}), HERE)
    repo = RepoSnapshot(name="calc", clone_url="https://codeberg.org/acme/calc.git", provider="forgejo")
    assert type(forges.of(repo, found)) is type(forges.of(msgspec.structs.replace(repo, provider="gitea"), found))
    assert forges.of(repo, found) is not None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[forges."github.com"]\nprovider = "svn"', "svn"),
        ('[forges."github.com"]\nprovider = "github"', "token_file or an app_id"),
        ('[forges."github.com"]\nprovider = "github"\ntoken_file = "relative"', "token_file"),
        ('[forges."github.com"]\nprovider = "github"\ntoken_file = "/t"\ntoken = "ghp_x"', "token"),
        ('[forges."GitHub.com"]\nprovider = "github"\ntoken_file = "/t"', "lower case"),
        ('[forges."a@github.com"]\nprovider = "github"\ntoken_file = "/t"', "as it stands in clone_url"),
        ('[forges."x.example"]\nprovider = "gitea"\ntoken_file = "/t"\napi_url = "http://x.example"', "https://"),
        ('[forges."x.example"]\nprovider = "gitea"\ntoken_file = "/t"\napi_url = "https://u:p@x.example"', "https://"),
        ('[forges."x.example"]\nprovider = "gitea"\napp_id = "1"\nprivate_key_file = "/k"', "only GitHub has apps"),
        ('[forges."x.example"]\nprovider = "github"\napp_id = "1"', "belong together"),
        (
            '[forges."x.example"]\nprovider = "github"\napp_id = "1"\nprivate_key_file = "/k"\ntoken_file = "/t"',
            "either",
        ),
        ('[git."x.example"]\ntoken_file = ""', "token_file"),
        ('[git."x.example"]\ntoken_file = "/t"\nusername = "a b"', "username"),
        ('[git."X.example"]\ntoken_file = "/t"', "lower case"),
        (
            '[git."x.example"]\ntoken_file = "/t"\n[forges."x.example"]\nprovider = "gitea"\ntoken_file = "/t"',
            "among the forges already",
        ),
        ("[[[", "line 1"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_at_the_start(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "forges.toml").write_text(text)
    with pytest.raises(BadForges, match=said):
        read_hosts(tmp_path / "forges.toml")


def test_a_file_names_the_files_of_its_secrets_and_none_is_in_it(tmp_path: Path) -> None:
    file = tmp_path / "forges.toml"
    file.write_text(
        '[forges."github.com"]\nprovider = "github"\napp_id = "7"\nprivate_key_file = "/k"\n'
        '[forges."git.example"]\nprovider = "gitea"\ntoken_file = "/t"\n'
        '[git."plain.example"]\ntoken_file = "/p"\n'
    )
    assert set(read_hosts(file).secret_files.values()) == {Path("/k"), Path("/t"), Path("/p")}
    assert NO_HOSTS.secret_files == {}
    with pytest.raises(BadForges, match="No such file"):
        read_hosts(tmp_path / "absent")


@pytest.mark.anyio
async def test_one_token_for_all_remotes_is_good_for_the_forges_that_everybody_knows_and_for_no_other(
    tmp_path: Path,
) -> None:
    (tmp_path / "token").write_text("t0\n")
    forges = forges_of("", str(tmp_path / "token"), tmp_path)
    for url in ("https://git.example/a/b.git", "https://github.com.evil.example/a/b.git"):
        found = check_remote(url, allow_local=False)
        forge = forges.of(RepoSnapshot(name="b", clone_url=url, provider="github"), found)
        assert forge is not None
        with pytest.raises(ForgeAuthRefused, match="holds no credential"):
            await forge.find("x")
        assert forges.git_credential(found) is None
    known = check_remote("https://github.com/a/b.git", allow_local=False)
    wrong = forges.of(RepoSnapshot(name="b", clone_url=known.url, provider="gitlab"), known)
    assert wrong is not None
    with pytest.raises(ForgeRefused, match=r"github\.com is a github"):
        await wrong.find("x")
    assert forges.of(RepoSnapshot(name="b", clone_url=known.url), known) is None


def test_git_is_given_the_token_of_its_own_host_with_the_name_that_the_forge_wants(tmp_path: Path) -> None:
    tables: dict[str, ForgeTable] = {
        "github.com": ForgeTable(provider="github", token_file="/gh"),
        "gitlab.com": ForgeTable(provider="gitlab", token_file="/gl"),
    }
    forges = Forges(Hosts(forges=tables, git={"git.example": GitTable(token_file="/p", username="ci")}), tmp_path)
    for url, path, name in (
        ("https://git.example/a/b.git", "/p", "ci"),
        ("https://github.com/a/b.git", "/gh", "x-access-token"),
        ("https://gitlab.com/a/b.git", "/gl", "oauth2"),
    ):
        assert forges.git_credential(check_remote(url, allow_local=False)) == TokenFile(Path(path), name)
    for url in ("git@github.com:a/b.git", "git@git.example:a/b.git", "https://git.example:44/a/b.git"):
        assert forges.git_credential(check_remote(url, allow_local=False)) is None


# An app


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("key")
    command = ["openssl", "genrsa", "-traditional", "-out", str(folder / "app.pem"), "2048"]
    subprocess.run(command, check=True, capture_output=True)
    pair = ["openssl", "rsa", "-in", str(folder / "app.pem"), "-pubout", "-out", str(folder / "public.pem")]
    subprocess.run(pair, check=True, capture_output=True)
    wrap = ["openssl", "pkcs8", "-topk8", "-nocrypt", "-in", str(folder / "app.pem"), "-out", str(folder / "p8.pem")]
    subprocess.run(wrap, check=True, capture_output=True)
    return folder


@pytest.fixture
def app(tmp_path: Path, key: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Place, ForgeTable]]:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate_in(tmp_path)))
    with place("github", tmp_path) as there:
        dialect = there.double.dialect
        assert isinstance(dialect, GitHubDialect)
        dialect.app_key = key / "public.pem"
        yield there, ForgeTable(provider="github", app_id="4711", private_key_file=str(key / "app.pem"))
        assert not there.double.wrong.said


@pytest.mark.parametrize("name", ["app.pem", "p8.pem"])
@pytest.mark.parametrize("message", [b"", b"x", b"y" * 10_000])
def test_a_signature_is_what_openssl_would_have_made(key: Path, name: str, message: bytes) -> None:
    command = ["openssl", "dgst", "-sha256", "-sign", str(key / "app.pem")]
    expected = subprocess.run(command, input=message, check=True, capture_output=True).stdout
    assert sign(read_key(key / name), message) == expected


def test_a_word_for_an_app_is_short_lived_and_signed(key: Path) -> None:
    head, claims, _ = app_jwt("4711", read_key(key / "app.pem"), 1_000_000.0).split(".")
    assert json.loads(base64.urlsafe_b64decode(head + "==")) == {"alg": "RS256", "typ": "JWT"}
    said = json.loads(base64.urlsafe_b64decode(claims + "=="))
    assert (said["iss"], said["iat"], said["exp"]) == ("4711", 999_940, 1_000_480)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe",
        b"-----BEGIN RSA PRIVATE KEY-----\n!!!\n-----END RSA PRIVATE KEY-----\n",
        b"-----BEGIN RSA PRIVATE KEY-----\nMAA=\n-----END RSA PRIVATE KEY-----\n",
        b"-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----\n",
        b"-----BEGIN RSA PRIVATE KEY-----\nMIn/////AgEA\n-----END RSA PRIVATE KEY-----\n",
    ],
)
def test_a_file_that_holds_no_key_is_said_to_hold_none_and_not_shown(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "key.pem").write_bytes(content)
    with pytest.raises(ForgeAuthRefused, match="holds no RSA key"):
        read_key(tmp_path / "key.pem")
    with pytest.raises(ForgeAuthRefused, match="cannot be read"):
        read_key(tmp_path / "absent.pem")


def test_every_cut_of_a_key_is_refused(tmp_path: Path, key: Path) -> None:
    lines = (key / "app.pem").read_text().splitlines()
    body = base64.b64decode("".join(lines[1:-1]))
    for length in range(0, 600, 7):
        cut = base64.b64encode(body[:length]).decode()
        (tmp_path / "cut.pem").write_text(f"{lines[0]}\n{cut}\n{lines[-1]}\n")
        with pytest.raises(ForgeAuthRefused):
            read_key(tmp_path / "cut.pem")


def minted(double: Double) -> int:
    return sum(asked.path.endswith("/access_tokens") for asked in double.asked)


@pytest.mark.anyio
async def test_an_app_asks_for_one_token_and_uses_it_until_shortly_before_its_end(
    app: tuple[Place, ForgeTable],
) -> None:
    there, table = app
    forges = there.forges(table)
    found = check_remote(there.repo.clone_url, allow_local=False)
    forge = forges.of(there.repo, found)
    assert forge is not None
    assert await forge.find("x") is None
    assert await forge.find("y") is None
    assert minted(there.double) == 1
    asked = next(one for one in there.double.asked if one.path.endswith("/access_tokens"))
    assert (asked.path, asked.body) == ("/app/installations/77/access_tokens", {"repositories": ["calc"]})

    await forges.fresh(found)
    given = forges.git_credential(found)
    assert isinstance(given, TokenFile)
    assert given.path.read_text() == there.double.token + "\n"
    assert stat.S_IMODE(given.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(given.path.parent.stat().st_mode) == 0o700

    there.double.token = "ghs_renewed"
    with pytest.raises(ForgeAuthRefused):
        await forge.find("x")
    assert await forge.find("x") is None, "one that was refused is not used again"
    assert minted(there.double) == 2

    dialect = there.double.dialect
    assert isinstance(dialect, GitHubDialect)
    dialect.token_seconds = 240.0
    short = there.forges(table).of(there.repo, found)
    assert short is not None
    assert await short.find("x") is None
    assert await short.find("x") is None
    assert minted(there.double) == 4


def test_no_two_projects_share_the_file_of_a_token(tmp_path: Path) -> None:
    table = ForgeTable(provider="github", app_id="4711", private_key_file="/k")
    forges = Forges(Hosts(forges=dict.fromkeys(("ghe.example", "ghe.example:44"), table)), tmp_path)
    urls = [
        "https://ghe.example/a_b/c.git",
        "https://ghe.example/a/b_c.git",
        "https://ghe.example:44/a/b_c.git",
        "https://ghe.example/44_a/b_c.git",
        "https://ghe.example/a/b_c.making.git",
    ]
    given = [forges.git_credential(check_remote(url, allow_local=False)) for url in urls]
    paths = [one.path for one in given if isinstance(one, TokenFile)]
    assert len(set(paths)) == len(urls)
    assert all(path.parent == tmp_path and not path.name.endswith(".making") for path in paths)
    assert given[0] == forges.git_credential(check_remote(urls[0], allow_local=False))


@pytest.mark.anyio
async def test_an_app_with_another_key_is_told_who_can_do_what(app: tuple[Place, ForgeTable], tmp_path: Path) -> None:
    there, table = app
    other = tmp_path / "other.pem"
    subprocess.run(["openssl", "genrsa", "-traditional", "-out", str(other), "2048"], check=True, capture_output=True)
    table = msgspec.structs.replace(table, private_key_file=str(other), installation_id="77")
    with pytest.raises(ForgeAuthRefused, match=r"who keeps the app's key .*other\.pem"):
        await there.forge(table).find("x")


@pytest.mark.anyio
async def test_gitlab_takes_a_bearers_token_where_it_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate_in(tmp_path)))
    with place("gitlab", tmp_path) as there:
        table = ForgeTable(provider="gitlab", token_file=str(there.token_file), scheme="bearer")
        assert await there.forge(table).find("x") is None
        assert "private-token" not in there.double.asked[-1].headers
        for content in ("", "two words\n", "um\u00e4ut\n"):
            there.token_file.write_text(content)
            with pytest.raises(ForgeAuthRefused, match="is empty, or no token"):
                await there.forge(table).find("x")


# When to come back


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "30"}, 30.0),
        ({"retry-after": "0"}, 1.0),
        ({"retry-after": "99999999"}, 86_400.0),
        ({"retry-after": "Mon, 02 Mar 2026 10:05:00 GMT", "date": "Mon, 02 Mar 2026 10:00:00 GMT"}, 300.0),
        ({"x-ratelimit-reset": "1772445900", "date": "Mon, 02 Mar 2026 10:00:00 GMT"}, 300.0),
        ({"ratelimit-reset": "45"}, 45.0),
        ({"x-ratelimit-reset": "1"}, 1.0),
        ({"retry-after": "soon"}, None),
        (
            {
                "retry-after": "Mon, 01 Jan 2024 00:00:00 +99999999999999999999",
                "date": "Mon, 01 Jan 2024 00:00:00 +99999999999999999999",
            },
            None,
        ),
        ({"x-ratelimit-reset": "-5"}, None),
        ({}, None),
    ],
)
def test_when_to_come_back_is_read_against_the_forges_own_clock(headers: dict[str, str], seconds: float | None) -> None:
    now = datetime(2030, 1, 1, tzinfo=UTC)
    expected = None if seconds is None else now + timedelta(seconds=seconds)
    assert http.retry_at(headers, now) == expected
