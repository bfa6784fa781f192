"""Settings of the api.

Rule of this room: everything has a default but the database, and every default is the careful one.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from penstock.settings import Common, Secret


class ApiSettings(Common, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`first_token_file`: where the first token is read from while there is none yet; it is drawn and printed once where
    this is empty. `vendors`: agents that tasks may name besides those that hosts announce, separated by commas.
    `allow_local_remotes`: repos may be cloned from paths of the executor's host. `secrets_dir`: the folder
    in which `file:<name>` of a repo's webhook is looked up. `request_seconds_max`: until the first
    byte of an answer."""

    database_url: Secret
    secrets_dir: str = ""
    http_host: str = "127.0.0.1"
    http_port: Annotated[int, Meta(ge=0, le=65_535)] = 8080
    first_token_file: str = ""
    vendors: str = "claude,scripted,codex,gemini,qwen"
    allow_local_remotes: bool = False
    sse_connections_max: Annotated[int, Meta(ge=1, le=100_000)] = 1_000
    request_seconds_max: Annotated[float, Meta(ge=1, le=600)] = 30.0

    @property
    def vendor_names(self) -> tuple[str, ...]:
        return tuple(name for name in (part.strip() for part in self.vendors.split(",")) if name)
