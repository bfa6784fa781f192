"""The secrets that this process was given, wherever its settings have them, for the redactor to know.

Rule of this room: whatever setting is a secret is one here, without being named; a file may change while the service runs, and
what stood in it before stays a secret.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, TextIO
from urllib.parse import unquote, urlsplit

import msgspec

from penstock.settings import BadSettings, Secret
from penstock_agent_exec.redact import Redactor
from penstock_agent_exec.settings import Settings, described_in, named_hosts

SECRETS_BYTES_MAX: Final = 64 * 1024
"""Of one file. What is looked for is compiled, all of it together: 64 KiB take two seconds, 256 KiB cannot be compiled."""


class KnownSecrets:
    """`given`: by name. `files`: one secret to a line; those that are not there yet, or not any more, are empty."""

    def __init__(self, given: Mapping[str, str], files: Mapping[str, Path]) -> None:
        self._known = dict(given)
        self._files = dict(files)
        self._states: dict[str, tuple[int, int]] = {}
        self._redactor = self._made()

    def redactor(self) -> Redactor:
        """For what is printed from now on. The same one for as long as no file has changed."""
        if self._changed():
            self._redactor = self._made()
        return self._redactor

    def _made(self) -> Redactor:
        self._states = {name: _state(path) for name, path in self._files.items()}
        for name, path in self._files.items():
            for line in _lines(path):
                if line not in self._known.values():
                    self._known[f"{name} {len(self._known)}"] = line
        return Redactor(self._known)

    def _changed(self) -> bool:
        return any(_state(path) != self._states[name] for name, path in self._files.items())


class Hiding(io.TextIOWrapper):
    """What this process prints of itself, such as its log and its last traceback, without the secrets."""

    def __init__(self, stream: TextIO, secrets: KnownSecrets) -> None:
        super().__init__(stream.buffer, encoding="utf-8", errors="backslashreplace", line_buffering=True)
        self._secrets = secrets

    def write(self, text: str) -> int:
        super().write(self._secrets.redactor().text(text))
        return len(text)


def known_secrets(settings: Settings) -> KnownSecrets:
    """Every Secret of the settings, passwords in their addresses, and the files of secrets that they name. Raises
    BadSettings where `secrets_file` cannot be read, and where a file is too large to be one of secrets."""
    paths = secret_files(settings)
    if settings.secrets_file:
        try:
            with paths["secrets_file"].open("rb"):
                pass
        except OSError as error:
            raise BadSettings(f"PENSTOCK_SECRETS_FILE names {settings.secrets_file}: {error.strerror}") from error
    for name, path in paths.items():
        if (size_bytes := _state(path)[1]) > SECRETS_BYTES_MAX:
            raise BadSettings(
                f"{name} {path}: {size_bytes} bytes, and a file of secrets has {SECRETS_BYTES_MAX} at most"
            )
    return KnownSecrets(dict(_given(settings)), paths)


def secret_files(settings: Settings) -> dict[str, Path]:
    """The files of secrets that the settings name, and the files that these name, by what they are. Raises BadSettings."""
    files = {
        "git_token_file": settings.git_token_file,
        "git_read_token_file": settings.git_read_token_file,
        "secrets_file": settings.secrets_file,
    }
    for name, agent in described_in(settings).items():
        files[f"key_file of {name}"] = agent.table.model.key_file if agent.table.model is not None else ""
    return {name: Path(path) for name, path in files.items() if path} | named_hosts(settings).secret_files


def _given(settings: Settings) -> Iterator[tuple[str, str]]:
    for field in msgspec.structs.fields(settings):
        value: object = getattr(settings, field.name)
        if isinstance(value, Secret):
            yield field.name, value.reveal()
        elif isinstance(value, str) and "@" in value and "://" in value and (password := urlsplit(value).password):
            yield field.name, unquote(password)


def _lines(path: Path) -> list[str]:
    """Those that a secret stands in; the words around a key in a PEM file are none."""
    try:
        with path.open(encoding="utf-8", errors="surrogateescape") as file:
            lines = file.read(SECRETS_BYTES_MAX).splitlines()
    except OSError:
        return []
    return [line for line in lines if line.strip() and not line.startswith("-----")]


def _state(path: Path) -> tuple[int, int]:
    try:
        found = path.stat()
    except OSError:
        return 0, 0
    return found.st_mtime_ns, found.st_size
