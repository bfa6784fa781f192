"""The classifier of failures on the whole corpus of outputs, and the reference page that is written from it."""

from __future__ import annotations

from pathlib import Path

import pytest
from corpus.reference import page
from corpus.report import judged
from corpus.sample import Sample, load, load_all

from penstock_orchestrator.core.classify import CLASSES

SAMPLES = load_all()
HINT_CHARACTERS_MAX = 400


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.name)
def test_a_sample_gets_the_class_that_a_person_gave_it(sample: Sample) -> None:
    found = judged(sample)
    assert found.error_class == sample.expected
    assert found.severity == CLASSES[found.error_class].severity
    assert 0 < len(found.hint) <= HINT_CHARACTERS_MAX
    assert "{" not in found.hint.replace("{'", "") or "{" in sample.text
    assert len(found.evidence) <= 300


def test_every_class_has_a_sample() -> None:
    assert {sample.expected for sample in SAMPLES} == set(CLASSES)


def test_the_corpus_is_large_and_mostly_made_by_running_tools() -> None:
    ran = [sample for sample in SAMPLES if sample.how == "ran"]
    traps = [
        sample for sample in SAMPLES if "trap" in sample.name or sample.expected in ("unclassified", "verify.failed")
    ]
    assert len(CLASSES) >= 60
    assert len(ran) >= 200
    assert len(traps) >= 25
    assert len(load("second")) >= 60
    assert len(load("third")) >= 120
    assert len(load("fourth")) + len(load("fifth")) >= 60
    assert len({sample.name for sample in SAMPLES}) == len(SAMPLES)


def test_the_reference_page_is_what_the_table_says() -> None:
    written = Path(__file__).parents[2] / "docs" / "reference" / "failure-classes.md"
    assert written.read_text() == page(), (
        "run: PYTHONPATH=tests python -m corpus.reference > docs/reference/failure-classes.md"
    )
