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

The corpus in `tests/golden/outputs` has five parts. The rules were written with `first` in sight. Every later part was labelled
by reading it, before any rule had been tried on it; it was then measured once, and what it showed was mended before the next part
was made. So the numbers below are each for outputs that had not been seen, and the present ones (`python -m corpus.report`) say
only that nothing has been unlearnt.

| part | what is in it | samples | classes right | families right |
|---|---|---|---|---|
| `second` | other projects, flags and tools; outputs as strangers have shown them | 291 | 242 (83 %) | 255 (88 %) |
| `third`, before mending | other versions, the user's language, reports, wrappers, noise around the failure | 273 | 193 (71 %) | 227 (83 %) |
| `fourth`, after mending the third | the same in other forms | 66 | 52 (79 %) | 54 (82 %) |
| `fifth`, after mending the fourth | everyday failures and what agents' vendors say | 52 | 43 (83 %) | 44 (85 %) |

For outputs that nobody here has seen, the last line is the honest expectation. A class counts as right only where it is exactly the
expected one; recall and precision count such answers by their family.

### Second part

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
precision.

### Third part, before mending

| family | samples | precision | recall |
|---|---|---|---|
| agent | 4 | 0.00 | 0.00 |
| build | 50 | 0.84 | 0.72 |
| deps | 30 | 0.89 | 0.83 |
| env | 36 | 0.90 | 0.72 |
| git | 21 | 0.33 | 0.33 |
| lint | 28 | 0.84 | 0.75 |
| preflight | 3 | 0.33 | 0.33 |
| test | 60 | 0.94 | 0.78 |
| unclassified | 3 | 0.60 | 1.00 |
| vendor | 18 | 0.75 | 0.67 |
| verify | 20 | 0.31 | 0.75 |

Of the 80 misses, 31 were not recognised and said so. What lay behind the 80: a language of the user other than English
(23: git, make, bash, compilers), reports of known tools in a form that was not known (12), sentences of agents, vendors and the
preflight in other words (12), sentences of hosting services (5), rules that believed too much (3: a line of Composer's as
ShellCheck's, `3 hints` as HLint's, a `SyntaxError` from `JSON.parse` as broken source), and 25 single forms of known tools.

### Fourth and fifth part

| family | fourth: samples | precision | recall | fifth: samples | precision | recall |
|---|---|---|---|---|---|---|
| agent | 0 | 0.00 | - | 1 | 0.00 | 0.00 |
| build | 11 | 0.90 | 0.82 | 11 | 0.91 | 0.91 |
| deps | 7 | 1.00 | 0.71 | 3 | 1.00 | 1.00 |
| env | 5 | 0.80 | 0.80 | 3 | 0.50 | 0.67 |
| git | 8 | 1.00 | 0.88 | 4 | 0.75 | 0.75 |
| lint | 7 | 1.00 | 0.71 | 5 | 1.00 | 0.80 |
| test | 13 | 1.00 | 0.85 | 10 | 1.00 | 0.80 |
| unclassified | 1 | 1.00 | 1.00 | 1 | 1.00 | 1.00 |
| vendor | 10 | 0.86 | 0.60 | 8 | 1.00 | 0.88 |
| verify | 4 | 0.33 | 1.00 | 6 | 0.56 | 0.83 |

Confusions, expected and said. Fourth: `build.documentation` as `build.rustc`, `git.unreachable` as `env.network`,
`vendor.overloaded` as `vendor.unavailable`, three of `vendor` as `agent.crashed`, and eight not recognised (`verify.failed`): two
linters' reports, `pip check`, a wheel that is not there, Mocha's and Node's own refusals, a missing provider of Vitest's, a prefix
of Lerna's. Fifth: `agent.interrupted` as `env.out_of_memory`, `env.runtime_version` as `build.dotnet`, `git.ref_missing` as
`git.hook_rejected`, `test.crashed` as `verify.exception`, `vendor.overloaded` as `agent.crashed`, a note that speaks of ENOSPC as
`env.disk_full`, and three not recognised: two behind an unusual stamp of time, and `ruff check --diff`.
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
