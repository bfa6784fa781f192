"""The real Claude Code on real code of some size, its model played by a script: from HTTP to the pushed branch."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from agent_programs import claude_or_skip
from fake_model import Call, Calls, Conversation, FakeModel, Say, Script
from orchestrator_fixtures import tags
from real_package import RIGHT, WRONG, repository
from whole import HAPPY, ONE_OF_EACH, Whole, git, whole

from penstock.events import AgentSucceeded, TaskSucceeded, VerifySucceeded

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(1_800)]

COMMIT = "git commit -q -a -m 'Say true for yes' && git log --oneline | head -1 && env && ls /proc | head -5"
SCRIPT = Script(
    (
        Conversation(
            (
                Calls(
                    (Call("Bash", {"command": "python3 -m unittest -q test_options", "description": "see"}),), "I look."
                ),
                Calls((Call("Read", {"file_path": "pygments/util.py"}),), "I read the helper."),
                Calls(
                    (
                        Call(
                            "Edit",
                            {"file_path": "pygments/util.py", "old_string": WRONG, "new_string": RIGHT},
                        ),
                    ),
                    "The answer is turned round.",
                ),
                Calls((Call("Bash", {"command": COMMIT, "description": "commit"}),), "I commit."),
                Say("`get_bool_opt` says True for the words of truth again."),
            )
        ),
    )
)

# A killed and resumed CLI has forgotten which files it has read, and refuses to edit them: a real model would read again,
# this one knows only its lines. So it edits by a command that may be run twice.
MEND = (
    "python3 - <<'E'\nimport pathlib\np = pathlib.Path('pygments/util.py')\n"
    f"p.write_text(p.read_text().replace({WRONG!r}, {RIGHT!r}))\nE"
)
STUBBORN = Script(
    (
        Conversation(
            (
                Calls((Call("Read", {"file_path": "pygments/util.py"}),), "I read the helper."),
                Calls((Call("Bash", {"command": "ls", "description": "look"}),), "I look around."),
                Calls((Call("Bash", {"command": MEND, "description": "mend"}),), "I mend it."),
                Calls((Call("Bash", {"command": "git commit -q -a -m Mend || true", "description": "commit"}),)),
                Say("Done."),
            )
        ),
    )
)


@pytest.fixture
async def house_and_model(tmp_path: Path) -> AsyncIterator[tuple[Whole, FakeModel]]:
    claude_or_skip()
    async with FakeModel(SCRIPT) as model, whole(tmp_path / "w", model_url=model.base_url) as found:
        yield found, model


async def test_claude_mends_a_real_package_and_the_branch_is_on_the_remote(
    house_and_model: tuple[Whole, FakeModel], tmp_path: Path
) -> None:
    house, model = house_and_model
    remote = repository(tmp_path / "pygments")
    await house.add_repo("pygments", str(remote.path), test="python3 -m unittest -q test_options")
    task = await house.submit(repo="pygments", title="get_bool_opt must say True for yes", vendor="claude", model="")
    frames = [frame async for frame in house.frames(task)]
    events = await house.until(task)
    # A run that takes long tells what it has used meanwhile.
    assert [tags(event) for event in events if tags(event) != "agent_progressed"] == HAPPY, house.logs()

    # The agent's turns were on the stream before the event that says it has ended.
    lines = [line for event, _, data in frames if event == "output" for line in data["lines"]]
    assert any("I read the helper" in line.get("text", "") for line in lines)
    assert {"Read", "Edit", "Bash"} <= {line.get("tool", "") for line in lines}
    first_turn = next(number for number, frame in enumerate(frames) if frame[0] == "output")
    assert first_turn < [event for event, _, _ in frames].index("agent_succeeded")

    done = next(event.data for event in events if isinstance(event.data, AgentSucceeded))
    assert done.change.files == ("pygments/util.py",)
    assert done.usage.turns >= 4
    assert done.vendor_version
    passed = next(event.data for event in events if isinstance(event.data, VerifySucceeded))
    assert passed.commands[0].exit_code == 0
    end = events[-1].data
    assert isinstance(end, TaskSucceeded)
    assert remote.branches()[f"agent/{task}"] == end.delivery.commit
    assert RIGHT in git(remote.path, "show", f"agent/{task}:pygments/util.py")
    assert len(remote.pushes) == 1

    # The key was added outside: the model got it, and the agent's own shell did not show it.
    assert all(seen.headers.get("x-api-key") == "sk-ant-the-real-key-of-this-test" for seen in model.requests)
    assert not any("sk-ant-the-real-key-of-this-test" in seen.text for seen in model.requests)
    assert "no network" in done.sandbox


@pytest.mark.parametrize("victim", [*ONE_OF_EACH, "nats", "postgres"])
async def test_a_run_of_claude_survives_the_kill_of(
    victim: str, house_and_model: tuple[Whole, FakeModel], tmp_path: Path
) -> None:
    house, model = house_and_model
    model.script = STUBBORN
    remote = repository(tmp_path / "pygments")
    await house.add_repo("pygments", str(remote.path), test="python3 -m unittest -q test_options")
    task = await house.submit(repo="pygments", title="get_bool_opt must say True for yes", vendor="claude", model="")
    # In the middle of the agent's work: it has read the file and is about to be told to mend it.
    await model.arrived(3)
    await house.kill(victim)
    await house.start(victim)
    events = await house.until(task)
    assert tags(events[-1]) == "task_succeeded", house.logs()
    assert [tags(event) for event in events].count("agent_succeeded") == 1
    assert RIGHT in git(remote.path, "show", f"agent/{task}:pygments/util.py")
    assert len(remote.pushes) == 1
