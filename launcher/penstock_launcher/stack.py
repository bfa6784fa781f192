"""What one machine runs, and what each part is told: servers, users, ports, settings of the four services.

Rule of this room: every service gets its own user of the broker and its own environment, and nothing that another one needs.
"""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

from penstock import subjects as s
from penstock_launcher import agents, nats_conf
from penstock_launcher.child import ChildFailed, ends_with_launcher
from penstock_launcher.folder import FIRST_TOKEN, DataFolder
from penstock_launcher.servers import NatsServer, PostgresServer, write_private
from penstock_launcher.service import ANY_SERVICE_SEES, Service, visible
from penstock_launcher.subscribers import ensure_subscriber
from penstock_launcher.supervisor import Stack

DATABASE: Final = "penstock"
DATABASE_URL: Final = "database-url"
PROVISION_SECONDS_MAX: Final = 60.0
HTTP_HOST: Final = "127.0.0.1"
HOST: Final = "local"
"""The name under which this machine's executor takes jobs. Kept, since tasks are bound to the host that has their clone."""

PASSED_ON: Final[Mapping[str, tuple[str, ...]]] = {
    "orchestrator": (
        "PENSTOCK_LOG_LEVEL",
        "PENSTOCK_PARK_SECONDS_MIN",
        "PENSTOCK_PARK_SECONDS_MAX",
        "PENSTOCK_RECONCILE_SECONDS",
        "PENSTOCK_COMPACTION",
        "PENSTOCK_ABSTAIN_BELOW",
        "PENSTOCK_REBASES_MAX",
        "PENSTOCK_LOOK_SECONDS",
        "PENSTOCK_LOOK_SECONDS_MAX",
        "PENSTOCK_LOOK_SECONDS_MIN",
        "PENSTOCK_SETTLE_SECONDS",
        "PENSTOCK_FIX_RUNS_MAX",
        "PENSTOCK_RECALL_MAX",
        "PENSTOCK_EMBEDDINGS_URL",
        "PENSTOCK_EMBEDDINGS_MODEL",
        "PENSTOCK_EMBEDDINGS_KEY",
        "PENSTOCK_EMBEDDINGS_KEY_FILE",
        "PENSTOCK_PUBLIC_URL",
        "PENSTOCK_CLOCK_OFFSET_FILE",
    ),
    "agent-exec": (
        "PENSTOCK_LOG_LEVEL",
        "PENSTOCK_SLOTS",
        "PENSTOCK_SANDBOX",
        "PENSTOCK_LOCAL_FOLDERS",
        "PENSTOCK_AUTHOR_NAME",
        "PENSTOCK_AUTHOR_EMAIL",
        "PENSTOCK_GIT_TOKEN_FILE",
        "PENSTOCK_FORGES_FILE",
        "PENSTOCK_SANDBOX_MEMORY_BYTES",
        "PENSTOCK_SANDBOX_PROCESSES",
        "PENSTOCK_SANDBOX_CPUS",
        "PENSTOCK_MOUNTS_FILE",
        "PENSTOCK_SECRETS_FILE",
        *agents.SETTINGS,
        # How the user's own git reaches a remote.
        "SSH_AUTH_SOCK",
        "HTTPS_PROXY",
        "https_proxy",
        "NO_PROXY",
        "no_proxy",
    ),
    "notifier": ("PENSTOCK_LOG_LEVEL", "PENSTOCK_ALLOW_PRIVATE_WEBHOOKS"),
    "api": ("PENSTOCK_LOG_LEVEL",),
}
"""What a user may set for a service in the environment of the launcher."""


class Built(NamedTuple):
    """The stack, and its parts by their kind, for whoever tells others where they are."""

    stack: Stack
    nats: NatsServer
    postgres: PostgresServer
    services: tuple[Service, ...]
    http_url: str


