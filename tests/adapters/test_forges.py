"""What every forge is asked for, against a double of each that speaks as the vendor has published it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, get_args

import msgspec
import pytest
from forges.double import Double, Reply, certificate_in, serving
from forges.gitea import GiteaDialect
from forges.made import Place, place

from penstock_agent_exec.forge import (
    COMMENTS_MAX,
    Forge,
    ForgeAnswerBad,
    ForgeAuthRefused,
    ForgeFailed,
    ForgeLimited,
    ForgeMissing,
    ForgeRefused,
    ForgeUnreachable,
    find_or_open,
    http,
    opening,
)
from penstock_agent_exec.forge.table import Provider
from penstock_agent_exec.git.names import check_remote

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
    made = there.project.pulls[0]
    theirs = made.title = made.title.replace("Mend the sum", "fix(calc): mend the sum")
    await forge.update(1, body="They were wrong.")
    await forge.comment(1, "Done as asked.")
    await forge.comment(1, "Done as asked.")
    seen = await forge.look(1)
    assert (seen.number, seen.state, seen.head_branch, seen.draft, seen.checks) == (1, "open", BRANCH, True, "none")
    assert seen.head_commit == there.project.head(BRANCH)
    assert [one.is_own for one in seen.comments] == [True]
    assert made.title == theirs
    assert (made.body, made.labels, len(made.comments)) == ("They were wrong.", ["bot", "small"], 1)
    assert [one.number for one in await forge.list_open(10)] == [1]


async def test_an_answer_that_is_lost_is_no_answer_and_nothing_is_opened_twice(there: Place) -> None:
    there.double.planned += [("POST .*(pulls|merge_requests)$", "lost"), ("POST .*(pulls|merge_requests)$", "lost")]
    assert await publish(there.forge()) == (1, False)
    assert len(there.project.pulls) == 1
    assert sum(asked.method == "POST" for asked in there.double.asked) == 1, "after a lost answer it is looked for"


async def test_an_answer_that_never_comes_is_waited_for_no_longer_than_that(
    there: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "ANSWER_SECONDS_MAX", 3.0)
    there.double.planned.append(("POST .*(pulls|merge_requests)$", "hang"))
    assert await publish(there.forge()) == (1, False)
    assert len(there.project.pulls) == 1


async def test_a_list_that_lags_behind_is_asked_again_when_the_forge_knows_better(
    there: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "PAUSE_SECONDS", 0.01)
    there.double.lag = 5
    there.double.planned.append(("POST .*(pulls|merge_requests)$", "lost"))
    assert await publish(there.forge()) == (1, False)
    assert len(there.project.pulls) == 1


async def test_two_at_the_same_moment_open_one(there: Place) -> None:
    one, other = await asyncio.gather(publish(there.forge()), publish(there.forge()))
    assert one[0] == other[0] == 1
    assert len(there.project.pulls) == 1


@pytest.mark.parametrize("merged", [True, False])
async def test_what_somebody_has_ended_is_adopted_by_its_task_and_not_in_the_way_of_another(
    there: Place, merged: bool
) -> None:
    forge = there.forge()
    await publish(forge)
    there.project.pulls[0].state, there.project.pulls[0].merged = "closed", merged
    found = await forge.find(BRANCH)
    assert found is not None
    assert (found.state, found.task) == ("merged" if merged else "closed", TASK)
    assert await publish(forge) == (1, True)
    assert (await forge.look(1)).state == found.state
    assert await publish(forge, task="01jqa0task000000000000000b") == (2, False)
    assert [one.number for one in await forge.list_open(10)] == [2]


async def test_what_was_merged_is_known_by_its_branch_when_that_is_gone(there: Place) -> None:
    forge = there.forge()
    await publish(forge)
    pull, head = there.project.pulls[0], there.project.head(BRANCH)
    assert head is not None
    pull.state, pull.merged, pull.sha = "closed", True, head
    there.project.gone.add(BRANCH)
    found = await forge.find(BRANCH)
    assert found is not None
    assert (found.number, found.state, found.head, found.task, found.commit) == (1, "merged", BRANCH, TASK, head)
    seen = await forge.look(1)
    assert (seen.head_branch, seen.head_commit) == (BRANCH, head)


async def test_what_was_merged_is_told_though_its_branch_has_gone_on_without_it(there: Place) -> None:
    forge = there.forge()
    await publish(forge)
    pull = there.project.pulls[0]
    pull.state, pull.merged, pull.sha = "closed", True, "1" * 40
    assert (await forge.look(1)).head_commit == "1" * 40
    assert (await forge.get(1)).commit == "1" * 40
    found = await forge.find(BRANCH)
    assert found is not None
    assert found.commit == "1" * 40


async def test_a_pull_request_of_a_fork_with_a_branch_of_the_same_name_is_not_ours(there: Place) -> None:
    forge = there.forge()
    stranger = there.double.make(there.project, BRANCH, "main", "Mine", "")
    stranger.fork = True
    assert await forge.find(BRANCH) is None
    assert await publish(forge) == (2, False)
    assert [one.number for one in await forge.list_open(10)] == [2]


async def test_one_that_people_have_made_from_the_same_branch_is_not_ours(there: Place) -> None:
    forge = there.forge()
    await publish(forge)
    there.double.make(there.project, BRANCH, "release", "Theirs", "By hand.")
    assert await publish(forge) == (1, True)
    there.project.pulls[0].state = "closed"
    assert await publish(forge) == (2, True), "an open one is before one that has ended"
    head = there.project.head(BRANCH)
    shown = [(one.number, one.state, one.task, one.commit) for one in [await forge.get(1), await forge.get(2)]]
    assert shown == [(1, "closed", TASK, head), (2, "open", "", head)]


async def test_a_repository_that_was_renamed_is_still_ours_by_its_old_name(there: Place) -> None:
    forge = there.forge()
    await publish(forge)
    there.project.name = there.project.name.replace("calc", "reckon")
    there.double.projects[there.project.name] = there.project
    assert await publish(forge) == (1, True)
    assert [one.number for one in await forge.list_open(10)] == [1]
    there.project.pulls[0].state, there.project.pulls[0].merged = "closed", True
    assert await publish(forge) == (1, True)


async def test_the_right_one_of_very_many_is_found(there: Place) -> None:
    for nth in range(250):
        there.double.make(there.project, f"other/{nth}", "main", "x", "")
    forge = there.forge()
    await publish(forge)
    for nth in range(250, 320):
        there.double.make(there.project, f"other/{nth}", "main", "x", "")
    assert await publish(forge) == (251, True)
    assert len(await forge.list_open(120)) == 120


@pytest.mark.parametrize(
    ("status", "headers", "kind", "transient"),
    [
        (401, {}, ForgeAuthRefused, False),
        (403, {}, ForgeAuthRefused, False),
        (404, {}, ForgeMissing, False),
        (422, {}, ForgeRefused, False),
        (400, {}, ForgeRefused, False),
        (429, {"retry-after": "120"}, ForgeLimited, True),
        (403, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "120"}, ForgeLimited, True),
        (403, {"retry-after": "120"}, ForgeLimited, True),
        (500, {}, ForgeUnreachable, True),
        (503, {"retry-after": "120"}, ForgeUnreachable, True),
    ],
)
async def test_each_no_has_a_class_and_a_time_where_one_was_said(
    there: Place,
    monkeypatch: pytest.MonkeyPatch,
    status: int,
    headers: dict[str, str],
    kind: type[ForgeFailed],
    transient: bool,
) -> None:
    monkeypatch.setattr(opening, "PAUSE_SECONDS", 0.01)
    no = Reply(status, {"message": "No @way <!-- x -->"}, headers)
    there.double.planned += [("POST .*(pulls|merge_requests)$", no)] * 3
    with pytest.raises(kind) as caught:
        await publish(there.forge())
    assert (type(caught.value), caught.value.transient) == (kind, transient)
    assert there.double.token not in str(caught.value)
    if headers:
        assert caught.value.retry_at is not None
        assert 100 < (caught.value.retry_at - datetime.now(UTC)).total_seconds() <= 121
    else:
        assert caught.value.retry_at is None


async def test_a_token_that_was_renewed_in_its_file_is_used_at_once(there: Place) -> None:
    forge = there.forge()
    there.double.token = "renewed"
    with pytest.raises(ForgeAuthRefused, match="then unblock the task"):
        await publish(forge)
    there.token_file.write_text("renewed\n")
    assert await publish(forge) == (1, False)
    there.token_file.unlink()
    with pytest.raises(ForgeAuthRefused, match="cannot be read"):
        await publish(forge)


async def test_another_host_is_not_shown_the_token(there: Place, tmp_path: Path) -> None:
    with serving(Double(there.double.dialect, there.double.certificate)) as other:
        moved = Reply(307, {}, {"location": f"{other.api}/elsewhere"})
        there.double.planned.append(("GET", moved))
        with pytest.raises(ForgeRefused, match="redirects to another host"):
            await there.forge().find(BRANCH)
        assert other.asked == []
    stranger = msgspec.structs.replace(there.repo, clone_url="https://forge.example/acme/calc.git")
    forge = there.forges().of(stranger, check_remote(stranger.clone_url, allow_local=False))
    assert forge is not None
    with pytest.raises(ForgeAuthRefused, match=r"holds no credential for forge\.example"):
        await forge.find(BRANCH)


async def test_a_redirect_on_the_same_host_is_followed_for_a_look_and_not_for_ever(there: Place) -> None:
    forge = there.forge()
    await publish(forge)
    path = there.double.asked[-1].path
    there.double.planned.append(("GET", Reply(301, {}, {"location": f"{there.double.api}{path}?state=all&per_page=9"})))
    if there.provider == "github":
        found = await forge.find(BRANCH)
        assert found is not None
    there.double.planned.clear()
    there.double.planned += [("GET", Reply(302, {}, {"location": f"{there.double.api}{path}"}))] * 5
    with pytest.raises(ForgeRefused, match="circles"):
        await forge.find(BRANCH)
    there.double.planned.clear()
    there.double.planned.append(("P(OST|UT|ATCH)", Reply(301, {}, {"location": f"{there.double.api}{path}"})))
    with pytest.raises(ForgeRefused, match="has moved"):
        await forge.label(1, ("x",))


async def test_an_answer_that_is_too_long_or_none_of_its_kind_is_said_to_be_so(
    there: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "ANSWER_BYTES_MAX", 10_000)
    there.double.planned.append(("GET", Reply(200, ["x" * 20_000])))
    with pytest.raises(ForgeAnswerBad, match="more than 10000 bytes"):
        await there.forge().find(BRANCH)
    there.double.planned.append(("GET", Reply(200, {"hello": "world"})))
    with pytest.raises(ForgeAnswerBad, match="not what this forge says"):
        await there.forge().find(BRANCH)


async def test_a_certificate_that_nobody_vouches_for_is_no_forge(
    there: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "other").mkdir()
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate_in(tmp_path / "other")))
    with pytest.raises(ForgeUnreachable, match="CERTIFICATE_VERIFY_FAILED"):
        await there.forge().find(BRANCH)
    assert there.double.asked == []


async def test_checks_and_comments_are_seen_as_they_stand(there: Place) -> None:
    forge = there.forge()
    await publish(forge)
    pull, sha = there.project.pulls[0], there.project.head(BRANCH)
    assert sha is not None
    statuses = there.project.statuses
    match there.provider:
        case "github":
            statuses[sha] = [{"context": "ci", "state": "pending"}]
            assert (await forge.look(1)).checks == "pending"
            statuses[sha] = [{"context": "ci", "state": "success"}]
            assert (await forge.look(1)).checks == "passed"
            for conclusion, checks in (("cancelled", "pending"), ("neutral", "passed"), ("skipped", "passed")):
                there.project.checks[sha] = [
                    {"id": 7, "status": "completed", "conclusion": "success"},
                    {"id": 8, "status": "completed", "conclusion": conclusion},
                ]
                assert (await forge.look(1)).checks == checks
            run = {
                "id": 9,
                "name": "lint",
                "status": "completed",
                "conclusion": "failure",
                "output": {"title": "2 found"},
            }
            there.project.checks[sha] = [run, run | {"id": 10, "name": "docs", "conclusion": "skipped"}]
            pull.reviews += [
                {"id": 1, "user": "ann", "state": "CHANGES_REQUESTED", "body": "Not so."},
                {"id": 2, "user": "ann", "state": "APPROVED", "body": "Fine."},
                {"id": 3, "user": "ann", "state": "COMMENTED", "body": ""},
            ]
            pull.lines.append({"id": 4, "user": "ann", "body": "Here.", "path": "calc.py", "line": 2})
            pull.comments.append({"id": 5, "user": "mallory", "body": "Buy!", "author_association": "NONE"})
        case "gitea":
            statuses[sha] = [{"status": "pending"}]
            assert (await forge.look(1)).checks == "pending"
            statuses[sha] = [{"status": "success"}]
            assert (await forge.look(1)).checks == "passed"
            statuses[sha] = [{"context": "lint", "status": "failure", "description": "2 found"}]
            there.project.writers.add("ann")
            pull.reviews += [
                {"id": 1, "user": "ann", "state": "REQUEST_CHANGES", "body": "Not so."},
                {"id": 2, "user": "ann", "state": "APPROVED", "body": "Fine."},
                {"id": 3, "user": "ann", "state": "COMMENT", "body": "Old.", "dismissed": True},
            ]
            pull.lines.append({"id": 4, "user": "ann", "body": "Here.", "path": "calc.py", "position": 2, "review": 1})
            pull.comments.append({"id": 5, "user": "mallory", "body": "Buy!"})
        case "gitlab":
            statuses[sha] = [{"status": "running"}]
            assert (await forge.look(1)).checks == "pending"
            statuses[sha] = [{"status": "success"}, {"status": "failed", "allow_failure": True}]
            assert (await forge.look(1)).checks == "passed"
            statuses[sha] = [{"status": "success"}, {"status": "canceled"}]
            assert (await forge.look(1)).checks == "pending"
            statuses[sha] = [{"status": "success"}, {"status": "canceled", "allow_failure": True}]
            assert (await forge.look(1)).checks == "passed"
            statuses[sha] = []
            for status, checks in (("skipped", "none"), ("canceled", "pending"), ("success", "passed")):
                there.project.pipeline = {"status": status, "sha": sha}
                assert (await forge.look(1)).checks == checks
            statuses[sha] = [{"name": "lint", "status": "failed", "description": "2 found"}]
            there.project.writers.add("ann")
            pull.comments += [
                {"id": 1, "user": "ann", "body": "Not so."},
                {"id": 2, "user": "ann", "body": "approved this merge request", "system": True},
                {"id": 3, "user": "ann", "body": "Old.", "resolved": True},
                {"id": 5, "user": "mallory", "body": "Buy!"},
            ]
            pull.lines.append(
                {"id": 4, "user": "ann", "body": "Here.", "position": {"new_path": "calc.py", "new_line": 2}}
            )
    seen = await forge.look(1)
    assert (seen.checks, [one.name for one in seen.failed_checks]) == ("failed", ["lint"])
    assert seen.failed_checks[0].summary.startswith("2 found")
    told = [(one.author, one.text, one.path, one.line, one.is_trusted) for one in seen.comments]
    assert told == [
        ("ann", "Not so.", "", None, True),
        ("ann", "Here.", "calc.py", 2, True),
        ("mallory", "Buy!", "", None, False),
    ]
    there.project.private = True
    if there.provider != "github":
        assert all(one.is_trusted for one in (await forge.look(1)).comments)
    pull.sha = ""
    there.project.pulls[0].head = "moved"
    assert (await forge.look(1)).head_commit == there.project.head("moved")


def check_run(number: int, conclusion: str | None, began: str, ended: str | None) -> dict[str, object]:
    """One of GitHub's, begun and ended at these times of a day."""
    day = "2026-01-26T"
    return {
        "id": number,
        "name": "title",
        "status": "queued" if conclusion is None else "completed",
        "conclusion": conclusion,
        "started_at": f"{day}{began}Z",
        "completed_at": None if ended is None else f"{day}{ended}Z",
    }


