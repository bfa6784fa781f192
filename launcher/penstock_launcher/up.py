"""`up`, `status` and `down`: run everything from a data folder, look at what runs from it, end it.

Rule of this room: only `up` starts or stops processes; the other two know the running launcher by the folder's lock alone.
"""

from __future__ import annotations

import os
import shlex
import signal
import sys
import time
from collections.abc import Mapping
from datetime import datetime
from typing import Final

from penstock_launcher.agents import within_reach
from penstock_launcher.folder import FIRST_TOKEN, DataFolder, FolderInUse, PortTaken, Running
from penstock_launcher.nats_conf import SUBSCRIBER
from penstock_launcher.servers import nats_problems, postgres_problems
from penstock_launcher.service import admin_problems
from penstock_launcher.stack import Built, build
from penstock_launcher.supervisor import Supervisor

DOWN_SECONDS_MAX: Final = 60.0
POLL_SECONDS: Final = 0.05

EXIT_OK: Final = 0
EXIT_FAILED: Final = 1
EXIT_NOT_RUNNING: Final = 3


def up(folder: DataFolder, *, port: int | None, environ: Mapping[str, str]) -> int:
    """Run everything until a signal comes. Returns the exit code."""
    try:
        with folder.locked():
            known, chosen = folder.http_port_known(), folder.http_port(port)
            built = build(folder, http_port=chosen, environ=environ)
            _say(f"starting from {folder.path}")
            if port is None and chosen != known:
                _say(f"port {known} is in use by another program: the HTTP API takes {chosen} this time")
            return Supervisor(
                built.stack,
                say=_say,
                on_change=lambda: folder.say_running(_running(built)),
                on_ready=_Welcome(folder, built, environ),
            ).run()
    except FolderInUse as error:
        running = folder.running()
        where = f", at {running.http_url}" if running is not None else ""
        print(
            f"{error}{where}.\nSee ./penstock status, end it with ./penstock down, or use another folder with --data."
        )
    except PortTaken as error:
        print(error)
    return EXIT_FAILED


def status(folder: DataFolder) -> int:
    """Print each part with its pid and what it waits for. Exit code 0: all ready; 1: not all; 3: nothing runs."""
    holder = folder.holder()
    if holder is None:
        print(f"not running (data: {folder.path})")
        return EXIT_NOT_RUNNING
    running = folder.running()
    if running is None:
        print(f"starting (pid {holder}, data: {folder.path})")
        return EXIT_FAILED
    print(f"running (pid {running.pid}, data: {folder.path}, HTTP: {running.http_url})")
    waiting = not_ready(running)
    for name, pid in running.parts.items():
        print(f"  {name:<13} {pid or '-':>8}  {'waits: ' + '; '.join(waiting[name]) if name in waiting else 'ready'}")
    return EXIT_FAILED if waiting else EXIT_OK


def down(folder: DataFolder) -> int:
    """Ask the running launcher to stop and wait until everything has. Exit code 0: nothing runs any more."""
    pid = folder.holder()
    if pid is None:
        print(f"not running (data: {folder.path})")
        return EXIT_OK
    try:
        os.kill(pid, signal.SIGTERM)
    except PermissionError:
        print(f"the launcher (pid {pid}) belongs to another user: ask that one, or use sudo")
        return EXIT_FAILED
    deadline = time.monotonic() + DOWN_SECONDS_MAX
    while folder.holder() == pid:
        if time.monotonic() > deadline:
            print(f"the launcher (pid {pid}) is still stopping after {DOWN_SECONDS_MAX:g} s; its logs: {folder.logs}")
            return EXIT_FAILED
        time.sleep(POLL_SECONDS)
    print("stopped")
    return EXIT_OK


def not_ready(running: Running) -> dict[str, list[str]]:
    """What each part that is not ready waits for; empty when all are ready."""
    found = {name: _problems(running, name) if pid else ["does not run (yet)"] for name, pid in running.parts.items()}
    return {name: problems for name, problems in found.items() if problems}


class _Welcome:
    """Says where everything is, at the first time that all is ready; later only that it is so again."""

    def __init__(self, folder: DataFolder, built: Built, environ: Mapping[str, str]) -> None:
        self._folder = folder
        self._built = built
        self._environ = environ
        self._said = False

    def __call__(self) -> None:
        if self._said:
            _say("all parts are ready again")
            return
        self._said = True
        _say("all parts are ready")
        agents = ", ".join(within_reach(self._environ))
        password = shlex.quote(str(self._folder.secret_file(f"nats-{SUBSCRIBER}")))
        token = shlex.quote(str(self._folder.secret_file(FIRST_TOKEN)))
        _print(f"""
  HTTP API   {self._built.http_url}
             curl -H "Authorization: Bearer $(cat {token})" {self._built.http_url}/v1/tasks
  agents     {agents}   (what others lack: ./penstock doctor)
  events     nats --server {self._built.nats.url} --user {SUBSCRIBER} --password "$(cat {password})" \\
               --inbox-prefix _INBOX.{SUBSCRIBER} sub 'task.event.>'
             from the first event on, at your own pace: the durable `{SUBSCRIBER}` of stream EVENTS
  data       {self._folder.path}   (logs: {self._folder.logs})

  Ctrl-C or ./penstock down ends it; what is under way goes on at the next ./penstock up.
""")


def _running(built: Built) -> Running:
    return Running(
        pid=os.getpid(),
        http_url=built.http_url,
        nats_url=built.nats.url,
        nats_monitor_url=built.nats.monitor_url,
        postgres_port=built.postgres.port,
        admin_urls={service.name: service.admin_url for service in built.services},
        parts={child.name: child.pid for child in (built.nats, built.postgres, *built.services)},
    )


def _problems(running: Running, name: str) -> list[str]:
    if name in running.admin_urls:
        return admin_problems(running.admin_urls[name])
    return (
        nats_problems(running.nats_monitor_url) if name == "nats-server" else postgres_problems(running.postgres_port)
    )


def _say(line: str) -> None:
    _print(f"{datetime.now():%H:%M:%S} {line}")


def _print(text: str) -> None:
    """Where nobody reads any more (a terminal that was closed, `up | head`), it is said to nobody: what runs is still kept
    running, and stopped in order."""
    try:
        print(text, flush=True)
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