def build(folder: DataFolder, *, http_port: int, environ: Mapping[str, str]) -> Built:
    """Everything that runs from `folder`, not started yet. The folder must be locked."""
    ports = folder.ports()
    nats = NatsServer(
        folder.path / "nats",
        config=nats_conf.render(
            port=ports["nats"],
            monitor_port=ports["nats-monitor"],
            store_dir=str(folder.path / "nats"),
            passwords={user: folder.secret(f"nats-{user}") for user in nats_conf.USERS},
            pools=agents.every_vendor(environ),
            hosts=(HOST,),
        ),
        port=ports["nats"],
        monitor_port=ports["nats-monitor"],
        log=folder.logs / "nats-server.log",
    )
    postgres = PostgresServer(
        folder.path / "postgresql",
        password=folder.secret("postgresql"),
        port=ports["postgresql"],
        log=folder.logs / "postgresql.log",
    )
    write_private(folder.secret_file(DATABASE_URL), postgres.dsn(DATABASE))
    folder.first_token()
    settings = _settings(folder, nats, http_port, environ)
    services = tuple(
        Service(
            name,
            f"penstock_{name.replace('-', '_')}",
            environ=_environ(folder, name, nats.url, settings[name], environ),
            admin_port=ports[name],
            log=folder.logs / f"{name}.log",
        )
        for name in settings
    )
    prepare = partial(_prepare, folder, nats, postgres, settings["orchestrator"], environ)
    return Built(
        Stack((nats, postgres), prepare, services), nats, postgres, services, f"http://{HTTP_HOST}:{http_port}"
    )


def _settings(
    folder: DataFolder, nats: NatsServer, http_port: int, environ: Mapping[str, str]
) -> dict[str, dict[str, str]]:
    """Each service's own settings, in the order in which the services are listed everywhere."""
    database = {"PENSTOCK_DATABASE_URL_FILE": str(folder.secret_file(DATABASE_URL))}
    scripts = _made(folder.path / "scripts")
    executor = {
        "PENSTOCK_HOST": HOST,
        "PENSTOCK_DATA_DIR": str(_made(folder.path / "executor")),
        "PENSTOCK_SCRIPTS_DIR": str(scripts),
        "PENSTOCK_ALLOW_LOCAL_REMOTES": "true",
        # Well within what the launcher waits for: an agent at work is stopped in order, and its work kept.
        "PENSTOCK_DRAIN_GRACE_SECONDS": "3",
        **agents.settings(environ),
        **visible(agents.passed_on(environ), environ),
    }
    vendors = ",".join(agents.every_vendor(environ))
    return {
        "orchestrator": database | {"PENSTOCK_NATS_MONITOR_URL": nats.monitor_url, "PENSTOCK_POOLS": vendors},
        "agent-exec": executor,
        "notifier": {"PENSTOCK_SECRETS_DIR": str(_made(folder.path / "notifier-secrets"))},
        "api": database
        | {
            "PENSTOCK_HTTP_HOST": HTTP_HOST,
            "PENSTOCK_HTTP_PORT": str(http_port),
            "PENSTOCK_FIRST_TOKEN_FILE": str(folder.secret_file(FIRST_TOKEN)),
            "PENSTOCK_SECRETS_DIR": str(_made(folder.path / "hook-secrets")),
            "PENSTOCK_VENDORS": vendors,
            "PENSTOCK_ALLOW_LOCAL_REMOTES": "true",
        },
    }


def _environ(
    folder: DataFolder, user: str, nats_url: str, settings: Mapping[str, str], environ: Mapping[str, str]
) -> dict[str, str]:
    return {
        **visible(ANY_SERVICE_SEES, environ),
        **visible(PASSED_ON.get(user, ()), environ),
        **settings,
        "PENSTOCK_NATS_URL": nats_url,
        "PENSTOCK_NATS_USER": user,
        "PENSTOCK_NATS_PASSWORD_FILE": str(folder.secret_file(f"nats-{user}")),
    }


def _prepare(
    folder: DataFolder,
    nats: NatsServer,
    postgres: PostgresServer,
    orchestrator: Mapping[str, str],
    environ: Mapping[str, str],
) -> None:
    """Once per start, with the admin's rights: the database, the schema, the streams, the subscriber's durable."""
    if postgres.sql(f"select 1 from pg_database where datname = '{DATABASE}'") != "1":  # noqa: S608 - a constant
        postgres.sql(f"create database {DATABASE}")
    done = subprocess.run(
        ends_with_launcher([sys.executable, "-m", "penstock_orchestrator", "provision"], signal.SIGKILL),
        env=_environ(folder, nats_conf.ADMIN, nats.url, orchestrator, environ),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PROVISION_SECONDS_MAX,
        check=False,
        process_group=0,  # Ctrl-C is the launcher's to hear
    )
    (folder.logs / "provision.log").write_text(done.stdout + done.stderr)
    if done.returncode:
        raise ChildFailed(f"the streams and the schema could not be set up: {(done.stderr or done.stdout).strip()}")
    asyncio.run(
        ensure_subscriber(
            nats.url, folder.secret(f"nats-{nats_conf.ADMIN}"), nats_conf.SUBSCRIBER, f"{s.EVENTS_PUBLIC}.>"
        )
    )


def _made(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    return path
