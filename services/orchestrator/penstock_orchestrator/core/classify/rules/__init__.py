"""Every rule, by family. The rule of this room: the order of rules decides nothing; rank and place in the output do."""

from __future__ import annotations

from typing import Final

from penstock_orchestrator.core.classify.rule import Rule
from penstock_orchestrator.core.classify.rules import agents, builds, checks, deps, hosts, lints, repositories, suites

RULES: Final[tuple[Rule, ...]] = (
    *suites.RULES,
    *builds.RULES,
    *lints.RULES,
    *deps.RULES,
    *hosts.RULES,
    *repositories.RULES,
    *agents.RULES,
    *checks.RULES,
)
