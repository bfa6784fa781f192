"""Run inside aider's own environment: its map of a repository, over the files that are named on stdin, one a line.

`python map_aider.py ROOT WORD ...` prints seconds, without those of importing aider, and the map's length, as JSON. aider is
asked as its own commands ask it, with no file in the chat and a model that counts three characters as a token.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

from aider.io import InputOutput  # type: ignore[import-not-found]  # it is not in this project's environment
from aider.repomap import RepoMap  # type: ignore[import-not-found]  # it is not in this project's environment

TOKENS = 2_000


class Model:
    """What aider asks of a model here."""

    def token_count(self, text: str) -> int:
        return len(text) // 3


def main() -> None:
    root, words = sys.argv[1], set(sys.argv[2:])
    files = [str(Path(root, line)) for line in sys.stdin.read().splitlines()]
    os.chdir(root)
    began, cpu = time.perf_counter(), time.process_time()
    maker = RepoMap(
        map_tokens=TOKENS,
        root=root,
        main_model=Model(),
        io=InputOutput(yes=True, pretty=False),
        max_context_window=200_000,
        map_mul_no_files=1,
        refresh="always",
    )
    text = maker.get_repo_map([], files, mentioned_fnames=set(), mentioned_idents=words)
    taken = {"seconds": time.perf_counter() - began, "cpu_seconds": time.process_time() - cpu, "characters": len(text)}
    sys.stdout.write("\n" + json.dumps(taken) + "\n")


main()
