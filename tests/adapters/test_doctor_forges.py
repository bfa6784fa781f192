"""What the doctor says of forges, against a double of each."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from forges.double import Reply, certificate_in
from forges.gitea import GiteaDialect
from forges.github import GitHubDialect
from forges.made import Place, place
from patience import WAIT_SECONDS_MAX

from penstock_agent_exec.doctor import Findings, examine
from penstock_agent_exec.doctor_table import as_json, as_table
from penstock_agent_exec.forge import greeting
from penstock_agent_exec.forge.configured import Forges
from penstock_agent_exec.forge.greeting import greet
from penstock_agent_exec.forge.table import ForgeTable, Hosts, Provider


@pytest.fixture(params=get_args(Provider))
def there(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate_in(tmp_path)))
    with place(request.param, tmp_path) as found:
        found.token_file.chmod(0o600)
        yield found
        assert not found.double.wrong.said


def table(there: Place, **more: str) -> str:
    lines = {"provider": there.provider, "token_file": str(there.token_file)} | more
    return f'[forges."{there.double.host}"]\n' + "".join(f'{key} = "{text}"\n' for key, text in lines.items() if text)


def host(folder: Path, text: str | None = None, **more: str) -> dict[str, str]:
    """The variables of a host that hands changes over and runs nobody's code."""
    given = {"PENSTOCK_ROLES": "publish", "PATH": os.environ["PATH"], "HOME": str(folder)}
    if text is not None:
        (folder / "forges.toml").write_text(text)
        given["PENSTOCK_FORGES_FILE"] = str(folder / "forges.toml")
    return given | more


def looked(folder: Path, text: str | None = None, **more: str) -> Findings:
    """What the doctor finds on such a host, however long a forge takes to answer."""
    with pytest.MonkeyPatch.context() as patience:
        patience.setattr(greeting, "SECONDS_MAX", WAIT_SECONDS_MAX)
        return examine(host(folder, text, **more))


def found(folder: Path, text: str | None = None, **more: str) -> tuple[bool, dict[str, dict[str, Any]]]:
    """Whether it is fit, and all of forges by its name, as programs are told."""
    document = json.loads(as_json(looked(folder, text, **more)))
    return document["fit"], {one["name"]: one for one in (*document["host"], *document["forges"])}


def test_a_forge_that_takes_its_credential_is_said_to_and_asked_nothing_else(there: Place, tmp_path: Path) -> None:
    fit, rows = found(tmp_path, table(there))
    row = rows[f"forge {there.double.host}"]
    assert (fit, row["state"], row["answer"], row["provider"]) == (True, "ok", "ok", there.provider)
    assert row["seen"] == f"ok: it takes the credential in {there.token_file}, and knows us as penstock-bot"
    assert [(one.method, one.path) for one in there.double.asked] == [("GET", "/user")]
    there.token_file.chmod(0o640)
    fit, rows = found(tmp_path, table(there))
    row = rows[f"forge {there.double.host}"]
    assert (fit, row["state"], row["answer"]) == (True, "note", "ok")
    assert "others on this host may read that file" in row["seen"]
    assert row["mend"] == f"chmod 600 {there.token_file}"


def test_a_credential_that_the_forge_does_not_take_is_refused_and_not_shown(there: Place, tmp_path: Path) -> None:
    there.token_file.write_text("an-old-token\n")
    there.double.planned.append(("GET /user", Reply(401, {"message": "Bad credentials: an-old-token"})))
    told = as_table(looked(tmp_path, table(there)), colours=False)
    said = " ".join(told.split())
    assert "refused credential:" in said
    assert "answered 401: Bad credentials" in said
    assert f"renew what is in {there.token_file}" in said
    assert said.endswith(f"NOT FIT: forge {there.double.host} not in order")
    assert "an-old-token" not in told
    _, rows = found(tmp_path, table(there))
    assert rows[f"forge {there.double.host}"]["answer"] == "refused", "the forge's own no, too"


