"""Given a repository with a flaky test and two that fail, when tasks go through the whole of it, then what each is worth is in
its end, in its pull request and in what can be downloaded."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
from executor_world import COMMIT
from reporting_suite import REPOSITORY, TEST, cases
from whole import Remote, Whole, whole

from penstock.events import AgentRequested, Recorded, TaskSucceeded, TaskUnverified, VerifyFailed, VerifySucceeded

pytestmark = pytest.mark.anyio
T = TypeVar("T")


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[Whole]:
    async with whole(tmp_path / "w") as found:
        yield found


def writes(**changed: str) -> list[dict[str, Any]]:
    mark = {"do": "write", "path": "changed", "content": f"{sorted(changed)}\n"}
    return [{"do": "write", "path": "cases.json", "content": cases(**changed)}, mark, COMMIT]


def said(events: list[Recorded], kind: type[T]) -> list[T]:
    return [event.data for event in events if isinstance(event.data, kind)]


async def test_flaky_new_and_old_failures_lead_to_different_ends(house: Whole, tmp_path: Path) -> None:
    remote = Remote(tmp_path / "suite", REPOSITORY)
    await house.add_repo("suite", str(remote.path), TEST, checking={"baseline": "failed"})
    house.script("flaky", {"attempts": [writes(old="passes", mended="passes", flick="flaky")]})
    house.script("breaks", {"attempts": [writes(will="fails"), writes(off="passes")]})
    flaky, breaks = [await house.submit(repo="suite", model=model) for model in ("flaky", "breaks")]
    one, other = await asyncio.gather(house.until(flaky), house.until(breaks))

    (end,) = said(one, TaskSucceeded)
    assert end.reservations == ("flaky",)
    (passed,) = said(one, VerifySucceeded)
    answer = await house.call("GET", f"/v1/tasks/{flaky}/outputs/{passed.job}/test-again")
    assert gzip.decompress(answer.content) == b"try 2: 0 failed\n"

    (unverified,) = said(other, TaskUnverified)
    assert (unverified.reason, unverified.reservations) == ("failed_before", ("failed_before",))
    first, last = said(other, VerifyFailed)
    assert first.commands[0].before is not None
    assert last.commands[0].before is not None
    assert (first.commands[0].before.new_names, last.commands[0].before.new_names) == (("t::will",), ())
    assert last.commands[0].before.failed_before_names == ("t::mended", "t::old")
    assert last.commands[0].before.wall_seconds == 0.0
    hint = said(other, AgentRequested)[1].hint
    assert "New failures, which were none before your change: `t::will`" in hint
    assert "leave them alone unless the task is about them: `t::mended`, `t::old`" in hint
    shown = await house.task(breaks, lambda found: found["phase"] == "done")
    assert (shown["outcome"], shown["reason"]) == ("unverified", "failed_before")