@pytest.mark.parametrize("there", ["github"], indirect=True)
async def test_a_check_that_was_made_again_for_the_same_commit_takes_the_place_of_the_first(there: Place) -> None:
    forge = there.forge()
    await publish(forge)
    sha = there.project.head(BRANCH)
    assert sha is not None
    failed = check_run(1, "failure", "09:00:00", "09:01:00")
    there.project.checks[sha] = [check_run(2, "success", "09:05:00", "09:06:00"), failed]
    assert (await forge.look(1)).checks == "passed"
    there.project.checks[sha] = [check_run(2, None, "09:05:00", None), failed]
    assert (await forge.look(1)).checks == "pending"
    another_job_of_this_name = check_run(2, "success", "09:00:01", "09:00:30")
    there.project.checks[sha] = [another_job_of_this_name, failed]
    assert (await forge.look(1)).checks == "failed"
    another_app = check_run(2, "success", "09:05:00", "09:06:00") | {"app": None}
    there.project.checks[sha] = [another_app, failed]
    assert (await forge.look(1)).checks == "failed"


async def test_many_checks_are_read_to_the_last_and_those_beyond_are_not_called_passed(there: Place) -> None:
    forge = there.forge()
    await publish(forge)
    if isinstance(there.double.dialect, GiteaDialect):
        there.double.dialect.page_max = 30
    state = "state" if there.provider == "github" else "status"
    name = "name" if there.provider == "gitlab" else "context"
    bad = "failed" if there.provider == "gitlab" else "failure"
    statuses = [{name: f"ci {nth}", state: "success"} for nth in range(130)]
    head = there.project.head(BRANCH)
    assert head is not None
    there.project.statuses[head] = statuses
    assert (await forge.look(1)).checks == "passed"
    statuses[-1] |= {name: "the last", state: bad}
    seen = await forge.look(1)
    assert (seen.checks, [one.name for one in seen.failed_checks]) == ("failed", ["the last"])
    statuses[-1] |= {state: "success"}
    statuses += [{name: f"more {nth}", state: "success"} for nth in range(300)]
    assert (await forge.look(1)).checks == "pending"