@pytest.mark.parametrize(
    ("answer", "said", "words"),
    [
        (Reply(503, {"message": "down"}), "unreachable", "not reachable:"),
        (Reply(404, {"message": "Not Found"}), "strange", "no such forge:"),
        (Reply(200, ["a list"]), "strange", "no such forge:"),
        (Reply(403, {"message": "your address is not allowed"}), "refused", "refused credential:"),
        (Reply(429, {"message": "slow down"}, {"retry-after": "9"}), "limited", "it takes no more requests for now"),
    ],
)
def test_each_other_answer_is_told_apart(there: Place, tmp_path: Path, answer: Reply, said: str, words: str) -> None:
    there.double.planned.append(("GET /user", answer))
    fit, rows = found(tmp_path, table(there))
    row = rows[f"forge {there.double.host}"]
    assert (row["answer"], fit) == (said, said == "limited")
    assert row["seen"].startswith(words)
    assert row["mend"]


def test_who_does_not_answer_or_is_not_vouched_for_is_not_reachable(
    there: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = table(there, api_url="https://127.0.0.1:9/api")
    _, rows = found(tmp_path, away)
    assert rows[f"forge {there.double.host}"]["answer"] == "unreachable"
    (tmp_path / "other").mkdir()
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate_in(tmp_path / "other")))
    fit, rows = found(tmp_path, table(there))
    row = rows[f"forge {there.double.host}"]
    assert (fit, row["answer"]) == (False, "unreachable")
    assert "CERTIFICATE_VERIFY_FAILED" in row["seen"]
    assert there.double.asked == []


