"""What every forge is asked for, against a double of each that speaks as the vendor has published it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest
from forges.double import Reply, certificate_in
from forges.made import Place, place

from penstock_agent_exec.forge import (
    Forge,
    ForgeAnswerBad,
    ForgeAuthRefused,
    ForgeFailed,
    ForgeLimited,
    ForgeMissing,
    ForgeRefused,
    ForgeUnreachable,
    find_or_open,
)
from penstock_agent_exec.forge import http
from penstock_agent_exec.forge.table import Provider

pytestmark = pytest.mark.anyio

TASK = "01jqa0task000000000000000a"
BRANCH = f"agent/{TASK}"


@pytest.fixture(params=get_args(Provider))
def there(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate_in(tmp_path)))
    with place(request.param, tmp_path) as found:
        yield found
        assert not found.double.wrong.said


async def publish(forge: Forge, branch: str = BRANCH, task: str = TASK) -> tuple[int, bool]:
    pull, adopted = await find_or_open(
        forge, branch, task=task, base="main", title="Mend the sum", body="It was wrong."
    )
    return pull.number, adopted


async def test_a_pull_request_is_opened_found_written_to_and_looked_at(there: Place) -> None:
    forge = there.forge()
    assert await forge.find(BRANCH) is None
    pull, adopted = await find_or_open(
        forge,
        BRANCH,
        task=TASK,
        base="main",
        title="Mend the sum",
        body="It was wrong.",
        draft=True,
        labels=("bot", "small"),
    )
    assert (pull.number, pull.head, pull.state, pull.task, adopted) == (1, BRANCH, "open", TASK, False)
    assert await find_or_open(forge, BRANCH, task=TASK, base="main", title="x", body="x") == (pull, True)
    await forge.update(1, title="Mend the sums", body="They were wrong.")
    await forge.comment(1, "Done as asked.")
    await forge.comment(1, "Done as asked.")
    seen = await forge.look(1)
    assert (seen.number, seen.state, seen.head_branch, seen.draft, seen.checks) == (1, "open", BRANCH, True, "none")
    assert seen.head_commit == there.project.head(BRANCH)
    assert [one.is_own for one in seen.comments] == [True]
    made = there.project.pulls[0]
    assert made.title.endswith("Mend the sums")
    assert (made.body, made.labels, len(made.comments)) == ("They were wrong.", ["bot", "small"], 1)
    assert [one.number for one in await forge.list_open(10)] == [1]
