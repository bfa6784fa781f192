"""What the launcher makes of what a user says of agents, and its doctor on this machine."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

from msgspec.structs import fields
from patience import WAIT_SECONDS_MAX

from penstock_agent_exec.agents.known import NAMES, VERSIONS_MIN
from penstock_agent_exec.settings import Settings
from penstock_launcher import agents

PROJECT = Path(__file__).parents[2]

AGENTS = """
[agents.mend]
program = "mend"
pass_env = ["MEND_COLOUR"]
[agents."Not a name"]
program = "x"
"""


def described(folder: Path, text: str = AGENTS) -> dict[str, str]:
    file = folder / "agents.toml"
    file.write_text(text)
    return {agents.AGENTS_FILE: str(file)}


def test_the_launcher_and_the_executor_know_the_same_agents_and_settings() -> None:
    assert agents.KNOWN == NAMES
    known = {f"PENSTOCK_{field.name.upper()}" for field in fields(Settings)}
    assert {name.removesuffix("_FILE") if name != agents.AGENTS_FILE else name for name in agents.SETTINGS} <= known
    about_agents = ("_path", "_base_url", "_key_header", "_api_key", "_oauth_token", "agents_file")
    own = {f"PENSTOCK_{field.name.upper()}" for field in fields(Settings) if field.name.endswith(about_agents)}
    assert own <= set(agents.SETTINGS)


def test_the_documented_command_installs_what_the_tests_drive_and_the_executor_wants() -> None:
    script = (PROJECT / "penstock").read_text()
    pinned = {
        name: (package, version) for name, package, version in re.findall(r'"(\w+)": \("(@\S+)", "(\S+)"\)', script)
    }
    assert {name: tuple(map(int, version.split("."))) for name, (_, version) in pinned.items()} == VERSIONS_MIN
    command = "npm install -g " + " ".join(f"{package}@{version}" for package, version in pinned.values())
    assert command in (PROJECT / "docs" / "how-to" / "agents.md").read_text()


def test_tasks_may_ask_for_the_known_agents_and_those_of_the_file(tmp_path: Path) -> None:
    assert agents.every_vendor({}) == NAMES
    assert agents.every_vendor(described(tmp_path)) == (*NAMES, "mend")
    assert agents.passed_on(described(tmp_path)) == ("MEND_COLOUR",)


def test_a_file_that_cannot_be_read_is_left_to_the_executor(tmp_path: Path) -> None:
    for text in ("agents = 3", "[agents", "[agents]\nmend = 3"):
        environ = described(tmp_path, text)
        assert set(agents.every_vendor(environ)) - set(NAMES) <= {"mend"}
        assert agents.passed_on(environ) == ()
    assert agents.every_vendor({agents.AGENTS_FILE: "/nowhere"}) == NAMES


def test_whoever_chooses_agents_keeps_the_scripted_one() -> None:
    assert agents.settings({}) == {"PENSTOCK_VENDORS": ""}
    assert agents.settings({"PENSTOCK_VENDORS": "codex"}) == {"PENSTOCK_VENDORS": "codex,scripted"}


def test_a_key_is_taken_under_the_name_of_the_agents_own_program_unless_ours_says_more() -> None:
    assert agents.settings({"OPENAI_API_KEY": "k"})["PENSTOCK_OPENAI_API_KEY"] == "k"
    for more in ("PENSTOCK_OPENAI_API_KEY", "PENSTOCK_OPENAI_API_KEY_FILE"):
        assert "PENSTOCK_OPENAI_API_KEY" not in agents.settings({"OPENAI_API_KEY": "k", more: "x"})


def test_within_reach_is_what_has_a_program_and_what_pays(tmp_path: Path) -> None:
    for name in ("claude", "codex"):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    environ = {"PATH": str(tmp_path), "GEMINI_API_KEY": "k"}
    assert agents.within_reach(environ) == ("scripted",)
    assert agents.within_reach(environ | {"CLAUDE_CODE_OAUTH_TOKEN": "t"}) == ("claude", "scripted")
    both = environ | {"PENSTOCK_OPENAI_API_KEY_FILE": "/k", "PENSTOCK_GEMINI_PATH": "/opt/gemini"}
    assert agents.within_reach(both) == ("codex", "gemini", "scripted")


def test_the_doctor_of_the_launcher_looks_at_this_machine(tmp_path: Path) -> None:
    data = tmp_path / "data"
    (data / "penstock" / "scripts").mkdir(parents=True)
    done = subprocess.run(
        [sys.executable, "-m", "penstock_launcher", "doctor", "--json"],
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "XDG_DATA_HOME": str(data), "OPENAI_API_KEY": "k"},
        capture_output=True,
        text=True,
        timeout=WAIT_SECONDS_MAX,
        check=False,
    )
    document = json.loads(done.stdout)
    found = {one["name"]: one for one in (*document["host"], *document["agents"])}
    assert found["settings"]["state"] == "ok"
    assert (found["codex"]["key"], found["claude"]["key"]) == (True, False)
    assert done.returncode == (0 if document["fit"] else 1)
    assert (found["scripted"]["state"], found["scripted"]["needs_model"]) == ("ok", False)
    assert list(tmp_path.iterdir()) == [data]
    assert [path.name for path in (data / "penstock").iterdir()] == ["scripts"]