@pytest.mark.parametrize("there", ["gitlab"], indirect=True)
async def test_a_pipeline_of_another_commit_says_nothing_of_this_one(there: Place) -> None:
    forge = there.forge()
    await publish(forge)
    head, project = there.project.head(BRANCH), there.project
    project.pipeline = {"status": "failed", "sha": "1" * 40}
    assert (await forge.look(1)).checks == "none", "the last push has made no pipeline"
    project.pipeline = {"status": "failed", "sha": head}
    seen = await forge.look(1)
    assert (seen.checks, [one.name for one in seen.failed_checks]) == ("failed", ["pipeline"])
    project.pipeline = {"status": "running", "sha": "1" * 40, "ref": "refs/merge-requests/1/merge"}
    assert (await forge.look(1)).checks == "pending", "it is of what it would be merged to"


@pytest.mark.parametrize("merged", [True, False])
async def test_an_end_is_seen_whatever_is_said_below_it(there: Place, merged: bool) -> None:
    """More than is read of any answer: one stranger is enough for that where a comment may have any length."""
    forge = there.forge()
    await publish(forge)
    pull = there.project.pulls[0]
    pull.comments.append({"id": 1, "user": "mallory", "body": "x" * (http.ANSWER_BYTES_MAX + 1)})
    with pytest.raises(ForgeAnswerBad):
        await forge.look(1)
    pull.state, pull.merged = "closed", merged
    assert (await forge.look(1)).state == ("merged" if merged else "closed")


