"""A double of each kind, and the host's way to it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from forges.double import Double, Project, certificate_in, serving
from forges.gitea import GiteaDialect
from forges.github import GitHubDialect
from forges.gitlab import GitLabDialect

from penstock.values import RepoSnapshot
from penstock_agent_exec.forge import Forge
from penstock_agent_exec.forge.configured import Forges
from penstock_agent_exec.forge.table import ForgeTable, Hosts, Provider
from penstock_agent_exec.git.names import check_remote

PROVIDERS: Final[tuple[Provider, ...]] = ("github", "gitea", "gitlab")
PROJECTS: Final = {"github": "acme/calc", "gitea": "acme/calc", "gitlab": "acme/tools/calc"}
DIALECTS: Final = {"github": GitHubDialect, "gitea": GiteaDialect, "gitlab": GitLabDialect}


@dataclass
class Place:
    """A forge with one project, and what a host needs to speak to it."""

    provider: Provider
    double: Double
    project: Project
    token_file: Path
    repo: RepoSnapshot

    def forges(self, table: ForgeTable | None = None) -> Forges:
        wanted = table or ForgeTable(provider=self.provider, token_file=str(self.token_file))
        return Forges(Hosts(forges={self.double.host: wanted}), self.token_file.parent / "forge-tokens")

    def forge(self, table: ForgeTable | None = None) -> Forge:
        found = self.forges(table).of(self.repo, check_remote(self.repo.clone_url, allow_local=False))
        assert found is not None
        return found


@contextlib.contextmanager
def place(provider: Provider, folder: Path, *, git: Path | None = None) -> Iterator[Place]:
    """`git`: a bare repository to host. SSL_CERT_FILE has to name `certificate_in(folder)`."""
    token_file = folder / "token"
    with serving(Double(DIALECTS[provider](), certificate_in(folder))) as double:
        token_file.write_text(double.token + "\n")
        project = double.add(PROJECTS[provider], git)
        repo = RepoSnapshot(name="calc", clone_url=f"{double.url}/{project.name}.git", provider=provider)
        yield Place(provider, double, project, token_file, repo)
