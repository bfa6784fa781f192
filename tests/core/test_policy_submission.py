"""A new task: what was asked, what the template, the repo and the defaults say, and what is refused before it begins."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from msgspec.structs import replace
from scenario import (
    HEAD,
    REPO,
    T0,
    TASK,
    WHOLE_POLICY,
    Given,
    agent_ok,
    failed,
    given,
    prepare_ok,
    publish_ok,
    unblock,
    verify_ok,
    whole,
)

from penstock.catalog import FleetSettings, PriceOf, Repo, Template
from penstock.commands import ContinueTask, RetryTask, SubmitTask
from penstock.events import DependencyResolved, TaskCancelRequested, TaskSubmitted
from penstock.values import Checking, Continuation, Delivery, Origin, PlanGate, Policy, Price, VerifyCommands, Window
from penstock.wish import Wish
from penstock_orchestrator.core.refused import Refused
from penstock_orchestrator.core.submit import Known, again, fingerprint, price_of, submit, wish_of
from penstock_orchestrator.core.task import Task

NEW, OTHER = "n" * 26, "o" * 26
SHOP = Repo(name="shop", clone_url="https://git.example/shop.git", verify=VerifyCommands(test="make test"))
KNOWN = Known(repo=SHOP, policy=WHOLE_POLICY, vendors=("scripted", "claude"))
CHEAP, DEAR, OURS = (Price(input_usd=usd, output_usd=usd) for usd in (1.0, 9.0, 5.0))


def command(**more: object) -> SubmitTask:
    plain: dict[str, object] = {"id": "i" * 26, "task": TASK, "repo": "shop", "title": "x"}
    return SubmitTask(**(plain | more))  # type: ignore[arg-type]  # a test's own keywords


def submitted(known: Known = KNOWN, /, **more: object) -> TaskSubmitted:
    (event,) = submit(None, command(**more), known)
    assert isinstance(event, TaskSubmitted)
    return event


def refused(known: Known = KNOWN, /, **more: object) -> Refused:
    with pytest.raises(Refused) as caught:
        submit(None, command(**more), known)
    return caught.value


# What is filled in


def test_what_nobody_says_is_filled_in() -> None:
    event = submitted(submitted_by="ann")
    assert event == TaskSubmitted(
        title="x",
        vendor="claude",
        repo=replace(REPO, checking=Checking()),
        policy=WHOLE_POLICY,
        submitted_by="ann",
        fingerprint=fingerprint(command(submitted_by="ann")),
    )
    assert (event.priority, event.mode, event.flow, event.billing) == (5, "autonomous", "branch", "api")
    assert (event.max_attempts, event.max_turns, event.max_cost_usd, event.max_wall_seconds) == (3, 50, None, 3_600.0)


def test_every_wish_is_heard() -> None:
    wishes: dict[str, object] = {
        "description": "d",
        "acceptance": "a",
        "priority": 2,
        "labels": ("l",),
        "mode": "interactive",
        "plan_gate": PlanGate(silence="deny", silence_seconds=9.0),
        "depends_on": (OTHER,),
        "vendor": "scripted",
        "model": "m",
        "backup_vendor": "claude",
        "backup_model": "s",
        "billing": "subscription",
        "account": "team",
        "flow": "patch",
        "max_attempts": 7,
        "max_turns": None,
        "max_cost_usd": 1.5,
        "max_wall_seconds": 9.0,
        "skip_verify": True,
        "window": Window(opens="01:00", closes="02:00"),
        "scope": ("src",),
    }
    event = submitted(**wishes)
    assert {name: getattr(event, name) for name in wishes} == wishes
    assert set(wishes) | {"repo", "title"} == set(Wish.__struct_fields__)


def test_a_wish_stands_above_its_template_and_the_template_above_the_repo() -> None:
    template = Template(
        name="small", task=Wish(repo="shop", title="from the template", priority=1, vendor="scripted", max_turns=None)
    )
    repo = replace(SHOP, window=Window(opens="20:00", closes="06:00"))
    known = replace(KNOWN, template=template, repo=repo)
    event = submitted(known, template="small", priority=9)
    assert (event.title, event.priority, event.vendor, event.max_turns) == ("x", 9, "scripted", None)
    assert (event.template, event.window) == ("small", repo.window)
    assert submitted(known, template="small", window=None).window is None
    bare = SubmitTask(id="i" * 26, task=TASK, template="small")
    (filled,) = submit(None, bare, known)
    assert isinstance(filled, TaskSubmitted)
    assert filled.title == "from the template"
    assert wish_of(command(), None) == command()


def test_the_origin_and_the_limit_of_the_repo_are_kept() -> None:
    origin = Origin(kind="schedule", name="nightly", scheduled_for=T0)
    event = submitted(replace(KNOWN, repo=replace(SHOP, abstain_below=0.0)), origin=origin)
    assert (event.origin, event.policy.abstain_below) == (origin, 0.0)
    assert submitted(replace(KNOWN, repo=replace(SHOP, abstain_below=70.0))).policy.abstain_below == 70.0
    assert submitted().policy == WHOLE_POLICY


def test_the_same_dependency_named_twice_is_one() -> None:
    assert submitted(depends_on=(OTHER, "p" * 26, OTHER)).depends_on == (OTHER, "p" * 26)


def test_the_price_with_the_longest_fitting_name_counts_for_each_vendor() -> None:
    settings = FleetSettings(
        prices=(
            PriceOf(vendor="claude", model="big", price=DEAR),
            PriceOf(vendor="claude", price=CHEAP),
            PriceOf(vendor="scripted", model="", price=OURS),
        )
    )
    assert price_of(settings, "claude", "big-5") == DEAR
    assert price_of(settings, "claude", "small") == CHEAP
    assert price_of(settings, "nobody", "") is None
    known = replace(KNOWN, settings=settings)
    policy = submitted(known, model="big-5", backup_vendor="scripted", backup_model="y").policy
    assert (policy.price, policy.backup_price) == (DEAR, OURS)
    policy = submitted(known, model="small", backup_model="big").policy
    assert (policy.price, policy.backup_price) == (CHEAP, DEAR)


# What is refused


@pytest.mark.parametrize(
    ("more", "code", "field", "part"),
    [
        ({"as_agent_of": OTHER}, "forbidden", "as_agent_of", "an agent may not submit"),
        ({"template": "none"}, "unknown_template", "template", "no template named 'none'"),
        ({"vendor": "nobody"}, "invalid", "vendor", "known: scripted, claude"),
        ({"backup_vendor": "nobody"}, "invalid", "backup_vendor", "known: scripted, claude"),
        ({"flow": "fax"}, "invalid", "flow", "known: branch, commit, patch, untracked"),
        ({"window": Window(opens="01:00", closes="02:00", timezone="Mars/Base")}, "invalid", "window.timezone", "Mars"),
        ({"plan_gate": PlanGate(silence="deny")}, "invalid", "plan_gate.silence_seconds", "how many seconds"),
        ({"depends_on": (TASK,)}, "invalid", "depends_on", "wait for itself"),
        ({"depends_on": tuple(f"d{n:025d}" for n in range(51))}, "invalid", "depends_on", "at most 50"),
    ],
)
def test_what_cannot_be_is_refused_with_the_field_and_what_can_be(
    more: dict[str, object], code: str, field: str, part: str
) -> None:
    no = refused(**more)
    assert (no.code, no.field) == (code, field)
    assert part in no.message


def test_a_task_without_a_name_or_a_place_is_refused() -> None:
    for fields, field in (({"title": "x"}, "repo"), ({"repo": "shop"}, "title")):
        with pytest.raises(Refused) as caught:
            submit(None, SubmitTask(id="i" * 26, task=TASK, **fields), KNOWN)  # type: ignore[arg-type]  # as above
        assert (caught.value.code, caught.value.field) == ("invalid", field)
    assert refused(replace(KNOWN, repo=None)).code == "unknown_repo"


def test_a_task_can_only_wait_for_tasks_that_are_known_so_no_circle_is_ever_closed() -> None:
    no = refused(replace(KNOWN, exists=lambda _: False), depends_on=(OTHER,))
    assert f"there is no task {OTHER} to wait for" in no.message
    assert submitted(replace(KNOWN, exists=lambda one: one == OTHER), depends_on=(OTHER,)).depends_on == (OTHER,)
    assert len(submitted(depends_on=tuple(f"d{n:025d}" for n in range(50))).depends_on) == 50


# Once


def test_the_same_wish_is_one_task_whoever_carries_it() -> None:
    state = given(submitted())
    assert submit(state.task, command(id="j" * 26), KNOWN) == []
    with pytest.raises(Refused) as caught:
        submit(state.task, command(title="y"), KNOWN)
    assert caught.value.code == "conflict"
    # Also where the world has changed meanwhile.
    assert submit(state.task, command(), replace(KNOWN, repo=None)) == []


# Once more, and further


def done(**more: object) -> Task:
    return given(whole(**more)).lives(prepare_ok, agent_ok, verify_ok, publish_ok).state


def retry(**more: object) -> RetryTask:
    return RetryTask(**({"id": "y" * 26, "task": NEW, "of": TASK, "requested_by": "bob"} | more))  # type: ignore[arg-type]


def further(**more: object) -> ContinueTask:
    plain: dict[str, object] = {"id": "z" * 26, "task": NEW, "of": TASK, "title": "And the docs", "description": "all"}
    return ContinueTask(**(plain | {"requested_by": "bob"} | more))  # type: ignore[arg-type]  # a test's own keywords


def made(order: RetryTask | ContinueTask, old: Task | None, known: Known = KNOWN) -> TaskSubmitted:
    (event,) = again(None, order, old, known)
    assert isinstance(event, TaskSubmitted)
    return event


def test_a_retry_has_the_wishes_of_then_and_the_settings_of_today() -> None:
    old = done(description="d", priority=2, labels=("l",), acceptance="a")
    today = replace(SHOP, clone_url="https://new.example/shop.git", abstain_below=1.0)
    settings = FleetSettings(prices=(PriceOf(vendor="scripted", price=CHEAP),))
    event = made(retry(), old, replace(KNOWN, repo=today, settings=settings, policy=Policy(parks_max=1)))
    assert (event.title, event.description, event.acceptance, event.priority) == ("Mend the sum", "d", "a", 2)
    assert (event.repo.clone_url, event.policy.parks_max, event.policy.abstain_below) == (today.clone_url, 1, 1.0)
    assert (event.policy.price, event.policy.backup_price) == (CHEAP, CHEAP)
    assert (event.retry_of, event.origin, event.submitted_by) == (TASK, Origin(kind="retry", name=TASK), "bob")
    assert (event.continues, event.depends_on) == (None, ())


def test_a_retry_goes_on_with_the_branch_that_the_first_one_went_on_with() -> None:
    on = Continuation(task=OTHER, branch="agent/old", commit=HEAD, base_commit=HEAD)
    assert made(retry(), done(continues=on)).continues == on
    second = given(made(retry(), done())).lives(prepare_ok, agent_ok, verify_ok, publish_ok).state
    assert made(retry(task="m" * 26), second).retry_of == second.id


def waiting(*resolved: tuple[str, str]) -> Given:
    events = (DependencyResolved(on=on, outcome=outcome) for on, outcome in resolved)
    return given(whole(depends_on=(OTHER, "p" * 26)), *events).settled()


def test_a_retry_does_not_slip_past_what_the_first_one_waited_for_in_vain() -> None:
    cancel = TaskCancelRequested(requested_by="ann")
    old = waiting((OTHER, "succeeded")).and_then(cancel).settled()
    assert old.state.outcome == "cancelled"
    assert made(retry(), old.state).depends_on == ("p" * 26,)
    old = waiting((OTHER, "failed")).asked(unblock()).and_then(cancel).settled()
    assert made(retry(), old.state).depends_on == ("p" * 26,)
    met = waiting((OTHER, "succeeded"), ("p" * 26, "succeeded")).lives(prepare_ok, agent_ok, verify_ok, publish_ok)
    assert made(further(), met.state).depends_on == made(retry(), met.state).depends_on == ()


def test_a_continuation_keeps_the_branch_and_says_what_it_goes_on_from() -> None:
    event = made(further(), done(acceptance="a", depends_on=(), description="old"))
    assert event.continues == Continuation(task=TASK, branch=f"agent/{TASK}", commit=HEAD, base_commit="b" * 40, url="")
    assert (event.title, event.description, event.acceptance) == ("And the docs", "all", "")
    assert (event.origin, event.retry_of) == (Origin(kind="continuation", name=TASK), "")
    assert made(further(), done(retry_of=OTHER)).retry_of == ""


def test_a_continuation_keeps_the_pull_request() -> None:
    delivery = Delivery(kind="branch", commit=HEAD, branch=f"agent/{TASK}", url="https://git.example/pulls/1")
    event = made(further(), replace(done(), delivery=delivery))
    assert event.continues is not None
    assert event.continues.url == "https://git.example/pulls/1"


@pytest.mark.parametrize("order", [retry(), further()], ids=["retry", "continue"])
def test_what_cannot_be_taken_up_is_refused(order: RetryTask | ContinueTask) -> None:
    def no(old: Task | None, known: Known = KNOWN, **more: object) -> tuple[str, str]:
        with pytest.raises(Refused) as caught:
            again(None, replace(order, **more), old, known)
        return caught.value.code, caught.value.field

    assert no(None) == ("unknown_task", "of")
    assert no(given(whole()).state) == ("not_possible", "of")
    assert no(done(), as_agent_of=OTHER) == ("forbidden", "as_agent_of")
    assert no(done(), replace(KNOWN, repo=None)) == ("unknown_repo", "of")
    assert no(done(), replace(KNOWN, vendors=("claude",))) == ("invalid", "vendor")


@pytest.mark.parametrize(
    "old",
    [
        lambda: given(whole(), TaskCancelRequested(requested_by="ann")).settled().state,
        lambda: given(whole(max_attempts=1)).lives(prepare_ok, failed("agent.crashed")).state,
        lambda: done(flow="patch"),
        lambda: replace(done(), base_commit=None),
    ],
    ids=["nothing begun", "nothing handed over", "no branch", "no base"],
)
def test_only_a_branch_that_was_handed_over_can_be_gone_on_with(old: Callable[[], Task]) -> None:
    with pytest.raises(Refused) as caught:
        again(None, further(), old(), KNOWN)
    assert "has handed over no branch" in caught.value.message


@pytest.mark.parametrize("order", [retry(), further()], ids=["retry", "continue"])
def test_taking_a_task_up_twice_is_one_task(order: RetryTask | ContinueTask) -> None:
    (event,) = again(None, order, done(), KNOWN)
    task = given(event).task
    assert again(task, replace(order, id="q" * 26), done(), KNOWN) == []
    with pytest.raises(Refused) as caught:
        again(task, replace(order, of=OTHER), done(), KNOWN)
    assert caught.value.code == "conflict"
