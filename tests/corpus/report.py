"""How well the classifier does on the corpus.

    PYTHONPATH=tests python -m corpus.report [first|second] [-v]

The rule of this room: it prints what it counts, and judges nothing.
"""

from __future__ import annotations

import sys
from collections import Counter
from typing import TYPE_CHECKING

from corpus.sample import PARTS, Sample, load
from penstock_orchestrator.core.classify import classify

if TYPE_CHECKING:
    from penstock_orchestrator.core.classify import Classified


def judged(sample: Sample) -> Classified:
    return classify(
        sample.text, stage=sample.stage, exit_code=sample.exit_code, command=sample.command, source=sample.source
    )


def family(error_class: str) -> str:
    return error_class.partition(".")[0]


def report(samples: tuple[Sample, ...], *, details: bool) -> str:
    """Precision and recall by family, the confusions, and what was not recognised."""
    answers = [(sample, judged(sample)) for sample in samples]
    right = sum(answer.error_class == sample.expected for sample, answer in answers)
    right_family = sum(family(answer.error_class) == family(sample.expected) for sample, answer in answers)
    lines = [f"{len(samples)} samples, {right} classes right, {right_family} families right", ""]
    expected = Counter(family(sample.expected) for sample in samples)
    said = Counter(family(answer.error_class) for _sample, answer in answers)
    hit = Counter(family(s.expected) for s, answer in answers if answer.error_class == s.expected)
    lines.append(f"{'family':<14}{'samples':>8}{'precision':>11}{'recall':>9}")
    for name in sorted(expected | said):
        precision = f"{hit[name] / said[name]:.3f}" if said[name] else "-"
        recall = f"{hit[name] / expected[name]:.3f}" if expected[name] else "-"
        lines.append(f"{name:<14}{expected[name]:>8}{precision:>11}{recall:>9}")
    wrong = [(sample, answer) for sample, answer in answers if answer.error_class != sample.expected]
    lines += ["", "confusions (expected -> said):"]
    for (wanted, got), count in sorted(Counter((s.expected, a.error_class) for s, a in wrong).items()):
        lines.append(f"  {count} x {wanted} -> {got}")
    unknown = [
        s.name for s, a in answers if a.error_class in ("unclassified", "verify.failed") and a.error_class != s.expected
    ]
    lines += ["", f"not recognised: {len(unknown)}", *(f"  {name}" for name in unknown)]
    if details:
        lines += [
            "",
            *(
                f"{s.name}: expected {s.expected}, said {a.error_class} by {a.tool!r} on {a.evidence!r}"
                for s, a in wrong
            ),
        ]
    return "\n".join(lines)


def main() -> None:
    parts = [part for part in PARTS if part in sys.argv[1:]] or list(PARTS)
    for part in parts:
        print(f"== {part}\n{report(load(part), details='-v' in sys.argv)}\n")


if __name__ == "__main__":
    main()
