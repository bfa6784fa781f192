"""What tools report of their tests: read from recordings of the real tools, and (long form) from the tools themselves."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest
from toolchains import ROOT, SAMPLES, Sample
from toolchains.tools import GOLDEN, PRINTED, install, lay_out, missing, run

from penstock_agent_exec.redact import Redactor
from penstock_agent_exec.verify.files import Places, read_new
from penstock_agent_exec.verify.printed import Printed
from penstock_agent_exec.verify.reading import Reading

NOTHING_SECRET: Final = Redactor({})
RECORDED: Final = [sample for sample in SAMPLES if (GOLDEN / sample.name).is_dir()]


def said(reading: Reading | None) -> tuple[tuple[int, int, int, int], tuple[str, ...], str]:
    assert reading is not None
    tally = reading.tally()
    return (tally.total, tally.passed, tally.failed, tally.skipped), tally.failed_names, tally.source


def in_printed(content: bytes, root: str) -> Reading | None:
    printed = Printed()
    # In pieces, as it comes from a pipe.
    for at in range(0, len(content), 1_000):
        printed.take(content[at : at + 1_000])
    return printed.read(root)


def by_name(sample: Sample) -> str:
    return sample.name


def test_there_are_recordings_of_six_languages() -> None:
    assert len({sample.language for sample in RECORDED}) >= 6
    assert {sample.name for sample in RECORDED} == {path.name for path in GOLDEN.iterdir() if path.is_dir()}


@pytest.mark.parametrize("sample", RECORDED, ids=by_name)
def test_a_recorded_report_is_read(sample: Sample) -> None:
    folder = GOLDEN / sample.name
    found = None
    if sample.reports:
        found = read_new(folder, {}, Places(sample.reports).marks(folder), NOTHING_SECRET, seen_as=ROOT)
    if found is None:
        found = in_printed((folder / PRINTED).read_bytes(), ROOT)
    assert said(found) == (sample.counts, sample.failed, sample.source)


@pytest.mark.parametrize("sample", [one for one in RECORDED if one.reports], ids=by_name)
def test_where_tools_put_their_reports_is_looked_at_when_nobody_says_where(sample: Sample) -> None:
    folder = GOLDEN / sample.name
    assert said(read_new(folder, {}, Places(()).marks(folder), NOTHING_SECRET, seen_as=ROOT))[0] == sample.counts


@pytest.mark.slow
@pytest.mark.parametrize("sample", SAMPLES, ids=by_name)
def test_the_real_tool_writes_what_is_read(sample: Sample, tmp_path: Path) -> None:
    if lacks := missing(sample):
        pytest.skip(f"no {lacks} on this machine")
    install(one for one in SAMPLES if not missing(one))
    lay_out(sample, tmp_path)
    places = Places(sample.reports)
    before = places.marks(tmp_path)
    code, printed = run(sample, tmp_path)
    found = read_new(tmp_path, before, places.marks(tmp_path), NOTHING_SECRET) or in_printed(printed, str(tmp_path))
    assert code != 0
    assert said(found) == (sample.counts, sample.failed, sample.source)
