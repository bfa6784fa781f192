"""The doctor, as a process of its own on this very host: what it says is there, what is missing, and what mends it."""

from __future__ import annotations

import contextlib
import http.server
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pytest
from agent_programs import agent_path
from patience import WAIT_SECONDS_MAX

from penstock_agent_exec.agents.known import VERSIONS_MIN
from penstock_agent_exec.sandbox_probe import probe

pytestmark = pytest.mark.skipif(not probe().ok, reason=probe().message)

SECONDS_MAX: Final = WAIT_SECONDS_MAX
SYSTEM: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

AGENT: Final = """
[agents.mend]
program = "{program}"
version = {{ minimum = "1.2" }}
[agents.mend.model]
dialect = "chat"
base_url = "{url}/v1?v=1"
key_file = "{key}"
"""


class Clinic:
    """A host with one agent of its own, `mend`, in good health."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.url = "http://127.0.0.1:9"
        self.program = folder / "mend"
        self.key = folder / "key"
        self.key.write_text("sk-a-key-that-nobody-sees\n")
        self.version("1.10.0")

    def version(self, version: str) -> None:
        self.program.write_text(f"#!/bin/sh\necho mend {version}\n")
        self.program.chmod(0o755)

    def ask(self, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
        file = self.folder / "agents.toml"
        file.write_text(AGENT.format(program=self.program, url=self.url, key=self.key))
        given = {"PATH": SYSTEM, "HOME": str(self.folder), "PENSTOCK_AGENTS_FILE": str(file)} | environ
        return subprocess.run(
            [sys.executable, "-m", "penstock_agent_exec.doctor", *arguments],
            env=given,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=SECONDS_MAX,
            check=False,
        )

    def found(self, *arguments: str, **environ: str) -> tuple[int, Mapping[str, dict[str, Any]]]:
        """The exit code, and everything that was looked at by its name."""
        done = self.ask("--json", *arguments, **environ)
        document = json.loads(done.stdout)
        assert document["fit"] == (done.returncode == 0)
        return done.returncode, {one["name"]: one for one in (*document["host"], *document["agents"])}


@pytest.fixture
def clinic(tmp_path: Path) -> Clinic:
    return Clinic(tmp_path)


def test_a_host_with_a_sandbox_and_an_agent_is_fit(clinic: Clinic) -> None:
    code, found = clinic.found(PENSTOCK_HOST="h1", PENSTOCK_DATA_DIR="/var/lib/penstock")
    assert code == 0
    assert [found[name]["state"] for name in ("settings", "git", "sandbox", "mend")] == ["ok"] * 4
    assert set(found) == {"settings", "git", "sandbox", "limits", *VERSIONS_MIN, "scripted", "mend"}
    assert [row["name"] for row in found.values() if row["state"] == "ok" and row["mend"]] == []
    mend = found["mend"]
    assert (mend["version"], mend["version_min"], mend["key"], mend["login"]) == ("1.10.0", "1.2", True, False)
    assert (mend["program"], mend["base_url"], mend["reached"]) == (str(clinic.program), "http://127.0.0.1:9/v1", None)


def test_the_table_is_plain_where_nobody_watches_and_says_what_mends(clinic: Clinic) -> None:
    done = clinic.ask()
    assert done.returncode == 0
    assert "\x1b" not in done.stdout
    assert done.stdout.splitlines()[-1] == "agents can work here: mend"
    text = " ".join(done.stdout.split())
    for words in (
        "the service also wants PENSTOCK_HOST and PENSTOCK_DATA_DIR",
        "npm install -g @openai/codex@0.169.0",
        "set PENSTOCK_ANTHROPIC_API_KEY or PENSTOCK_CLAUDE_OAUTH_TOKEN (or …_FILE)",
        "set PENSTOCK_GEMINI_API_KEY",
        "set PENSTOCK_QWEN_API_KEY",
        "only demonstrations need it",
    ):
        assert words in text


@pytest.mark.parametrize("setting", ["PENSTOCK_MOUNTS_FILE", "PENSTOCK_SECRETS_FILE", "PENSTOCK_FORGES_FILE"])
def test_a_file_that_the_service_would_not_start_with_is_a_wrong_setting(
    clinic: Clinic, tmp_path: Path, setting: str
) -> None:
    wrong = tmp_path / "wrong"
    wrong.write_bytes(b"[[[" + bytes(300_000))
    code, found = clinic.found(**{setting: str(wrong)})
    assert (code, found["settings"]["state"]) == (1, "missing")
    assert str(wrong) in found["settings"]["seen"]


def test_no_secret_is_shown(clinic: Clinic) -> None:
    for arguments in ((), ("--json",)):
        done = clinic.ask(
            *arguments, PENSTOCK_OPENAI_API_KEY="sk-openai-secret", PENSTOCK_CLAUDE_OAUTH_TOKEN="sk-ant-oat"
        )
        for secret in ("sk-openai-secret", "sk-ant-oat", "sk-a-key-that-nobody-sees"):
            assert secret not in done.stdout + done.stderr


@pytest.mark.parametrize("lacks", ["program", "version", "key"])
def test_what_its_only_agent_lacks_makes_a_host_unfit(clinic: Clinic, lacks: str) -> None:
    match lacks:
        case "program":
            clinic.program.unlink()
            words = "was not found"
        case "version":
            clinic.version("1.1.9")
            words = "is 1.1.9; 1.2 or newer is needed"
        case _:
            clinic.key.write_text("\n")
            words = "where its key should be, is empty"
    code, found = clinic.found()
    assert (code, found["mend"]["state"]) == (1, "missing")
    assert words in found["mend"]["mend"]
    assert "no agent with a model can run" in clinic.ask().stdout.splitlines()[-1]


def test_a_wrong_setting_is_said_and_everything_else_is_looked_at(clinic: Clinic) -> None:
    code, found = clinic.found(PENSTOCK_OPENAI_BASE_URL="openai.example.org", PENSTOCK_VENDORS="")
    assert (code, found["settings"]["state"]) == (1, "missing")
    assert found["settings"]["seen"].startswith(
        "PENSTOCK_OPENAI_BASE_URL: 'openai.example.org' is no address of an API"
    )
    assert (found["git"]["state"], found["sandbox"]["state"]) == ("ok", "ok")


@pytest.mark.parametrize(
    ("program", "row", "mend"), [("git", "git", "apt-get install -y git"), ("bwrap", "sandbox", "bubblewrap")]
)
def test_a_missing_program_of_the_host_is_named_with_the_command_that_brings_it(
    clinic: Clinic, tmp_path: Path, program: str, row: str, mend: str
) -> None:
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in {"git", "bwrap", "prlimit", "setpriv", "sh", "true", "echo"} - {program}:
        (programs / name).symlink_to(str(shutil.which(name)))
    code, found = clinic.found(PATH=str(programs))
    assert (code, found[row]["state"]) == (1, "missing")
    assert mend in found[row]["mend"]


def test_a_host_that_is_told_to_go_without_a_sandbox_is_fit_and_it_is_noted(clinic: Clinic) -> None:
    code, found = clinic.found(PENSTOCK_SANDBOX="none")
    assert (code, found["sandbox"]["state"]) == (0, "note")
    assert "all the rights of the service" in found["sandbox"]["seen"]


def test_a_host_that_only_hands_changes_over_needs_no_agent_and_no_sandbox(clinic: Clinic) -> None:
    told = clinic.ask(PENSTOCK_ROLES="publish", PENSTOCK_GIT_TOKEN_FILE=str(clinic.key))
    assert told.returncode == 0, told.stdout
    assert told.stdout.endswith("changes can be handed over from here\n")
    assert "bubblewrap" not in told.stdout
    held = clinic.ask(PENSTOCK_ROLES="run", PENSTOCK_GIT_TOKEN_FILE="/secrets/forge")
    assert held.returncode != 0
    assert "PENSTOCK_GIT_TOKEN_FILE is set" in held.stdout


def test_only_the_agents_that_a_host_offers_are_looked_at(clinic: Clinic) -> None:
    _, found = clinic.found(PENSTOCK_VENDORS="mend,codex")
    assert set(found) - {"settings", "git", "sandbox", "limits"} == {"mend", "codex"}


def test_a_scripted_agent_alone_makes_no_host_fit(clinic: Clinic, tmp_path: Path) -> None:
    code, found = clinic.found(PENSTOCK_VENDORS="scripted", PENSTOCK_SCRIPTS_DIR=str(tmp_path))
    assert (code, found["scripted"]["state"]) == (1, "ok")


@contextlib.contextmanager
def server() -> Iterator[tuple[str, list[tuple[str, dict[str, str]]]]]:
    """An API that answers 404 to everything, and what it was asked."""
    asked: list[tuple[str, dict[str, str]]] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append((self.path, dict(self.headers)))
            self.send_error(404)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{running.server_port}", asked
        finally:
            running.shutdown()
            thread.join()


def test_nobodys_api_is_asked_unless_it_is_wanted_and_never_with_a_key(clinic: Clinic) -> None:
    with server() as (url, asked):
        clinic.url = url
        assert clinic.found()[0] == 0
        assert asked == []
        code, found = clinic.found("--reach")
        assert (code, found["mend"]["reached"]) == (0, "answers (404)")
        ((path, headers),) = asked
    assert path == "/v1"
    assert "sk-a-key" not in json.dumps(headers)


def test_an_api_that_does_not_answer_is_said(clinic: Clinic) -> None:
    code, found = clinic.found("--reach", PENSTOCK_VENDORS="mend")
    assert (code, found["mend"]["state"]) == (1, "missing")
    assert "http://127.0.0.1:9/v1 cannot be reached" in found["mend"]["mend"]


@pytest.mark.parametrize("name", sorted(VERSIONS_MIN))
def test_the_real_program_is_found_with_its_version(clinic: Clinic, name: str) -> None:
    if (path := agent_path(name)) is None:
        pytest.skip(f"{name} is not installed")
    environ = {f"PENSTOCK_{name.upper()}_PATH": path, "PATH": os.environ["PATH"], "PENSTOCK_VENDORS": name}
    code, found = clinic.found(**environ)
    version = tuple(map(int, found[name]["version"].split(".")))
    assert version >= VERSIONS_MIN[name]
    assert (code, found[name]["key"], found[name]["state"]) == (1, False, "missing")
    assert found[name]["mend"].startswith("set PENSTOCK_")
