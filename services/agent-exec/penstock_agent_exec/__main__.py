"""`python -m penstock_agent_exec`: everything that can be refused is refused before the broker is asked for anything."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import structlog

from penstock import service
from penstock.service import Runtime
from penstock.settings import BadSettings, environment
from penstock_agent_exec.cgroups import find_means
from penstock_agent_exec.folder import MARK, DataFolder, FolderTaken, hold, sweep
from penstock_agent_exec.forge.configured import forges_of
from penstock_agent_exec.git.failures import GitFailed
from penstock_agent_exec.git.mirror import remove_tree
from penstock_agent_exec.known_secrets import Hiding, known_secrets, secret_files
from penstock_agent_exec.mounts import read_mounts
from penstock_agent_exec.settings import SERVICE, bwrap_of, load
from penstock_agent_exec.steps.bench import Bench
from penstock_agent_exec.upkeep import upkeep
from penstock_agent_exec.vendors import offers_of
from penstock_agent_exec.worker import Worker

log = structlog.get_logger()


def main() -> None:
    try:
        settings = load(environment())
        bwrap = bwrap_of(settings) if settings.runs else None
        folder = hold(settings.data)
        killed = sweep(folder.installation)
        os.environ[MARK] = folder.installation  # for git on this side, which takes it from here
        means = find_means(folder.installation)
        mounts = read_mounts(settings, secret_files(settings).values())
        secrets = known_secrets(settings)
        sys.stderr = Hiding(sys.stderr, secrets)
    except (BadSettings, FolderTaken, TimeoutError) as error:
        sys.exit(f"penstock-{SERVICE}: {error}")
    offers, notes = offers_of(settings, environment()) if settings.runs else ({}, ())
    if settings.runs and bwrap is None:
        notes = (*notes, "no sandbox, by name")
    if settings.sandbox_cpus and means.kind == "rlimits":
        notes = (*notes, "sandbox_cpus does not hold: this account may make no control groups")

    async def serve(runtime: Runtime) -> None:
        log.info("folder.held", path=str(folder.path), installation=folder.installation, leftovers_killed=killed)
        log.info("host.limits", kept_by=means.kind, groups_swept=means.sweep())
        await _tidy(folder)
        for name in secrets.redactor().too_short:
            log.warning("secret.too_short", setting=name, hint="it is not hidden where it is printed")
        for note in notes:
            log.warning("host.note", note=note)
        if settings.runs and bwrap is None:
            log.warning("host.no_sandbox", hint="agents and checks run with all the rights of this process")
        if settings.runs and not offers:
            runtime.waiting_for["vendors"] = f"this host can run no agent: {'; '.join(notes)}"
        bench = Bench(
            nc=runtime.nc,
            settings=settings,
            folder=folder,
            bwrap=bwrap,
            offers=offers,
            means=means,
            mounts=mounts,
            secrets=secrets,
            forges=forges_of(settings.forges_file, settings.git_token_file, folder.path / "forge-tokens"),
        )
        async with upkeep(bench):
            await Worker(runtime, bench, notes).serve()

    sys.exit(service.run(SERVICE, settings, serve))


async def _tidy(folder: DataFolder) -> None:
    """Remove what a killed predecessor left on the disk and nobody will use again."""
    left = [folder.checks, folder.parcels, *Path(tempfile.gettempdir()).glob(f"{folder.socket_prefix}*")]
    for path in left:
        try:
            await remove_tree(path)
        except GitFailed as error:
            log.warning("folder.not_tidied", path=str(path), reason=str(error))


if __name__ == "__main__":
    main()
