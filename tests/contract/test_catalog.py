"""Entries of the catalogue: what is stored is what is read, and what people get wrong is refused by its place."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Final

import msgspec
import pytest
from msgspec import Struct

from penstock.catalog import (
    Control,
    FleetSettings,
    MemoryNote,
    MemorySettings,
    PriceOf,
    Repo,
    Route,
    Schedule,
    Template,
    snapshot,
)
from penstock.codec import Codec, Undecodable, encode
from penstock.values import Checking, PlanGate, Preflight, Price, PullRequests, RepoSnapshot, VerifyCommands, Window
from penstock.wish import Wish

LATER: Final = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
NIGHT: Final = Window(opens="22:00", closes="06:30", timezone="Europe/Berlin")

REPO: Final = Repo(
    name="shop",
    clone_url="https://forge.example/shop.git",
    default_branch="trunk",
    provider="gitea",
    verify=VerifyCommands(pre="make deps", build="make", test="make test", lint="make lint", reports=("*.xml",)),
    command_timeout_seconds=300.0,
    parallel_max=3,
    max_cost_usd_per_day=25.0,
    abstain_below=40.0,
    window=NIGHT,
    egress=("pypi.org:443", "*.pythonhosted.org:443"),
    follow=True,
    fix_runs_max=2,
    reviewers=("ana",),
    hook_secret_ref="file:hook-shop",
    preflight=Preflight(scope=("src/*",)),
    checking=Checking(baseline="failed"),
    pull_requests=PullRequests(draft=True, labels=("penstock",)),
)
ROUTE: Final = Route(
    name="team",
    channel="webhook",
    types=("task_failed",),
    repos=("shop",),
    url="https://hooks.example/penstock",
    secret_ref="file:team-hook",
    enabled=False,
)
TEMPLATE: Final = Template(
    name="bugfix",
    task=Wish(
        priority=2, mode="interactive", plan_gate=PlanGate(silence="park", silence_seconds=600.0), max_cost_usd=None
    ),
)
SCHEDULE: Final = Schedule(
    name="nightly",
    cron="30 2 * * 1-5",
    timezone="Europe/Berlin",
    template="bugfix",
    task=Wish(repo="shop", title="Bring the dependencies up to date", window=NIGHT),
    missed="skip",
    grace_seconds=300.0,
    enabled=False,
    since=LATER,
)
CONTROL: Final = Control(mode="drain", reason="the host moves", set_by="ana", set_at=LATER)
SETTINGS: Final = FleetSettings(
    tasks_max=12,
    accounts={"team-a": 4, "claude": 8},
    hosts={"h1": 2},
    ageing_seconds=600.0,
    max_cost_usd_per_day=200.0,
    share_work=True,
    publish_pool="publish",
    memory=MemorySettings(half_life_days=180.0, archive_after_days=365.0),
    prices=(
        PriceOf(
            vendor="claude",
            model="some-model",
            price=Price(input_usd=3.0, output_usd=15.0, cache_read_usd=0.3, cache_write_usd=3.75),
        ),
    ),
)

NOTE: Final = MemoryNote(
    memory="m" * 26,
    repo="shop",
    of_task=True,
    kind="lesson",
    title="Prices are cents",
    text="Floats lost one.",
    pinned=True,
    forgotten=True,
    written_by="ana",
    set_by="ben",
    set_at=LATER,
)
ENTRIES: Final[tuple[Struct, ...]] = (REPO, ROUTE, TEMPLATE, SCHEDULE, CONTROL, SETTINGS, NOTE)
LEAST: Final[tuple[Struct, ...]] = (
    Repo(name="shop", clone_url="https://forge.example/shop.git"),
    Route(name="team", channel="console"),
    Template(name="empty", task=Wish()),
    Schedule(name="nightly", cron="0 2 * * *"),
    Control(mode="pause"),
    FleetSettings(),
    MemoryNote(memory="m" * 26, repo="shop", set_at=LATER),
)


def name_of(entry: Struct) -> str:
    return type(entry).__name__


def read(body: bytes, kind: type[Struct]) -> Struct:
    return Codec(msgspec.json.Decoder(kind)).decode(body)


def wire(entry: Struct, **changed: object) -> bytes:
    return json.dumps(json.loads(encode(entry)) | changed).encode()


@pytest.mark.parametrize("entry", ENTRIES, ids=name_of)
def test_an_entry_is_read_as_it_was_stored(entry: Struct) -> None:
    assert read(encode(entry), type(entry)) == entry
    shown = {field.name for field in msgspec.structs.fields(entry) if getattr(entry, field.name) != field.default}
    assert shown == {field.name for field in msgspec.structs.fields(entry)}


@pytest.mark.parametrize("entry", LEAST, ids=name_of)
def test_an_entry_needs_no_more_than_its_required_fields(entry: Struct) -> None:
    whole = json.loads(encode(entry))
    required = {field.encode_name for field in msgspec.structs.fields(entry) if field.required}
    assert read(json.dumps({name: whole[name] for name in required}).encode(), type(entry)) == entry
    for name in required:
        body = json.dumps({key: value for key, value in whole.items() if key != name}).encode()
        with pytest.raises(Undecodable, match=f"missing required field `{name}`"):
            read(body, type(entry))


@pytest.mark.parametrize("entry", ENTRIES, ids=name_of)
def test_a_field_that_an_entry_does_not_have_is_refused_by_its_name(entry: Struct) -> None:
    with pytest.raises(Undecodable, match="unknown field `of_tomorrow`"):
        read(wire(entry, of_tomorrow=1), type(entry))


def test_a_wish_in_an_entry_holds_what_was_said_and_nothing_else() -> None:
    assert json.loads(encode(TEMPLATE))["task"] == {
        "priority": 2,
        "mode": "interactive",
        "plan_gate": {"silence": "park", "silence_seconds": 600.0},
        "max_cost_usd": None,
    }
    assert json.loads(encode(LEAST[3]))["task"] == {}
    with pytest.raises(Undecodable, match=r"unknown field `titel` - at `\$\.task`"):
        read(wire(SCHEDULE, task={"titel": "x"}), Schedule)


@pytest.mark.parametrize(
    ("entry", "name", "value"),
    [
        (REPO, "parallel_max", 0),
        (REPO, "parallel_max", 1_001),
        (REPO, "parallel_max", None),
        (REPO, "max_cost_usd_per_day", -1),
        (REPO, "abstain_below", 100.5),
        (REPO, "abstain_below", -1),
        (REPO, "window", {"opens": "22:00", "closes": "6:30"}),
        (REPO, "window", {"opens": "22:60", "closes": "06:30"}),
        (REPO, "window", {"opens": "22:00", "closes": "06:30\n"}),
        (REPO, "window", "22:00-06:30"),
        (REPO, "name", "shop.web"),
        (ROUTE, "channel", "pigeon"),
        (ROUTE, "channel", "webhook\n"),
        (REPO, "egress", ["pypi.org"]),
        (REPO, "egress", ["Pypi.org:443"]),
        (REPO, "egress", ["127.0.0.1:443"]),
        (REPO, "egress", ["[::1]:443"]),
        (REPO, "egress", ["localhost:443"]),
        (REPO, "egress", ["*:443"]),
        (REPO, "egress", ["pypi.org:0"]),
        (REPO, "egress", ["pypi.org:443\n"]),
        (REPO, "egress", ["pypi.org:443"] * 51),
        (TEMPLATE, "name", "Bug Fix"),
        (TEMPLATE, "task", None),
        (TEMPLATE, "task", {"max_turns": 0}),
        (TEMPLATE, "task", {"mode": "fast"}),
        (TEMPLATE, "task", {"plan_gate": {"silence": "approve"}}),
        (SCHEDULE, "cron", "* * * *"),
        (SCHEDULE, "cron", "*" * 101),
        (SCHEDULE, "cron", None),
        (SCHEDULE, "missed", "first"),
        (SCHEDULE, "missed", "all\n"),
        (SCHEDULE, "grace_seconds", -1),
        (SCHEDULE, "since", "2026-03-01T12:00:00"),
        (SCHEDULE, "template", ""),
        (CONTROL, "mode", "stop"),
        (CONTROL, "mode", "pause\n"),
        (CONTROL, "reason", "x" * 501),
        (SETTINGS, "tasks_max", 0),
        (SETTINGS, "tasks_max", 100_001),
        (SETTINGS, "accounts", {"team-a": 0}),
        (SETTINGS, "accounts", {"team-a": "4"}),
        (SETTINGS, "accounts", {"x" * 101: 4}),
        (SETTINGS, "hosts", {"h.1": 4}),
        (SETTINGS, "hosts", ["h1"]),
        (SETTINGS, "ageing_seconds", 0),
        (SETTINGS, "max_cost_usd_per_day", -0.01),
        (SETTINGS, "prices", [{"vendor": "claude"}]),
        (SETTINGS, "prices", [{"vendor": "claude", "price": {"input_usd": -1, "output_usd": 1}}]),
        (SETTINGS, "prices", [{"vendor": "claude", "price": {"input_usd": 1}}]),
    ],
)
def test_a_bad_value_is_refused_by_its_place(entry: Struct, name: str, value: object) -> None:
    with pytest.raises(Undecodable, match=rf"\$\.{name}"):
        read(wire(entry, **{name: value}), type(entry))


def test_a_tasks_snapshot_holds_what_its_decisions_need_of_the_repo_and_not_the_fleets_limits() -> None:
    found = snapshot(REPO)
    for field in msgspec.structs.fields(RepoSnapshot):
        assert getattr(found, field.name) == getattr(REPO, field.name) != field.default, field.name
    left_out = {field.name for field in msgspec.structs.fields(Repo)} - {f.name for f in msgspec.structs.fields(found)}
    of_fleet = {"parallel_max", "max_cost_usd_per_day", "abstain_below", "window"}
    assert left_out == of_fleet | {"follow", "fix_runs_max", "reviewers", "hook_secret_ref"}


def test_settings_of_the_fleet_that_nobody_has_set_are_not_shared_between_readers() -> None:
    one, other = FleetSettings(), read(b"{}", FleetSettings)
    assert one == other
    assert isinstance(other, FleetSettings)
    assert one.accounts is not other.accounts
