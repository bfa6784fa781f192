"""Given an agent that only a file describes, it runs in the sandbox as the known ones do, and its end is read by its rules."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import pytest
from agent_bench import KEY, Bench, git
from fake_model import Fail, FakeModel, Say, script

from penstock_agent_exec.agents.facts import Started
from penstock_agent_exec.agents.generic import ARGUMENT_BYTES_MAX, Generic, find_generic
from penstock_agent_exec.agents.generic_file import Described, read_agents
from penstock_agent_exec.agents.seen import Seen
from penstock_agent_exec.agents.vendor import AgentRun, HostLacks, RunRefused, Verdict
from penstock_agent_exec.broker.dialect import Dialect
from penstock_agent_exec.process import Ending, Watch, Why
from penstock_agent_exec.sandbox_probe import probe

pytestmark = [pytest.mark.anyio, pytest.mark.skipif(not probe().ok, reason=probe().message)]

PROJECT: Final = Path(__file__).parents[2]
RECORDINGS: Final = PROJECT / "tests" / "golden" / "cli" / "opencode" / "1.18.33"
ENDINGS: Final = json.loads((RECORDINGS / "endings.json").read_text())
HOW_TO: Final = (PROJECT / "docs" / "how-to" / "agents.md").read_text()
NOW: Final = 1_795_000_000.0
RUN: Final = AgentRun(
    prompt="Do it.", session_id="ses_ours", model="own/some-model", state_dir="/state", work_dir="/work"
)

# It works by the word: whatever the prompt begins with, it does.
TEXT_CLI: Final = """#!/bin/sh
[ "$1" = --version ] && { echo "texter v3.4.5 (test)"; exit 0; }
session=new prompt=
while [ $# -gt 0 ]; do
  case $1 in --go-on) session=$2; shift;; --model) model=$2; shift;; --) prompt=$2; shift;; esac
  shift
done
echo "session: $session-1 on ${model:-none}"
case $prompt in
  limit*) echo "too many requests; try again in 1m30s" >&2; exit 3;;
  refuse*) exit 41;;
  hang*) trap '' TERM; sleep 60;;
  env*) env;;
  *) echo "$prompt" > done.txt; git add -A; git -c user.name=a -c user.email=a@b commit -qm work
     echo "used 1,200 in, 40 out, \\$0.25"; echo "used 100 in, 2 out, \\$0.05"; echo "All done.";;
esac
"""

TEXT_AGENT: Final = """
[agents.texter]
program = "{program}"
argv = [["--model", "{{model}}"], ["--turns", "{{max_turns}}"], "--", "{{prompt}}"]
resume_argv = ["--go-on", "{{session_id}}", "--", "{{prompt}}"]
prompt = "argument"
pass_env = ["TEXTER_COLOUR", "TEXTER_ABSENT"]
exit_codes = {{ 41 = "vendor.auth" }}
version = {{ minimum = "3.4" }}
stop = [{{ signal = "SIGTERM", grace_seconds = 0.2 }}]

[agents.texter.env]
TEXTER_HOME = "{{state_dir}}/texter"
TEXTER_MODEL = "{{model}}"
TEXTER_TURNS = "{{max_turns}}"
TEXTER_JSON = '{{"a": 1}}'

[[agents.texter.rules]]
says = "session"
match = '^session: (?P<session>\\S+) on (?P<model>\\S+)'

[[agents.texter.rules]]
says = "usage"
match = '^used (?P<input_tokens>[\\d,]+) in, (?P<output_tokens>\\d+) out, \\$(?P<cost_usd>[\\d.]+)'