async def test_very_many_comments_are_read_to_a_bound(there: Place) -> None:
    forge = there.forge()
    await publish(forge)
    there.project.pulls[0].comments += [{"id": nth, "user": "ann", "body": f"{nth}"} for nth in range(1, 1_500)]
    assert len((await forge.look(1)).comments) == COMMENTS_MAX


ANN, MALLORY = "ann", "mallory"


def say(there: Place, kind: str, author: str, text: str, at: int) -> None:
    """One remark at this second of the day: a review, one on a line or one on the whole; where there are no reviews, a note."""
    pull, when = there.project.pulls[0], f"2026-01-26T{at // 3600:02}:{at // 60 % 60:02}:{at % 60:02}Z"
    plain: dict[str, object] = {"id": at + 1, "user": author, "body": text, "created_at": when}
    there.project.writers.add(ANN)
    if there.provider == "github":
        plain["author_association"] = "MEMBER" if author == ANN else "NONE"
    if kind == "review" and there.provider != "gitlab":
        del plain["created_at"]
        state = "CHANGES_REQUESTED" if there.provider == "github" else "REQUEST_CHANGES"
        pull.reviews.append(plain | {"state": state, "submitted_at": when})
    elif kind == "line" and there.provider == "gitea":
        review = {"id": 90_000 + at, "user": author, "state": "COMMENT", "body": "", "submitted_at": when}
        pull.reviews.append(review)
        pull.lines.append(plain | {"path": "calc.py", "position": 2, "review": 90_000 + at})
    elif kind == "line" and there.provider == "github":
        pull.lines.append(plain | {"path": "calc.py", "line": 2})
    else:
        pull.comments.append(plain)


