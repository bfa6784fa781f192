"""Settings: where they come from, what is refused, and that every refusal names what to mend."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import pytest
from msgspec import Meta

from penstock.settings import PLACEHOLDERS, BadSettings, Common, Secret, load


class Example(Common, frozen=True, kw_only=True, forbid_unknown_fields=True):
    database_url: Secret
    slots: Annotated[int, Meta(ge=1, le=64)] = 1
    share: Annotated[float, Meta(ge=0, le=1)] = 0.5
    careful: bool = True
    mode: Literal["one", "two"] = "one"
    label: Annotated[str, Meta(pattern="^[a-z]*$", max_length=5)] = ""


GOOD = {"PENSTOCK_DATABASE_URL": "postgresql://somewhere"}


def loaded(**variables: str) -> Example:
    return load(Example, "example", GOOD | {f"PENSTOCK_{name}": value for name, value in variables.items()})


def refusal(environ: dict[str, str]) -> str:
    with pytest.raises(BadSettings) as refused:
        load(Example, "example", environ)
    return str(refused.value)


def config(folder: Path, text: str) -> dict[str, str]:
    path = folder / "penstock.toml"
    path.write_text(text)
    return {"PENSTOCK_CONFIG": str(path)}


def test_without_anything_there_are_the_defaults() -> None:
    found = loaded()
    assert (found.nats_url, found.slots, found.careful, found.mode) == ("nats://127.0.0.1:4222", 1, True, "one")


def test_words_of_the_environment_become_values() -> None:
    found = loaded(SLOTS="7", SHARE="0.25", CAREFUL="false", MODE="two", LABEL="abc", ADMIN_PORT="0")
    assert (found.slots, found.share, found.careful, found.mode, found.label) == (7, 0.25, False, "two", "abc")
    assert [loaded(CAREFUL=word).careful for word in ("1", "true", "0")] == [True, True, False]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SLOTS", "many"),
        ("SLOTS", "0"),
        ("SLOTS", "65"),
        ("SLOTS", "1.5"),
        ("SLOTS", ""),
        ("SHARE", "2"),
        ("SHARE", "nan"),
        ("CAREFUL", "perhaps"),
        ("MODE", "three"),
        ("LABEL", "ABC"),
        ("LABEL", "toolong"),
        ("ADMIN_PORT", "http"),
    ],
)
def test_a_bad_value_is_refused_by_the_variables_name(name: str, value: str) -> None:
    assert f"PENSTOCK_{name}" in refusal(GOOD | {f"PENSTOCK_{name}": value})


def test_a_word_that_is_none_of_those_there_are_is_refused_with_them() -> None:
    assert refusal(GOOD | {"PENSTOCK_MODE": "three"}).endswith("; there are: one, two")
    said = refusal(GOOD | {"PENSTOCK_LOG_LEVEL": "loud"})
    assert said == "PENSTOCK_LOG_LEVEL: there is no level 'loud'; there are: debug, info, warning, error, critical"
    assert loaded(LOG_LEVEL="WARNING").log_level == "WARNING"


def test_a_missing_value_is_asked_for_by_the_variables_name() -> None:
    assert "PENSTOCK_DATABASE_URL" in refusal({})


@pytest.mark.parametrize("word", sorted(PLACEHOLDERS))
def test_a_placeholder_is_refused_in_any_case_and_wherever_it_comes_from(word: str, tmp_path: Path) -> None:
    secret_file = tmp_path / "url"
    secret_file.write_text(f"{word}\n")
    for environ in (
        {"PENSTOCK_DATABASE_URL": word},
        {"PENSTOCK_DATABASE_URL": f" {word.upper()} "},
        {"PENSTOCK_DATABASE_URL_FILE": str(secret_file)},
        config(tmp_path, f'[example]\ndatabase_url = "{word}"\n'),
    ):
        assert "PENSTOCK_DATABASE_URL is a placeholder" in refusal(environ)


def test_a_secret_can_come_from_a_file_and_never_shows(tmp_path: Path) -> None:
    secret_file = tmp_path / "url"
    secret_file.write_text("postgresql://me:hunter2@there\n")
    found = load(Example, "example", {"PENSTOCK_DATABASE_URL_FILE": str(secret_file)})
    assert found.database_url.reveal() == "postgresql://me:hunter2@there"
    assert "hunter2" not in f"{found!r} {found} {found.database_url}"
    assert bool(Secret("")) is False


def test_a_file_and_a_value_at_once_are_refused_by_name(tmp_path: Path) -> None:
    environ = GOOD | {"PENSTOCK_DATABASE_URL_FILE": str(tmp_path / "url")}
    said = refusal(environ)
    assert "PENSTOCK_DATABASE_URL and PENSTOCK_DATABASE_URL_FILE" in said


@pytest.mark.parametrize("content", [None, b"\xff\xfe"])
def test_a_file_that_cannot_be_read_is_named(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "url"
    if content is not None:
        path.write_bytes(content)
    said = refusal({"PENSTOCK_DATABASE_URL_FILE": str(path)})
    assert "PENSTOCK_DATABASE_URL_FILE" in said
    assert str(path) in said


def test_a_bad_secret_is_not_printed_with_its_refusal() -> None:
    assert "hunter2" not in refusal(GOOD | {"PENSTOCK_NATS_PASSWORD": "hunter2", "PENSTOCK_SLOTS": "hunter2"})


def test_the_environment_beats_the_services_table_and_that_the_common_one(tmp_path: Path) -> None:
    text = (
        '[common]\nnats_url = "nats://common"\nslots = 2\nlog_level = "debug"\n[example]\nslots = 3\n[other]\nx = 1\n'
    )
    environ = GOOD | config(tmp_path, text)
    found = load(Example, "example", environ)
    assert (found.nats_url, found.slots, found.log_level) == ("nats://common", 3, "debug")
    assert load(Example, "example", environ | {"PENSTOCK_SLOTS": "4"}).slots == 4


def test_a_misspelled_setting_in_the_services_table_is_named_with_what_there_is(tmp_path: Path) -> None:
    said = refusal(GOOD | config(tmp_path, "[example]\nslotz = 3\n"))
    assert "'slotz'" in said
    assert "slots" in said


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[example\n", "is not TOML"),
        ("[example]\nslots = 'x'\n", "PENSTOCK_SLOTS"),
        ("[example]\ndatabase_url = 5\n", "PENSTOCK_DATABASE_URL"),
        ("example = 5\n", "[example]"),
        ("common = 5\n", "[common]"),
        ("slots = 3\n", "'slots' stands in no table: put it below [common] or [example]"),
        ("[example]\nslots = [1]\n", "PENSTOCK_SLOTS"),
    ],
)
def test_a_broken_file_is_refused_in_words(text: str, says: str, tmp_path: Path) -> None:
    environ = config(tmp_path, text)
    if "database_url" not in text:
        environ |= GOOD
    assert says in refusal(environ)


def test_a_file_that_is_not_there_is_named() -> None:
    assert "PENSTOCK_CONFIG names /nowhere/penstock.toml" in refusal(
        GOOD | {"PENSTOCK_CONFIG": "/nowhere/penstock.toml"}
    )