[[agents.texter.rules]]
says = "limit"
stream = "stderr"
match = 'try again in (?P<retry_after_seconds>\\S+)'
"""

# It asks the model once, writes the answer down, and prints one document over several lines.
JSON_CLI: Final = """#!/usr/bin/python3
import json, os, sys, urllib.error, urllib.request
prompt = sys.stdin.read()
body = {"model": "m", "messages": [{"role": "user", "content": prompt}]}
body["tools"] = [{"type": "function", "function": {"name": "write_file", "parameters": {"type": "object"}}}]
headers = {"content-type": "application/json", "authorization": "Bearer " + os.environ["ASKER_KEY"]}
request = urllib.request.Request(os.environ["ASKER_URL"] + "/chat/completions", json.dumps(body).encode(), headers)
try:
    with urllib.request.urlopen(request, timeout=120) as answer:
        said = json.load(answer)
except urllib.error.HTTPError as error:
    print(json.dumps({"failed": {"status": error.code, "why": error.read().decode()}}, indent=2))
    sys.exit(1)
text = said["choices"][0]["message"]["content"]
open("answer.txt", "w").write(text)
used = said["usage"]
print(json.dumps({"result": {"text": text, "in": used["prompt_tokens"], "out": used["completion_tokens"]}}, indent=2))
"""

JSON_AGENT: Final = """
[agents.asker]
program = "{program}"
output = "json"

[agents.asker.env]
ASKER_URL = "{{base_url}}"
ASKER_KEY = "{{token}}"

[agents.asker.model]
dialect = "chat"
base_url = "https://models.example.org/v1"

[[agents.asker.rules]]
says = "finished"
take = {{ text = "/result/text", input_tokens = "/result/in", output_tokens = "/result/out" }}
when = {{ "/result/text" = "~ ." }}