KINDS: Final = ("review", "line", "whole")


@pytest.mark.parametrize("flood", KINDS)
async def test_what_strangers_say_leaves_room_for_all_that_counts(there: Place, flood: str) -> None:
    forge = there.forge()
    await publish(forge)
    for nth, kind in enumerate(KINDS):
        say(there, kind, ANN, f"early {kind}", nth)
    for nth in range(300):
        say(there, flood, MALLORY, "Buy!", 100 + nth)
    say(there, "whole", ANN, "late", 1_000)
    seen = await forge.look(1)
    heard = [one.text for one in seen.comments if one.is_trusted]
    assert heard == ["early review", "early line", "early whole", "late"]
    others = [int(one.id.rpartition("-")[2]) for one in seen.comments if not one.is_trusted]
    newest = [100 + nth + 1 for nth in range(300)]
    assert others == newest[-len(others) :], "of those of strangers the newest, in their order"
    assert seen.left_out
    assert len(seen.comments) == (COMMENTS_MAX if (flood, there.provider) != ("line", "gitea") else 33)


async def test_of_more_than_can_be_told_the_oldest_go_whatever_their_kind(there: Place) -> None:
    forge = there.forge()
    await publish(forge)
    for nth in range(210):
        say(there, ("whole", "review")[nth % 2], ANN, f"{nth}", nth)
    seen = await forge.look(1)
    assert [one.text for one in seen.comments] == [f"{nth}" for nth in range(10, 210)]
    assert seen.left_out


