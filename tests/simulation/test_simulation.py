"""Made-up worlds by the thousand: nothing is lost, nothing is doubled, nobody is stuck.

`PENSTOCK_SIMULATIONS=1000000 ./penstock test tests/simulation` runs the long form; `PENSTOCK_SIMULATIONS_FROM` is its first
seed. A history that fails is told by its seed and the few of its moves that it takes.
"""

from __future__ import annotations

import os
from typing import Final

import pytest

from simulation.campaign import campaign, missing, told
from simulation.defects import HISTORIES_MAX, found
from simulation.dice import Dice
from simulation.history import Failure, play, remembered_classes, shortest
from simulation.planted import DEFECTS, Planted, planted
from simulation.world import Broken

HISTORIES: Final = int(os.environ.get("PENSTOCK_SIMULATIONS", "20000"))
FIRST: Final = int(os.environ.get("PENSTOCK_SIMULATIONS_FROM", "0"))
SECONDS_A_HISTORY: Final = 0.05
"""A slow machine with other work to do; a history takes a tenth of that."""


@pytest.mark.timeout(120 + HISTORIES * SECONDS_A_HISTORY)
def test_no_history_breaks_a_law_and_every_event_and_rule_is_reached() -> None:
    seen = campaign(HISTORIES, FIRST)
    print(told(seen))
    assert not seen.failures, told(seen)
    assert seen.histories == HISTORIES
    if HISTORIES >= 20_000:
        assert missing(seen) == []


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda defect: defect.name)
def test_a_planted_defect_is_found_by_a_law_that_is_named_for_it(defect: Planted) -> None:
    one = found(defect)
    assert one is not None, f"not found in {HISTORIES_MAX} histories: {defect.wrong}"
    assert one.failure.invariant in defect.caught_by, one.failure.what


def test_there_are_defects_enough_and_each_has_its_own_name() -> None:
    assert len({defect.name for defect in DEFECTS}) == len(DEFECTS) >= 24


def test_the_same_seed_gives_the_same_history() -> None:
    with remembered_classes():
        one, two = play(42), play(42)
    assert one.log == two.log
    assert one.rules == two.rules


def test_a_failing_history_is_cut_to_the_moves_that_it_takes_and_fails_by_them_alone() -> None:
    defect = next(one for one in DEFECTS if one.name == "message_lost")
    with remembered_classes(), planted(defect):
        failure = _first_failure()
        with pytest.raises(Broken, match=failure.invariant):
            play(failure.seed, failure.moves)
    with remembered_classes():
        assert play(failure.seed, failure.moves).tasks


def _first_failure() -> Failure:
    for seed in range(HISTORIES_MAX):
        try:
            play(seed)
        except Broken as broken:
            return shortest(seed, broken)
    raise AssertionError("no history failed")


def test_throws_of_neighbouring_seeds_have_nothing_in_common() -> None:
    throws = [tuple(dice.below(6) for _ in range(12)) for dice in map(Dice, range(500))]
    assert len(set(throws)) == 500
    faces = [throw for one in throws for throw in one]
    assert all(800 < faces.count(face) < 1_200 for face in range(6))
