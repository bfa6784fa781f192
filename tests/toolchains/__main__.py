"""Record what the tools write: `python -m toolchains [NAME...]` from `tests/`. Prints what was seen, for the documentation."""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from penstock_agent_exec.verify.files import Places
from toolchains import SAMPLES
from toolchains.tools import GOLDEN, PRINTED, install, lay_out, missing, run, scrubbed


def main() -> None:
    chosen = [sample for sample in SAMPLES if not sys.argv[1:] or sample.name in sys.argv[1:]]
    there = [sample for sample in chosen if not missing(sample)]
    install(there)
    for sample in chosen:
        if sample not in there:
            print(f"{sample.name}: no {missing(sample)} here")
            continue
        with tempfile.TemporaryDirectory() as made:
            folder = Path(made) / "work"
            folder.mkdir()
            lay_out(sample, folder)
            code, printed = run(sample, folder)
            golden = GOLDEN / sample.name
            shutil.rmtree(golden, ignore_errors=True)
            golden.mkdir(parents=True)
            (golden / PRINTED).write_bytes(scrubbed(printed, folder))
            for path in Places(sample.reports).marks(folder) if sample.reports else ():
                (golden / path).parent.mkdir(parents=True, exist_ok=True)
                (golden / path).write_bytes(scrubbed((folder / path).read_bytes(), folder))
            print(f"{sample.name}: exit code {code}, {sorted(p.name for p in golden.rglob('*') if p.is_file())}")


if __name__ == "__main__":
    main()
