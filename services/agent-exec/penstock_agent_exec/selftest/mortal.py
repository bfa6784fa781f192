"""An executor that is there to be killed: runs the tree in a sandbox like any task's, and waits. Arguments: a mark, and where
bubblewrap lies."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Final

from penstock_agent_exec.process import Watch, run_child
from penstock_agent_exec.sandbox import Bind, Profile, python_binds, python_program

TREE: Final = Path(__file__).with_name("tree.py")
TREE_INSIDE: Final = "/selftest/tree.py"
LIFE_SECONDS_MAX: Final = 300.0


def tree_command(mark: str) -> list[str]:
    return [str(python_program()), "-I", "-S", TREE_INSIDE, mark]


async def _main(mark: str, bwrap: str) -> None:
    async def show(chunk: bytes) -> None:
        sys.stdout.write(chunk.decode())
        sys.stdout.flush()

    profile = Profile(cwd="/", binds=(*python_binds(), Bind(TREE, TREE_INSIDE)), bwrap=Path(bwrap))
    await run_child(
        tree_command(mark), profile, watch=Watch(wall_seconds=LIFE_SECONDS_MAX), on_stdout=show, on_stderr=show
    )


if __name__ == "__main__":
    asyncio.run(_main(*sys.argv[1:]))
