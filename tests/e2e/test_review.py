"""After the pull request, with everything real but the forge, which is a file: reviews and checks lead to fix runs, people take
over, and the merge is the end.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import httpx2
import pytest
from msgspec.structs import replace
from orchestrator_fixtures import tags
from patience import WAIT_SECONDS_MAX
from ports import free_port
from processes import ServiceProcess
from whole import AT_ONCE, CALC_MENDED, Remote, Whole, calc_remote, git, whole

from penstock.events import (
    FeedbackAccepted,
    PublishSucceeded,
    PullRequestStirred,
    PullRequestTakenOver,
    Recorded,
    TaskBlocked,
    TaskSucceeded,
)
from penstock_agent_exec.forge import Check, Comment
from penstock_agent_exec.forge.recording import Recorded as Entry
from penstock_agent_exec.forge.recording import plant, recorded

pytestmark = pytest.mark.anyio

SECRET: Final = "the-secret-of-the-calc-webhook"
QUICK: Final = {
    "look_seconds_min": "0.2",
    "look_seconds": "1",
    "look_seconds_max": "2",
    "settle_seconds": "0.5",
    "fix_runs_max": "1",
}
ANSWERED: Final = "def add(a, b):\n    # Of two numbers.\n    return a + b\n"
REVIEWED: Final = {
    "cases": [
        {
            "when": {"prompt_contains": "Feedback on your pull request"},
            "steps": [
                {"do": "write", "path": "calc.py", "content": ANSWERED},
                {"do": "commit", "message": "Say of what"},
                {"do": "say", "text": "I have said of what it is the sum."},
            ],
        }
    ],
    "attempts": AT_ONCE["attempts"],
}
THREE: Final = tuple(Comment(f"c{nth}", "ann", f"Say of what, {nth}.", "calc.py", nth) for nth in (1, 2, 3))
RED: Final = (Check("ci / test", "https://ci.example/1", "1 of 9 failed"), Check("ci / lint"))


@pytest.fixture
def remote(tmp_path: Path) -> Remote:
    return calc_remote(tmp_path / "calc")


@asynccontextmanager
async def two_apis(folder: Path) -> AsyncIterator[tuple[Whole, list[str]]]:
    """Everything, and one more process of the api over the same database; the addresses of both."""
    secrets = folder / "w" / "secrets"
    more = {"orchestrator": QUICK, "api": {"secrets_dir": str(secrets)}}
    async with whole(folder / "w", more=more) as house:
        (secrets / "calc-hook").write_text(SECRET)
        house.script("reviewed", REVIEWED)
        port = free_port()
        second = ServiceProcess(
            "penstock_api",
            "api",
            house.nats,
            house.folder / "api2",
            database_url=house.postgres.dsn(),
            http_port=str(port),
            secrets_dir=str(secrets),
        )
        second.start()
        try:
            await second.ready()
            yield house, [str(house.http.base_url), f"http://127.0.0.1:{port}"]
        finally:
            second.end()


async def deliver(url: str, event: str, payload: dict[str, Any], delivery: str) -> str:
    """What the api makes of the webhook."""
    body = json.dumps(payload).encode()
    headers = {
        "content-type": "application/json",
        "x-gitea-event": event,
        "x-gitea-delivery": delivery,
        "x-gitea-signature": hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest(),
    }
    async with httpx2.AsyncClient(timeout=WAIT_SECONDS_MAX) as client:
        answer = await client.post(f"{url.rstrip('/')}/v1/hooks/gitea/calc", content=body, headers=headers)
    assert answer.status_code in (200, 202), answer.text
    return str(answer.json()["outcome"])


def about(number: int = 1, **more: object) -> dict[str, Any]:
    return {"pull_request": {"number": number}, "sender": {"login": "ann"}} | more


def nth(kind: type[object], number: int, wanted: Callable[[Any], bool] = lambda _: True) -> Callable[[Recorded], bool]:
    seen = 0

    def reached(event: Recorded) -> bool:
        nonlocal seen
        seen += isinstance(event.data, kind) and wanted(event.data)
        return seen >= number

    return reached


def of(events: list[Recorded], kind: type[object]) -> list[Any]:
    return [event.data for event in events if isinstance(event.data, kind)]


async def test_a_review_is_answered_on_the_same_pull_request_until_the_cap_a_person_or_the_merge(
    tmp_path: Path, remote: Remote
) -> None:
    async with two_apis(tmp_path) as (house, urls):
        await house.add_repo(
            "calc", str(remote.path), provider="recording", follow=True, hook_secret_ref="file:calc-hook"
        )
        task = await house.submit(model="reviewed")
        await house.until(task, nth(PublishSucceeded, 1))
        shown = await house.task(task, lambda found: found["phase"] == "in_review")
        assert (shown["admitted"], shown["review"]["number"], shown["review"]["fix_runs"]) == (False, 1, 0)
        forge, first = house.folder / "h1" / "forge", remote.branches()[f"agent/{task}"]

        def change(make: Callable[[Entry], Entry]) -> None:
            plant(forge, "calc", 1, make)

        change(lambda entry: replace(entry, head_commit=first, checks="failed", failed_checks=RED, comments=THREE))
        outcomes = await asyncio.gather(
            *(deliver(url, "pull_request_review", about(n=1), "d-1") for url in urls for _ in range(5))
        )
        assert sorted(outcomes) == ["known"] * 9 + ["told"]

        events = await house.until(task, nth(PublishSucceeded, 2))
        assert of(events, FeedbackAccepted) == [
            FeedbackAccepted(
                number=1, head_commit=first, checks=("ci / test", "ci / lint"), comments=("c1", "c2", "c3")
            )
        ]
        assert remote.file(f"agent/{task}", "calc.py") == ANSWERED
        (entry,) = recorded(forge)
        assert (entry.updates, len(entry.said)) == (1, 1)
        assert entry.said[0].startswith("Fix run 1 for 3 comments and 2 failed checks: commit ")
        assert "I have said of what it is the sum." in entry.said[0]

        # The cap is one: what comes next is for a person.
        change(lambda entry: replace(entry, comments=(*THREE, Comment("c4", "ben", "And of which numbers?"))))
        assert await deliver(urls[1], "pull_request_comment", about(n=2), "d-2") == "told"
        events = await house.until(task, nth(TaskBlocked, 1))
        assert of(events, TaskBlocked)[0].reason == "review.fix_runs"

        # Somebody answers it with a commit of their own: the task waits for the end, and for nobody any more.
        tree = tmp_path / "human"
        git(tmp_path, "clone", "-q", "-b", f"agent/{task}", str(remote.path), str(tree))
        (tree / "calc.py").write_text(CALC_MENDED)
        git(tree, "commit", "-qam", "As it was")
        git(tree, "push", "-q")
        change(lambda entry: replace(entry, head_commit=""))
        assert await deliver(urls[0], "push", {"ref": f"refs/heads/agent/{task}", "n": 3}, "d-3") == "told"
        events = await house.until(task, nth(PullRequestTakenOver, 1))
        shown = await house.task(task, lambda found: found["phase"] == "in_review")
        assert shown["review"]["taken_over"]
        assert "somebody else has pushed" in shown["waiting_for"]

        change(
            lambda entry: replace(entry, state="merged", comments=(*entry.comments, Comment("c5", "cy", "One more?")))
        )
        assert await deliver(urls[0], "pull_request", about(action="closed"), "d-4") == "told"
        events = await house.until(task)
        (end,) = of(events, TaskSucceeded)
        assert end.delivery.number == 1
        assert len(of(events, FeedbackAccepted)) == 1
        assert len(of(events, PullRequestStirred)) == 4, [tags(event) for event in events]
        # The first one once more, an hour or a year later: its task has ended, and it was taken anyway.
        assert await deliver(urls[1], "pull_request_review", about(n=1), "d-1") == "known"
        assert await house.task(task, lambda found: found["phase"] == "done")


async def test_a_look_by_the_clock_finds_the_merge_though_no_webhook_comes(tmp_path: Path, remote: Remote) -> None:
    async with whole(tmp_path / "w", more={"orchestrator": QUICK}) as house:
        await house.add_repo("calc", str(remote.path), provider="recording", follow=True)
        first = await house.submit()
        second = await house.submit(title="And the product", depends_on=[first])
        await house.until(first, nth(PublishSucceeded, 1))
        plant(house.folder / "h1" / "forge", "calc", 1, lambda entry: replace(entry, state="merged", checks="passed"))
        assert tags((await house.until(first))[-1]) == "task_succeeded"
        assert tags((await house.until(second, nth(PublishSucceeded, 1)))[-1]) == "publish_succeeded"
        plant(house.folder / "h1" / "forge", "calc", 2, lambda entry: replace(entry, state="closed"))
        end = (await house.until(second))[-1]
        assert (tags(end), end.data.error_class) == ("task_failed", "review.closed")  # type: ignore[union-attr]
