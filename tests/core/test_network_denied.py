"""What a sandbox kept inside is put into the log, of the job that runs and once; and it decides nothing."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from scenario import TASK, Given, agent_ok, given, prepare_ok, recorded, report, seq_of, whole

from penstock.events import NetworkDenied
from penstock.jobs import AgentWork, CompactWork, PlanWork
from penstock.values import Price
from penstock_orchestrator.core.decide import accept
from penstock_orchestrator.core.evolve import evolve
from penstock_orchestrator.core.react import react

PRICE = Price(input_usd=3.0, output_usd=15.0)


def denial(state: Given, **more: object) -> NetworkDenied:
    job = state.state.job
    assert job is not None
    plain: dict[str, object] = {
        "job": job.id,
        "epoch": 7,
        "what": "egress",
        "target": "evil.example:443",
        "reason": "no",
    }
    return NetworkDenied(**(plain | more))  # type: ignore[arg-type]  # a test's own keywords


def checking() -> Given:
    return given(whole()).lives(prepare_ok, agent_ok).works()


@pytest.mark.parametrize("state", [given(whole()).lives(prepare_ok).works(), checking()], ids=["agent", "verify"])
def test_it_is_taken_from_the_job_that_runs_and_from_no_other(state: Given) -> None:
    said = denial(state)
    assert accept(state.state, report(said)) == [said]
    assert accept(state.state, report(denial(state, epoch=8))) == []
    assert accept(state.state, report(denial(state, job=TASK))) == []


def test_it_changes_nothing_but_that_it_is_known() -> None:
    state = given(whole()).lives(prepare_ok).works()
    assert state.state.job is not None
    said = denial(state)
    after = evolve(state.state, recorded(said, seq_of(state.state.job.id) + 5, cause="r1"))
    assert after is not None
    assert replace(after, commands=state.state.commands, seq=state.state.seq) == state.state
    assert react(after) == react(state.state)
    again = replace(report(said), id="r1")
    assert accept(after, again) == []
    assert accept(after, replace(again, id="r2")) == [said]


@pytest.mark.parametrize(("billing", "expected"), [("api", PRICE), ("subscription", None)])
def test_every_run_of_an_agent_is_told_what_its_tokens_cost(billing: str, expected: Price | None) -> None:
    states = (
        (given(whole(billing=billing, price=PRICE)).lives(prepare_ok), AgentWork),
        (given(whole(billing=billing, price=PRICE, mode="interactive")).lives(prepare_ok), PlanWork),
    )
    for state, kind in states:
        job = react(state.state)
        assert job is not None
        assert isinstance(job.work, kind)
        assert isinstance(job.work, AgentWork | PlanWork | CompactWork)
        assert job.work.price == expected
