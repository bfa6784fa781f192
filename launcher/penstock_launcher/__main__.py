"""The launcher's verbs on the command line."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path
from typing import Final

from penstock_launcher.agents import doctor
from penstock_launcher.demo import demo
from penstock_launcher.folder import DataFolder, data_path, default_path
from penstock_launcher.memory import memory
from penstock_launcher.show import SCENES, show
from penstock_launcher.up import down, status, up

EXIT_UNUSABLE: Final = 1
EXIT_INTERRUPTED: Final = 130
SELFTEST: Final = "selftest"
DOCTOR: Final = "doctor"
MAP: Final = "map"
PROPOSE: Final = "propose"
MEMORY: Final = "memory"


class _Arguments(argparse.Namespace):
    verb: str
    data: Path | None = None
    port: int | None = None
    scene: str = ""


def main() -> None:
    """Entry point of `penstock` and `python -m penstock_launcher`."""
    try:
        _main()
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)


def _main() -> None:
    if sys.argv[1:2] == [SELFTEST]:
        # With arguments of its own.
        sys.exit(subprocess.call([sys.executable, "-m", "penstock_agent_exec.selftest", *sys.argv[2:]]))
    if sys.argv[1:2] == [MAP]:
        sys.exit(subprocess.call([sys.executable, "-m", "penstock_agent_exec.repo_map", *sys.argv[2:]]))
    if sys.argv[1:2] == [PROPOSE]:
        sys.exit(subprocess.call([sys.executable, "-m", "penstock_agent_exec.verify", *sys.argv[2:]]))
    if sys.argv[1:2] == [MEMORY]:
        sys.exit(memory(sys.argv[2:], os.environ))
    if sys.argv[1:2] == [DOCTOR]:
        sys.exit(doctor(sys.argv[2:], os.environ))
    sys.exit(run(_parser().parse_args(namespace=_Arguments())))


def run(arguments: _Arguments) -> int:
    """Returns the exit code."""
    folder = DataFolder(arguments.data or default_path(os.environ))
    verbs = {
        "up": lambda: up(folder, port=arguments.port, environ=os.environ),
        "status": lambda: status(folder),
        "down": lambda: down(folder),
        "demo": lambda: demo(os.environ),
        "show": lambda: show(arguments.scene, os.environ),
    }
    try:
        return verbs[arguments.verb]()
    except OSError as error:
        # Above it too: a folder is made with those that it lies in.
        if error.filename is None or not _is_on_the_way(Path(os.fsdecode(error.filename)), folder.path):
            raise
        print(f"the data folder {folder.path} cannot be used: {error.strerror}; choose another with --data")
        return EXIT_UNUSABLE


def _is_on_the_way(named: Path, folder: Path) -> bool:
    return named.is_relative_to(folder) or folder.is_relative_to(named)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="penstock", description="Penstock on one machine.")
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("demo", help="see one task from submission to patch, in a folder of its own, without any key")
    scene = verbs.add_parser("show", help="see one decision of the pipeline happen, by HTTP, with a scripted agent")
    scene.add_argument("scene", choices=[*SCENES, "all"], help=", ".join([*SCENES, "all"]))
    verbs.add_parser(MAP, help="what a repository defines, the most telling for a task first; `map --help` says more")
    verbs.add_parser(PROPOSE, help="which commands could check changes of a repository, for a person to confirm")
    verbs.add_parser(MEMORY, help="what is remembered of earlier work; `memory --help` says what can be done with it")
    verbs.add_parser(
        DOCTOR, help="what this machine has of what agents and forges need, what is missing, and what mends it"
    )
    verbs.add_parser(SELFTEST, help="try to escape from the sandbox that agents get on this machine")
    for name, text in (
        ("up", "start everything and keep it running"),
        ("status", "show what runs and what it waits for"),
        ("down", "stop everything"),
    ):
        verb = verbs.add_parser(name, help=text)
        verb.add_argument("--data", type=data_path, metavar="DIR", help="the data folder (~/.local/share/penstock)")
        if name == "up":
            verb.add_argument(
                "--port", type=_port, help="the port of the HTTP API on 127.0.0.1 (7433 where that is free)"
            )
    return parser


def _port(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 65_535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port: give a number from 1 to 65535")
    return int(text)


if __name__ == "__main__":
    main()
