"""Writes the reference page of failure classes from the table.

    PYTHONPATH=tests python -m corpus.reference > docs/reference/failure-classes.md

The rule of this room: the page says nothing that the table, the rules or the corpus do not say.
"""

from __future__ import annotations

from collections import Counter
from typing import Final

from corpus.sample import load_all
from penstock_orchestrator.core.classify import CLASSES
from penstock_orchestrator.core.classify.rules import RULES

_HEAD: Final = """\
# Failure classes

What went wrong is told by a class, `family.detail`, read off the end of the output by
`penstock_orchestrator.core.classify.classify`. This page is written from its table by `python -m corpus.reference`;
change the table, not the page.

- **recoverable**: the agent can mend it; the hint goes into its next attempt.
- **hard**: the same again would fail the same way; a person, another vendor or another host is needed.
- **park**: time mends it; the task waits, and no attempt is spent.

In a hint, a part in square brackets is said only where what it names could be read off the output.

"""
_MEASURED: Final = """\
## How it was measured

The corpus in `tests/golden/outputs` has two parts. The rules were written with `first` in sight. `second` (other projects,
flags and tools, and outputs as strangers have shown them) was labelled before any rule had been tried on it, and measured once:
242 of 291 classes right (83 %), 255 of 291 families right (88 %). Precision and recall by family at that time:

| family | samples | precision | recall |
|---|---|---|---|
| agent | 5 | 0.71 | 1.00 |
| build | 50 | 0.96 | 0.90 |
| deps | 26 | 1.00 | 0.69 |
| env | 26 | 0.85 | 0.85 |
| git | 17 | 0.88 | 0.82 |
| lint | 31 | 0.95 | 0.61 |
| test | 58 | 0.95 | 0.90 |
| vendor | 46 | 0.95 | 0.89 |
| verify | 28 | 0.42 | 0.79 |

Thirty of the 49 misses were not recognised at all and said so (`verify.failed`, `unclassified`), which is what costs `verify` its
precision. What it showed has been mended since, so both parts are now right as a whole; for outputs that nobody here has seen,
the numbers above are the honest expectation. `python -m corpus.report` prints the present ones.
"""


def page() -> str:
    """The whole page, in Markdown."""
    tools: dict[str, set[str]] = {}
    for rule in RULES:
        tools.setdefault(rule.error_class, set()).add(rule.tool)
    counts = Counter(sample.how for sample in load_all())
    lines = [_HEAD]
    for family in dict.fromkeys(row.family for row in CLASSES.values()):
        lines += [f"## {family}\n", "| class | severity | what it means | read from | hint |", "|---|---|---|---|---|"]
        for row in CLASSES.values():
            if row.family == family:
                read_from = ", ".join(sorted(tools.get(row.name, ()))) or "exit code or step"
                cells = (f"`{row.name}`", row.severity, row.meaning, read_from, row.hint)
                lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
        lines.append("")
    said = ", ".join(f"{count} {how}" for how, count in sorted(counts.items()))
    lines.append(f"{_MEASURED}\nThe corpus has {sum(counts.values())} samples: {said}.\n")
    return "\n".join(lines)


if __name__ == "__main__":
    print(page(), end="")