[[agents.asker.rules]]
says = "error"
when = {{ "/failed/status" = "~ ." }}
take = {{ status = "/failed/status", message = "/failed/why" }}
"""


def agent(folder: Path, name: str, program: str, description: str) -> Generic:
    """The agent `name`, its program written and found."""
    path = folder / name
    path.write_text(program)
    path.chmod(0o755)
    file = folder / f"{name}.toml"
    file.write_text(description.format(program=path))
    found = find_generic(read_agents(file, ())[name], {"TEXTER_COLOUR": "blue", "OTHER": "not passed on"})
    return replace(found, clock=lambda: NOW)


@pytest.fixture
def texter(tmp_path: Path) -> Generic:
    return agent(tmp_path, "texter", TEXT_CLI, TEXT_AGENT)


@pytest.fixture
def sockets() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="gate-") as folder:
        yield Path(folder)


@pytest.fixture
def bench(texter: Generic, tmp_path: Path, sockets: Path) -> Bench:
    return Bench(texter, tmp_path, sockets, model="big")


@pytest.fixture
def asking(tmp_path: Path, sockets: Path) -> Bench:
    return Bench(agent(tmp_path, "asker", JSON_CLI, JSON_AGENT), tmp_path, sockets, dialect=Dialect.CHAT)


# A program that prints text


async def test_it_works_on_the_repo_and_what_it_printed_is_read(bench: Bench, texter: Generic) -> None:
    outcome = await bench.attempt(None, "mend the sum")
    verdict = outcome.verdict
    assert verdict.ok, verdict
    assert git(bench.repo, "show", "HEAD:done.txt") == "mend the sum\n"
    assert (texter.version, verdict.vendor_version, verdict.session_id) == ("3.4.5", "3.4.5", "new-1")
    assert (verdict.usage.turns, verdict.usage.input_tokens, verdict.usage.output_tokens) == (2, 1300, 42)
    assert verdict.usage.cost_usd == pytest.approx(0.30)
    assert verdict.answer == "All done."
    assert [fact for fact in bench.facts if isinstance(fact, Started)] == [Started(session_id="new-1", model="big")]
    assert "bwrap, no network" in outcome.sandbox


async def test_it_goes_on_with_the_session_that_it_named(bench: Bench, texter: Generic) -> None:
    outcome = await bench.attempt(None, "more", session_id="new-1", resume=True, model="")
    assert outcome.verdict.session_id == "new-1-1"
    assert texter.has_session(bench.state, "new-1")


async def test_its_environment_is_what_the_file_says_and_nothing_else(bench: Bench) -> None:
    outcome = await bench.attempt(None, "env")
    seen = dict(line.split("=", 1) for line in outcome.verdict.answer.splitlines() if "=" in line)
    ours = {"HOME", "USER", "LOGNAME", "PATH", "LANG", "TERM", "PWD", "SHLVL", "_", "PYTHONDONTWRITEBYTECODE", "OLDPWD"}
    assert {name: seen[name] for name in set(seen) - ours} == {
        "TEXTER_COLOUR": "blue",
        "TEXTER_HOME": "/workspace/state/texter",
        "TEXTER_MODEL": "big",
        "TEXTER_JSON": '{"a": 1}',
    }


async def test_a_limit_on_standard_error_says_when_to_come_back(bench: Bench) -> None:
    verdict = (await bench.attempt(None, "limit")).verdict
    assert (verdict.error_class, verdict.transient) == ("vendor.rate_limit", True)
    assert verdict.resets_at == datetime.fromtimestamp(NOW + 90, UTC)
    assert "too many requests" in verdict.message


async def test_an_exit_code_means_what_the_file_says(bench: Bench) -> None:
    verdict = (await bench.attempt(None, "refuse")).verdict
    assert (verdict.ok, verdict.error_class, verdict.transient) == (False, "vendor.auth", False)


async def test_one_that_does_not_end_is_ended(bench: Bench) -> None:
    outcome = await bench.attempt(None, "hang", watch=Watch(wall_seconds=1))
    assert outcome.verdict.error_class == "agent.timeout"
    assert outcome.ending.nothing_left


async def test_a_plan_is_read_from_a_clone_that_cannot_be_written_to(bench: Bench) -> None:
    outcome = await bench.attempt(None, "plan it", purpose="plan")
    assert not (bench.repo / "done.txt").exists()
    assert "Read-only file system" in outcome.ending.stderr_tail.decode()


# What it is started with


def test_a_prompt_that_is_no_argument_any_more_is_refused_as_too_long(texter: Generic) -> None:
    longest = "x" * ARGUMENT_BYTES_MAX
    assert longest in texter.command(replace(RUN, prompt=longest)).argv
    with pytest.raises(RunRefused, match="131071 bytes") as refused:
        texter.command(replace(RUN, prompt=longest + "x"))
    assert refused.value.error_class == "vendor.context_overflow"


async def test_the_longest_prompt_is_one_that_the_kernel_takes(bench: Bench) -> None:
    assert (await bench.attempt(None, "x" * ARGUMENT_BYTES_MAX)).verdict.ok


def test_what_has_no_value_is_left_out_with_what_belongs_to_it(texter: Generic) -> None:
    assert texter.command(replace(RUN, model="")).argv[1:] == ("--", "Do it.")
    whole = texter.command(replace(RUN, max_turns=7)).argv[1:]
    assert whole == ("--model", "own/some-model", "--turns", "7", "--", "Do it.")


@pytest.mark.parametrize("changed", [{"model": "--danger"}, {"session_id": "-rf"}])
def test_a_name_cannot_be_taken_for_an_option(texter: Generic, changed: dict[str, str]) -> None:
    with pytest.raises(RunRefused, match="does not begin with a dash"):
        texter.command(replace(RUN, **changed))  # type: ignore[arg-type]  # fields by name


def test_a_host_without_it_or_with_an_old_one_says_so(tmp_path: Path) -> None:
    with pytest.raises(HostLacks, match="'/nowhere/texter' was not found"):
        find_generic(described(tmp_path, TEXT_AGENT.format(program="/nowhere/texter")), {})
    old = TEXT_CLI.replace("v3.4.5", "v3.3.9")
    with pytest.raises(HostLacks, match=r"is 3\.3\.9; 3\.4 or newer is needed"):
        agent(tmp_path, "texter", old, TEXT_AGENT)
    with pytest.raises(HostLacks, match="in which there is no version"):
        agent(tmp_path, "texter", TEXT_CLI.replace("v3.4.5 (test)", "one"), TEXT_AGENT)
    with pytest.raises(HostLacks, match="/nowhere/lib, which the file of agents says it needs to see, is not there"):
        agent(tmp_path, "texter", TEXT_CLI, TEXT_AGENT.replace("pass_env", 'visible = ["/nowhere/lib"]\npass_env'))


def test_a_program_whose_interpreter_is_elsewhere_finds_it_by_its_own_path(tmp_path: Path) -> None:
    interpreter = tmp_path / "bin" / "texter-shell"
    interpreter.parent.mkdir()
    interpreter.symlink_to("/bin/sh")
    program = TEXT_CLI.replace("#!/bin/sh", "#!/usr/bin/env texter-shell")
    with pytest.raises(HostLacks, match="in which there is no version"):
        agent(tmp_path, "texter", program, TEXT_AGENT)
    with_path = TEXT_AGENT.replace(
        "[agents.texter.env]", f'[agents.texter.env]\nPATH = "{interpreter.parent}:/usr/bin:/bin"'
    )
    assert agent(tmp_path, "texter", program, with_path).version == "3.4.5"


def described(folder: Path, text: str, name: str = "texter") -> Described:
    file = folder / "agents.toml"
    file.write_text(text)
    return read_agents(file, ())[name]


# A program that prints one JSON document, with a model behind the gate


async def test_it_reaches_its_model_through_the_gate_and_shows_no_key(asking: Bench) -> None:
    async with FakeModel(script(Say("Forty-two."))) as model:
        outcome = await asking.attempt(model, "What is it?")
        requests = model.model_requests
    verdict = outcome.verdict
    assert verdict.ok, verdict
    assert (asking.repo / "answer.txt").read_text() == verdict.answer == "Forty-two."
    assert verdict.usage.output_tokens > 0
    assert "What is it?" in requests[0].text
    assert requests[0].headers["authorization"] == f"Bearer {KEY}"


async def test_an_error_without_a_class_is_classed_by_its_status(asking: Bench) -> None:
    async with FakeModel(script(Fail(401, "authentication_error", "Incorrect API key provided"))) as model:
        verdict = (await asking.attempt(model)).verdict
    assert (verdict.ok, verdict.error_class, verdict.transient) == (False, "vendor.auth", False)


async def test_without_its_last_word_a_good_exit_code_is_no_success(tmp_path: Path, sockets: Path) -> None:
    silent = Bench(agent(tmp_path, "asker", "#!/bin/sh\necho '{}'\n", JSON_AGENT), tmp_path, sockets)
    verdict = (await silent.attempt(None, base_url=None)).verdict
    assert (verdict.ok, verdict.error_class) == (False, "vendor.bad_answer")


# What opencode printed once, read by the description in the how-to

OK: Final = (None, False)
CRASHED: Final = ("agent.crashed", True)
UNFINISHED: Final = ("vendor.bad_answer", True)
EXPECTED: Final[dict[str, tuple[str | None, bool]]] = {
    "bad_model": ("vendor.bad_request", False),
    "child_sigint": CRASHED,
    "child_sigkill": CRASHED,
    "child_sigterm": CRASHED,
    "commit": OK,
    "ctx400": ("vendor.context_overflow", False),
    "e400": ("vendor.bad_request", False),
    "e401": ("vendor.auth", False),
    "e404": ("vendor.model_not_found", False),
    "e429": ("vendor.rate_limit", True),
    "e429_then_ok": OK,
    "e500": CRASHED,
    "e500_then_ok": OK,
    "endless": CRASHED,
    "length": UNFINISHED,
    "malformed": CRASHED,
    "maxsteps": CRASHED,
    "midcut": CRASHED,
    "no_auto": OK,
    "no_auto_ask": UNFINISHED,
    "quota": CRASHED,
    "resume": OK,
    "resume_unknown": ("vendor.session_lost", False),
    "slow_sigint": CRASHED,
    "slow_sigterm": CRASHED,
    "text": OK,
}


def opencode(folder: Path) -> Generic:
    (block,) = (block for block in toml_blocks() if "agents.opencode" in block)
    return Generic(described(folder, block, "opencode"), Path("/usr/bin/opencode"), clock=lambda: NOW)


def toml_blocks() -> list[str]:
    return re.findall(r"^```toml\n(.*?)^```$", HOW_TO, re.MULTILINE | re.DOTALL)


def replayed(vendor: Generic, name: str) -> tuple[Verdict, Seen]:
    stdout, ended = (RECORDINGS / f"{name}.jsonl").read_bytes(), ENDINGS[name]
    dialogue, seen = vendor.dialogue(RUN), Seen()
    for line in stdout.splitlines():
        for fact in dialogue.hear(line).facts:
            seen.absorb(fact)
    return vendor.verdict(RUN, seen, ending(ended["exit_code"], ended["stderr"])), seen


def ending(code: int | None, stderr: str = "", why: Why = "exited") -> Ending:
    return Ending(
        why=why,
        exit_code=code,
        wall_seconds=1.0,
        stdout_bytes=0,
        stderr_bytes=len(stderr),
        stderr_tail=stderr.encode(),
        nothing_left=True,
    )


def test_every_recording_of_opencode_has_a_verdict_that_is_expected() -> None:
    assert set(EXPECTED) == set(ENDINGS) == {path.stem for path in RECORDINGS.glob("*.jsonl")}


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_a_recorded_run_of_opencode_comes_to_what_it_came_to(tmp_path: Path, name: str) -> None:
    verdict, _ = replayed(opencode(tmp_path), name)
    assert (verdict.error_class, verdict.transient) == EXPECTED[name]
    assert verdict.ok == (EXPECTED[name] is OK)


def test_a_commit_of_opencode_is_read_to_the_last_token(tmp_path: Path) -> None:
    verdict, seen = replayed(opencode(tmp_path), "commit")
    assert verdict.session_id.startswith("ses_")
    assert verdict.answer == "Fixed `add()` and committed."
    used = verdict.usage
    assert (used.turns, used.input_tokens, used.output_tokens, used.cache_read_tokens) == (5, 1400, 215, 4600)
    assert used.cost_usd == pytest.approx(0.00274)
    assert seen.finished is not None


def test_a_limit_of_opencode_says_when_to_come_back(tmp_path: Path) -> None:
    verdict, _ = replayed(opencode(tmp_path), "e429")
    assert verdict.resets_at == datetime.fromtimestamp(NOW + 2, UTC)
    assert verdict.message.startswith("Rate limit reached")


def test_who_has_had_the_last_word_and_would_not_go_did_well(tmp_path: Path) -> None:
    vendor = opencode(tmp_path)
    dialogue, seen = vendor.dialogue(RUN), Seen()
    for line in (RECORDINGS / "text.jsonl").read_bytes().splitlines():
        for fact in dialogue.hear(line).facts:
            seen.absorb(fact)
    assert vendor.verdict(RUN, seen, ending(143, why="lingered")).ok
    assert not vendor.verdict(RUN, seen, ending(143, why="cancelled")).ok


def test_its_gate_is_where_its_environment_says(tmp_path: Path) -> None:
    line = opencode(tmp_path).command(replace(RUN, base_url="unix:/run/gate/model.sock"))
    assert json.loads(line.env["OPENCODE_CONFIG_CONTENT"])["provider"]["own"]["options"] == {
        "baseURL": "http://127.0.0.1:8009/v1",
        "apiKey": "no-key-in-here",
    }
    assert (line.network, [str(forward.socket) for forward in line.forwards]) == (False, ["/run/gate/model.sock"])
    assert "--auto" in line.argv


def test_every_description_in_the_how_to_can_be_used(tmp_path: Path) -> None:
    blocks = toml_blocks()
    assert len(blocks) == 2
    for block in blocks:
        file = tmp_path / "agents.toml"
        file.write_text(block)
        assert read_agents(file, ("claude",))