async def test_named_reviewers_are_those_that_count(there: Place) -> None:
    forge = there.forge()
    await publish(forge)
    say(there, "whole", "a-bot", "Not so.", 0)
    for nth in range(COMMENTS_MAX):
        say(there, "whole", ANN, f"{nth}", 100 + nth)
    assert "Not so." not in {one.text for one in (await forge.look(1)).comments}
    seen = await forge.look(1, ("a-bot",))
    assert [one.text for one in seen.comments] == ["Not so.", *(f"{nth}" for nth in range(1, COMMENTS_MAX))]
    assert not seen.comments[0].is_trusted


async def test_of_a_very_long_talk_the_end_is_read(there: Place) -> None:
    forge = there.forge()
    await publish(forge)
    for nth in range(1_550):
        say(there, "whole", MALLORY, f"{nth}", nth)
    say(there, "whole", ANN, "late", 2_000)
    seen = await forge.look(1)
    assert (len(seen.comments), seen.comments[-1].text, seen.left_out) == (COMMENTS_MAX, "late", True)
    assert seen.comments[0].text == f"{1_550 - COMMENTS_MAX + 1}"


@pytest.mark.parametrize("there", ["gitea"], indirect=True)
async def test_who_replies_in_the_review_of_somebody_who_counts_is_still_a_stranger(there: Place) -> None:
    forge = there.forge()
    await publish(forge)
    pull = there.project.pulls[0]
    pull.reviews.append({"id": 1, "user": ANN, "state": "REQUEST_CHANGES", "body": "Not so.", "official": True})
    for key, author in ((2, ANN), (3, MALLORY)):
        pull.lines.append({"id": key, "user": author, "body": "Here.", "path": "calc.py", "position": 2, "review": 1})
    seen = await forge.look(1)
    assert [(one.author, one.is_trusted) for one in seen.comments] == [(ANN, True), (ANN, True), (MALLORY, False)]


async def test_labels_that_were_not_reached_are_made_up_for_when_it_is_adopted(
    there: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "PAUSE_SECONDS", 0.01)
    forge = there.forge()
    there.double.planned += [("(POST .*/labels|PUT )", "broken")] * 3
    wanted = {"task": TASK, "base": "main", "title": "Mend the sum", "body": "", "labels": ("bot",)}
    with pytest.raises(ForgeUnreachable):
        await find_or_open(forge, BRANCH, **wanted)  # type: ignore[arg-type]  # as above
    assert there.project.pulls[0].labels == []
    pull, adopted = await find_or_open(forge, BRANCH, **wanted)  # type: ignore[arg-type]  # likewise
    assert (pull.number, adopted, there.project.pulls[0].labels) == (1, True, ["bot"])
