"""Subjects are built and taken apart without loss, and no name can leave its token."""

from __future__ import annotations

import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock import ids
from penstock import subjects as s
from penstock.bounds import ID_PATTERN, NAME_PATTERN
from penstock.codec import known_types
from penstock.streams import stream_configs

names = st.from_regex(NAME_PATTERN.replace(r"(?!\n)", ""), fullmatch=True)
tokens = st.from_regex(ID_PATTERN.replace(r"(?!\n)", ""), fullmatch=True)
types = st.sampled_from(sorted(known_types()))


def matches(filter_: str, subject: str) -> bool:
    """Whether the broker would deliver this subject to that filter."""
    wanted, found = filter_.split("."), subject.split(".")
    for number, token in enumerate(wanted):
        if token == ">":
            return len(found) > number
        if number >= len(found) or (token not in ("*", found[number])):
            return False
    return len(wanted) == len(found)


def stored_in(subject: str) -> list[str]:
    return [
        str(config.name)
        for config in stream_configs()
        if any(matches(filter_, subject) for filter_ in config.subjects or [])
    ]


def catalog_keys(name: str) -> list[str]:
    """Every key that the catalogue can have for this name."""
    kinds = [key(name) for key in (s.catalog_repo, s.catalog_route, s.catalog_template, s.catalog_schedule)]
    return [
        *kinds,
        s.CATALOG_SETTINGS,
        *(s.catalog_control(scope, name) for scope in ("fleet", "repo", "vendor", "host")),
    ]


@given(names, names)
def test_no_two_entries_of_the_catalogue_have_the_same_key(one: str, other: str) -> None:
    keys = catalog_keys(one)
    assert len(set(keys)) == len(keys)
    if one != other:
        assert set(keys) & set(catalog_keys(other)) == {s.CATALOG_SETTINGS}


@given(names, names)
def test_a_kind_of_entry_is_watched_without_the_others(name: str, other: str) -> None:
    """What a reader of one kind filters by reaches its own keys alone, whatever the names are."""
    for kind in ("repo", "route", "template", "schedule"):
        assert [key for key in catalog_keys(name) if matches(f"{kind}.*", key)] == [f"{kind}.{name}"]
    assert sum(matches("control.>", key) for key in catalog_keys(name)) == 4
    assert matches(f"control.*.{name}", s.catalog_control("host", other)) == (name == other)


@given(names, tokens, types)
def test_an_events_subject_comes_apart_as_it_was_put_together(repo: str, task: str, type_: str) -> None:
    subject = s.event(repo, task, type_)
    assert s.parse_event(subject) == (repo, task, type_)
    assert matches(s.events_of_task(repo, task), subject)
    assert matches(f"{s.EVENTS_PUBLIC}.*.*.{type_}", subject)
    assert len(subject) < 256


@given(st.text(alphabet=string.ascii_lowercase + ".*>_ \n", max_size=60))
def test_any_other_subject_is_refused_or_comes_apart_without_loss(text: str) -> None:
    for subject in (text, f"task.event.{text}"):
        try:
            parts = s.parse_event(subject)
        except ValueError:
            assert len(subject.split(".")) != 5 or not subject.startswith("task.event.")
        else:
            assert s.event(*parts) == subject


@given(names, names, tokens, tokens, types)
def test_every_subject_is_stored_in_exactly_one_stream(repo: str, host: str, task: str, job: str, type_: str) -> None:
    assert stored_in(s.event_ingest(repo, task, type_)) == [s.EVENTS]
    assert stored_in(s.event(repo, task, type_)) == []
    assert stored_in(s.report(task, job, "agent_failed")) == [s.REPORTS]
    assert stored_in(s.job_for_pool(repo, task, job)) == stored_in(s.job_for_host(host, task, job)) == [s.JOBS]
    assert stored_in(s.output(repo, task, job)) == [s.OUTPUT]
    assert stored_in(s.delivery(repo, job)) == [s.DELIVERIES]
    assert stored_in(s.dead_letter("notify", repo)) == [s.DEAD]
    assert stored_in(s.artifact_chunk(task, job, repo, 3)) == [s.ARTIFACTS]
    assert stored_in(s.kv(s.LEASES, s.job_lease(job))) == stored_in(s.kv(s.LEASES, s.host_lease(host))) == ["KV_LEASES"]
    for key in catalog_keys(repo):
        assert stored_in(s.kv(s.CATALOG, key)) == [s.kv_stream(s.CATALOG)]
    assert stored_in(s.stop_order(job)) == stored_in(s.command("task", "submit")) == []


@given(names, names, tokens, tokens)
def test_no_tasks_filter_reaches_another_tasks_events(repo: str, other: str, task: str, foreign: str) -> None:
    if (repo, task) != (other, foreign):
        assert not matches(s.events_of_task(repo, task), s.event(other, foreign, "task_failed"))


@given(names, names, tokens)
def test_jobs_of_one_host_or_pool_do_not_reach_another(one: str, other: str, job: str) -> None:
    assert matches(s.jobs_of_host(one), s.job_for_host(one, job, job))
    assert matches(s.jobs_of_pool(one), s.job_for_pool(one, job, job))
    assert not matches(s.jobs_of_host(one), s.job_for_pool(one, job, job))
    if one != other:
        assert not matches(s.jobs_of_host(one), s.job_for_host(other, job, job))


@pytest.mark.parametrize("name", ["", "a.b", "a b", "*", ">", "A", "-a", "_a", "a" * 64, "a\n", "ä", "a/b", "a\x00"])
def test_what_would_leave_its_token_is_no_name(name: str) -> None:
    assert re.search(NAME_PATTERN, name) is None
    assert re.search(ID_PATTERN, name * 16) is None or name == "a" * 64


def test_ids_are_ids_sort_by_time_and_do_not_repeat() -> None:
    drawn = [ids.fresh() for _ in range(2_000)]
    assert len(set(drawn)) == len(drawn)
    assert all(re.search(ID_PATTERN, id_) for id_ in drawn)
    assert [id_[:10] for id_ in drawn] == sorted(id_[:10] for id_ in drawn)
    assert ids.derived("a", "b") == ids.derived("a", "b") != ids.derived("ab", "")
    assert re.search(ID_PATTERN, ids.derived("a"))
