"""`show`: one decision of the pipeline at a time, played on a stack of its own, by HTTP alone, with a scripted agent.

Rule of this room: a scene checks what it shows. The exit code is 0 only when every scene came to the end that it names.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from rich.console import Console

from penstock_launcher.client import ApiSaidNo, Client
from penstock_launcher.demo import DemoFailed, check_machine, escaped, own_stack, words_of
from penstock_launcher.folder import FIRST_TOKEN, DataFolder
from penstock_launcher.show.scenes import SCENES
from penstock_launcher.show.stage import FOLDERS, Stage

__all__ = ["SCENES", "show"]

FAST: Final = {
    "PENSTOCK_PARK_SECONDS_MIN": "1",
    "PENSTOCK_RECONCILE_SECONDS": "0.5",
    "PENSTOCK_SLOTS": "4",
    # What happens to a pull request is seen soon, and whether more of it comes is not waited for long.
    "PENSTOCK_LOOK_SECONDS": "1",
    "PENSTOCK_LOOK_SECONDS_MAX": "2",
    "PENSTOCK_LOOK_SECONDS_MIN": "0.2",
    "PENSTOCK_SETTLE_SECONDS": "0.5",
    # A test agent in a small sandbox: what a person set for real work does not belong here.
    "PENSTOCK_LOG_LEVEL": "info",
}


def show(name: str, environ: Mapping[str, str]) -> int:
    """Play one scene, or `all`. Exit code 0: each ended as it should."""
    console = Console(highlight=False, soft_wrap=True)
    names = list(SCENES) if name == "all" else [name]
    results = Path(tempfile.mkdtemp(prefix="penstock-show-")).resolve()
    folder = DataFolder(results / "running")
    clock = results / "clock-offset"
    clock.write_text("0")
    own = {"PENSTOCK_CLOCK_OFFSET_FILE": str(clock), "PENSTOCK_LOCAL_FOLDERS": str(results / FOLDERS)}
    began = time.monotonic()
    failed: list[str] = []
    try:
        check_machine(environ)
        console.print(
            "[dim]A stack of its own in a temporary folder. The agent is scripted: it plays steps from a file and calls no\n"
            "model. All else is real: the servers, git, the sandbox, the event log, the checks.[/]"
        )
        with own_stack(console, folder, {**environ, **FAST, **own}) as running:
            client = Client(running.http_url, folder.secret_file(FIRST_TOKEN).read_text().strip())
            for one in names:
                failed += [] if _play(console, one, Stage(console, client, results, clock, one)) else [one]
    except (DemoFailed, ApiSaidNo, OSError, subprocess.SubprocessError) as error:
        console.print(f"\n[bold red]It failed:[/] {escaped(words_of(error))}")
        failed.append("the stack")
    except KeyboardInterrupt:
        shutil.rmtree(results, ignore_errors=True)
        console.print("\nstopped; nothing is kept")
        return 130
    if failed:
        console.print(f"\n[bold red]Not as it should be:[/] {', '.join(failed)}. All of this run is kept in {results}")
        return 1
    shutil.rmtree(results, ignore_errors=True)
    console.print(
        f"\n[bold green]{len(names)} of {len(names)} as they should be[/], in {time.monotonic() - began:.0f} s."
    )
    return 0


def _play(console: Console, name: str, stage: Stage) -> bool:
    scene, began = SCENES[name], time.monotonic()
    console.rule(f"[bold]{name}", align="left")
    console.print(" ".join((scene.__doc__ or "").split()) + "\n")
    try:
        scene(stage)
    except (DemoFailed, ApiSaidNo, OSError, subprocess.SubprocessError) as error:
        console.print(f"\n[bold red]{name}:[/] {escaped(words_of(error))}")
        return False
    console.print(f"[bold green]{name}: as it should be[/], in {time.monotonic() - began:.1f} s\n")
    return True
