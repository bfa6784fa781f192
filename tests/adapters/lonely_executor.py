"""A process that runs the nasty tree under `run_child` and waits; a test kills it. Run with a mark as its argument."""

import asyncio
import sys
from pathlib import Path

from penstock_agent_exec.process import Watch, run_child
from penstock_agent_exec.sandbox import Bind, Profile, python_binds, python_program


async def main(mark: str) -> None:
    async def show(chunk: bytes) -> None:
        sys.stdout.write(chunk.decode())
        sys.stdout.flush()

    tree = Path(__file__).with_name("nasty_tree.py")
    profile = Profile(cwd="/", binds=(*python_binds(), Bind(tree)))
    command = [str(python_program()), str(tree), mark]
    await run_child(command, profile, watch=Watch(wall_seconds=600), on_stdout=show, on_stderr=show)


asyncio.run(main(sys.argv[1]))