@pytest.mark.anyio
async def test_nobody_is_waited_for_longer_than_that(there: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(greeting, "SECONDS_MAX", 0.2)
    there.double.planned.append(("GET /user", "hang"))
    forges = there.forges()
    assert (await greet(forges, there.double.host)).said == "unreachable"


def test_a_file_without_a_credential_is_named_and_nobody_is_asked(there: Place, tmp_path: Path) -> None:
    for content, words in ((None, "No such file"), ("", "is empty"), ("two words\n", "is empty, or no token")):
        there.token_file.unlink(missing_ok=True)
        if content is not None:
            there.token_file.write_text(content)
        fit, rows = found(tmp_path, table(there))
        row = rows[f"forge {there.double.host}"]
        assert (fit, row["state"], row["answer"]) == (False, "missing", "no_credential")
        assert row["seen"].startswith("no credential:")
        assert words in row["seen"]
        assert row["mend"].startswith(f"put the credential into {there.token_file}")
    assert there.double.asked == []


@pytest.mark.parametrize("there", ["gitea"], indirect=True)
def test_a_token_that_may_not_ask_who_it_is_of_is_good_all_the_same(there: Place, tmp_path: Path) -> None:
    dialect = there.double.dialect
    assert isinstance(dialect, GiteaDialect)
    dialect.may_ask_who = False
    fit, rows = found(tmp_path, table(there))
    assert (fit, rows[f"forge {there.double.host}"]["answer"]) == (True, "ok")
    there.token_file.write_text("an-old-token\n")
    assert found(tmp_path, table(there))[1][f"forge {there.double.host}"]["answer"] == "refused"


@pytest.mark.parametrize("there", ["github"], indirect=True)
def test_an_app_shows_its_key_and_asks_for_no_token(there: Place, tmp_path: Path) -> None:
    dialect = there.double.dialect
    assert isinstance(dialect, GitHubDialect)
    key, dialect.app_key = tmp_path / "app.pem", tmp_path / "public.pem"
    made = ["openssl", "genrsa", "-traditional", "-out", str(key), "2048"]
    subprocess.run(made, check=True, capture_output=True)
    pair = ["openssl", "rsa", "-in", str(key), "-pubout", "-out", str(dialect.app_key)]
    subprocess.run(pair, check=True, capture_output=True)
    key.chmod(0o600)
    text = table(there, token_file="", app_id="4711", private_key_file=str(key))
    fit, rows = found(tmp_path, text)
    row = rows[f"forge {there.double.host}"]
    assert (fit, row["answer"]) == (True, "ok"), row
    assert row["seen"].endswith("knows us as penstock-app")
    assert [one.path for one in there.double.asked] == ["/app"]
    key.write_text("no key\n")
    _, rows = found(tmp_path, text)
    assert rows[f"forge {there.double.host}"]["answer"] == "no_credential"


# Without a forge to ask


def test_where_nothing_is_configured_that_is_said_and_no_fault(tmp_path: Path) -> None:
    fit, rows = found(tmp_path)
    assert (fit, rows["forges"]["state"], rows["forges"]["answer"]) == (True, "note", "unasked")
    assert rows["forges"]["seen"].startswith("not configured")
    assert "PENSTOCK_FORGES_FILE" in rows["forges"]["mend"]
    assert "forges" not in found(tmp_path, PENSTOCK_ROLES="run", PENSTOCK_SANDBOX="none")[1]


def test_a_file_that_cannot_be_read_is_a_wrong_setting(tmp_path: Path) -> None:
    fit, rows = found(tmp_path, '[forges."x.example"]\nprovider = "svn"\n')
    assert (fit, rows["settings"]["state"]) == (False, "missing")
    assert rows["settings"]["seen"].startswith("PENSTOCK_FORGES_FILE: ")
    assert "svn" in rows["settings"]["seen"]
    assert not any(name.startswith("forge") for name in rows)


def test_a_token_of_which_it_is_not_said_whose_it_is_is_shown_to_nobody(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.touch(mode=0o600)
    token.write_text("t0\n")
    fit, rows = found(tmp_path, PENSTOCK_GIT_TOKEN_FILE=str(token), PENSTOCK_GIT_READ_TOKEN_FILE=str(tmp_path / "none"))
    assert (rows["git token"]["state"], rows["git token"]["answer"]) == ("note", "unasked")
    assert "nobody was asked" in rows["git token"]["seen"]
    assert (fit, rows["git read token"]["state"]) == (False, "missing")


def test_of_a_host_that_speaks_git_alone_the_file_is_looked_at(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.touch(mode=0o600)
    token.write_text("t0\n")
    text = f'[git."cgit.example"]\ntoken_file = "{token}"\n'
    fit, rows = found(tmp_path, text)
    assert (fit, rows["git cgit.example"]["state"]) == (True, "ok")
    token.chmod(0o644)
    row = found(tmp_path, text)[1]["git cgit.example"]
    assert (row["state"], row["mend"]) == ("note", f"chmod 600 {token}")


def test_the_program_ends_as_unfit_where_a_credential_is_missing(tmp_path: Path) -> None:
    text = '[forges."x.example"]\nprovider = "gitea"\ntoken_file = "/nowhere/token"\n'
    command = [sys.executable, "-m", "penstock_agent_exec.doctor"]
    done = subprocess.run(
        command, env=host(tmp_path, text), capture_output=True, text=True, timeout=WAIT_SECONDS_MAX, check=False
    )
    assert done.returncode == 1, done.stderr
    assert "forge x.example missing no credential: /nowhere/token cannot be read" in " ".join(done.stdout.split())
    assert done.stdout.endswith("NOT FIT: forge x.example not in order\n")


@pytest.mark.anyio
async def test_a_forge_is_greeted_by_the_client_of_the_service(tmp_path: Path) -> None:
    hosts = Hosts(forges={"x.example": ForgeTable(provider="gitea", token_file=str(tmp_path / "none"))})
    said = await greet(Forges(hosts, tmp_path), "x.example")
    assert (said.said, "cannot be read" in said.words) == ("no_credential", True)
