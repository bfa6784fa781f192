"""The fake model as a program: prints its URL, writes its port where it is told, and serves until it is ended."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
from pathlib import Path

from fake_model.script import load_script
from fake_model.server import FakeModel


async def serve(script: Path, port_file: Path | None) -> None:
    async with FakeModel(load_script(script)) as model:
        print(model.base_url, flush=True)
        if port_file is not None:
            part = port_file.with_name(port_file.name + ".part")
            part.write_text(model.base_url.rsplit(":", 1)[1])
            part.rename(port_file)  # whoever sees the file sees all of it
        await asyncio.Event().wait()


parser = argparse.ArgumentParser(prog="fake_model", description="A model's API without a model, playing a script.")
parser.add_argument("--script", type=Path, required=True)
parser.add_argument("--port-file", type=Path)
given = parser.parse_args()
with contextlib.suppress(KeyboardInterrupt):
    asyncio.run(serve(given.script, given.port_file))
