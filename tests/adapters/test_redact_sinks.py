"""Given a secret that came past the first look, put together since or said by ourselves, it stays behind at the way out."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest
from nats.aio.client import Client
from servers import NatsForTest

from penstock import codec, ids
from penstock import subjects as s
from penstock.bounds import MESSAGE_LENGTH_MAX
from penstock.catalog import LeaseValue
from penstock.codec import encode
from penstock.events import DecisionRaised, JobStopped, PrepareFailed, VerifyFailed
from penstock.jobs import Job, PrepareWork
from penstock.reader import Reader
from penstock.values import CommandResult, RepoSnapshot
from penstock_agent_exec.git.failures import DETAIL_CHARACTERS_MAX, GitFailed
from penstock_agent_exec.redact import Redactor
from penstock_agent_exec.report import failed, news_of, report_of, stopped
from penstock_agent_exec.steps.bench import InHand
from penstock_agent_exec.stream_output import OutputStream, output_stream
from penstock_agent_exec.tenure import hold

pytestmark = pytest.mark.anyio

SECRET = "the-host's-own-secret"
REDACTOR = Redactor({"key": SECRET})
COLOURED = b"x the-host\x1b[31m's-own\x1b[0m-secret y"


@pytest.fixture
async def hand(nats: NatsForTest) -> AsyncIterator[InHand]:
    nc = await nats.connect("agent-exec")
    work = PrepareWork(repo=RepoSnapshot(name="calc", clone_url="/srv/calc.git"), branch="agent/x")
    job = Job(id=ids.fresh(), task=ids.fresh(), repo="calc", pool="scripted", host=None, work=work)
    value = LeaseValue(holder="h1", instance="i1", installation="n1")
    async with hold(nc, job.id, value, seconds=30) as tenure:
        yield InHand(job=job, tenure=tenure, output=OutputStream(nc, job, tenure.epoch), redactor=REDACTOR)
    await nc.close()


@pytest.fixture
async def reader(nats: NatsForTest) -> AsyncIterator[Client]:
    nc = await nats.connect()
    yield nc
    await nc.close()


async def test_a_secret_that_colours_had_cut_in_two_does_not_come_together_in_the_output(
    nats: NatsForTest, hand: InHand, reader: Client
) -> None:
    nc = await nats.connect("agent-exec")
    assert REDACTOR.whole(COLOURED) == COLOURED, "nothing for the first look to find"
    async with output_stream(nc, hand.job, 1, REDACTOR) as output:
        output.add_printed("verify", [COLOURED, b"the last"])
    await nc.close()
    subject = s.output("*", "*", hand.job.id)
    async with aclosing(Reader(reader, s.OUTPUT, filters=[subject]).batches()) as batches:
        async for batch in batches:
            assert SECRET.encode() not in batch[0].body
            lines = [line.text for line in codec.batches.decode(batch[0].body).lines]
            assert lines == ["x [secret] y", "the last"]
            break


async def test_no_report_holds_one_wherever_it_stands(hand: InHand) -> None:
    result = CommandResult(stage="test", command="make", exit_code=1, wall_seconds=1.0, tail=f"so\n{SECRET}\n")
    body = VerifyFailed(
        job=hand.job.id,
        epoch=hand.tenure.epoch,
        commit="a" * 40,
        error_class="test.failed",
        message=SECRET,
        commands=(result,),
    )
    report = report_of(hand, "h1", body)
    assert isinstance(report.body, VerifyFailed)
    assert (report.body.message, report.body.commands[0].tail) == ("[secret]", "so\n[secret]\n")
    question = DecisionRaised(
        job=hand.job.id,
        epoch=hand.tenure.epoch,
        decision=ids.fresh(),
        subject="publish",
        question=f"{SECRET}?",
        options=(SECRET,),
    )
    assert SECRET.encode() not in encode(news_of(hand, "h1", question))


async def test_half_a_secret_at_the_end_of_a_long_message_is_hidden_too(hand: InHand) -> None:
    words = "x" * (MESSAGE_LENGTH_MAX - 10) + " " + SECRET
    body = failed(hand, "git.failed", words)
    assert isinstance(body, PrepareFailed)
    assert "the-host" not in body.message
    ended = stopped(hand, f"because of {SECRET}")
    assert isinstance(ended, JobStopped)
    assert ended.reason == "because of [secret]"


def test_git_s_words_are_never_cut_within_a_secret() -> None:
    for length in range(40):
        words = f"begin {SECRET} " + "y" * (DETAIL_CHARACTERS_MAX - 30 + length)
        detail = GitFailed(words).detail
        assert SECRET in detail or not any(SECRET[at:] in detail for at in range(1, len(SECRET) - 5))
