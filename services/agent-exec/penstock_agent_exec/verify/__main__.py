"""`python -m penstock_agent_exec.verify [PATH]`: commands that could check changes of a repository, for a person to confirm.

Rule of this room: nothing of the repository is run, and nothing is written.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path
from typing import Final

import msgspec

from penstock_agent_exec.git.command import run, trusted_environment
from penstock_agent_exec.git.failures import BadName, GitFailed, failure_from
from penstock_agent_exec.output import readable
from penstock_agent_exec.verify.propose import Proposals
from penstock_agent_exec.verify.tree import propose_for

GIT_SECONDS_MAX: Final = 30.0
_STAGES: Final = ("pre", "build", "test", "lint")


class _Arguments(argparse.Namespace):
    path: Path
    commit: str
    json: bool


def main() -> None:
    given = _parser().parse_args(namespace=_Arguments())
    try:
        found = asyncio.run(_found(given.path, given.commit))
    except (GitFailed, BadName, TimeoutError) as error:
        sys.exit(f"propose: {readable(str(error))}")
    print(_as_json(found) if given.json else _as_text(found))


async def _found(path: Path, revision: str) -> Proposals:
    git_dir = Path(await _git("-C", str(path), "rev-parse", "--absolute-git-dir"))
    asked = (f"--git-dir={git_dir}", "rev-parse", "--verify", "--end-of-options", f"{revision}^{{commit}}")
    return await propose_for(git_dir, await _git(*asked), bare_anywhere=True)


async def _git(*args: str) -> str:
    # A bare repository is found only where that is allowed, which is what whoever names it means.
    env = trusted_environment(settings=(("safe.bareRepository", "all"),))
    done = await run(["git", *args], env=env, timeout_seconds=GIT_SECONDS_MAX)
    if done.returncode != 0:
        raise failure_from(done.stderr)
    return done.stdout.decode("utf-8", "surrogateescape").removesuffix("\n")


def _as_json(found: Proposals) -> str:
    """With the surest of each stage as the api takes them, and all of them with their reasons."""
    best = found.best()
    commands: dict[str, object] = {stage: one.command for stage, one in best.items()}
    commands["reports"] = sorted({glob for one in best.values() for glob in one.reports})
    told = {"verify": commands, "proposals": found.proposals, "unread": found.unread}
    return msgspec.json.format(msgspec.json.encode(told)).decode()


def _as_text(found: Proposals) -> str:
    lines: list[str] = []
    best = found.best().values()
    for stage in _STAGES:
        of_stage = [one for one in found.proposals if one.stage == stage]
        lines.append(f"{stage}" + ("" if of_stage else "  (nothing found)"))
        for one in of_stage:
            mark = "*" if any(one is chosen for chosen in best) else " "
            lines.append(readable(f"  {mark} {one.command}\n      {one.confidence}: {one.why} ({one.source})"))
            lines += [f"      writes {glob}" for glob in one.reports]
    lines += [readable(f"could not be read: {one}") for one in found.unread]
    lines.append("\n* the surest of its stage. Nothing was run: try them, then put the repo with those that are right.")
    return "\n".join(lines)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="penstock propose", description=__doc__.split(":", 1)[1].split("\n")[0].strip()
    )
    parser.add_argument("path", nargs="?", type=Path, default=Path(), help="the repository, bare or not; this folder")
    parser.add_argument("--commit", default="HEAD", help="the commit, tag or branch to read; HEAD")
    parser.add_argument("--json", action="store_true", help="for programs: with a `verify` as PUT /v1/repos takes it")
    return parser


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
