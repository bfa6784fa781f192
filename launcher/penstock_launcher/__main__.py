"""The launcher's verbs on the command line."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from penstock_launcher.demo import demo
from penstock_launcher.folder import DataFolder, default_path
from penstock_launcher.up import down, status, up


class _Arguments(argparse.Namespace):
    verb: str
    data: Path | None = None
    port: int | None = None


def main() -> None:
    """Entry point of `penstock` and `python -m penstock_launcher`."""
    sys.exit(run(_parser().parse_args(namespace=_Arguments())))


def run(arguments: _Arguments) -> int:
    """Returns the exit code."""
    folder = DataFolder(arguments.data or default_path(os.environ))
    verbs = {
        "up": lambda: up(folder, port=arguments.port, environ=os.environ),
        "status": lambda: status(folder),
        "down": lambda: down(folder),
        "demo": lambda: demo(os.environ),
    }
    return verbs[arguments.verb]()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="penstock", description="Penstock on one machine.")
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("demo", help="see one task from submission to patch, in a folder of its own, without any key")
    for name, text in (
        ("up", "start everything and keep it running"),
        ("status", "show what runs and what it waits for"),
        ("down", "stop everything"),
    ):
        verb = verbs.add_parser(name, help=text)
        verb.add_argument("--data", type=Path, metavar="DIR", help="the data folder (~/.local/share/penstock)")
        if name == "up":
            verb.add_argument("--port", type=_port, help="the port of the HTTP API on 127.0.0.1")
    return parser


def _port(text: str) -> int:
    if not 1 <= (port := int(text)) <= 65_535:
        raise ValueError(text)
    return port


if __name__ == "__main__":
    main()
