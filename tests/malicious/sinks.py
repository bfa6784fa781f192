"""Where a secret could come out, and the shapes in which it could: everything that leaves the executor, searched.

The rule of this room: a sink is read from outside, as whoever receives it would.
"""

from __future__ import annotations

import base64
import codecs
import contextlib
import subprocess
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

from fake_model import FakeModel
from nats.js.api import RawStreamMsg
from nats.js.errors import NotFoundError
from servers import NatsForTest
from whole import GIT_ENVIRON

from malicious.planted import OWN_KEY, Planted
from penstock import subjects as s

KEY_HEADERS: Final = ("x-api-key", "authorization", "x-goog-api-key")
MODEL_PATHS: Final = ("/v1/messages", "/v1/messages/count_tokens", "/v1/responses", "/v1/chat/completions")
GEMINI_ENDS: Final = (":streamGenerateContent", ":generateContent", ":countTokens")
_OBJECTS: Final = ("cat-file", "--batch-all-objects", "--batch", "--buffer")


def forms(secret: str) -> frozenset[bytes]:
    """The secret as it is, and as it is easily hidden: base64 at every offset, hex, backwards, turned by 13, a letter a line."""
    raw = secret.encode()
    found = {raw, raw.hex().encode(), raw.hex().upper().encode(), raw[::-1], codecs.encode(secret, "rot13").encode()}
    for offset in range(3):
        coded = base64.b64encode(b"\0" * offset + raw).decode()
        # What the neighbours on both sides decide is cut off.
        found.add(coded[(offset * 8 + 5) // 6 : (offset + len(raw)) * 8 // 6].encode())
    found.add(b"\n".join(raw[at : at + 1] for at in range(len(raw))))
    found.add(b"\\n".join(raw[at : at + 1] for at in range(len(raw))))
    return frozenset(found)


def leaks(canaries: Mapping[str, str], sinks: Iterable[tuple[str, bytes]]) -> list[str]:
    """Which secrets stand in which sinks."""
    wanted = [(name, form) for name, value in canaries.items() for form in forms(value)]
    return sorted({f"{name} in {sink}" for sink, found in sinks for name, form in wanted if form in found})


async def broker_sinks(nats: NatsForTest) -> list[tuple[str, bytes]]:
    """Every message in every stream, with its subject and its headers: orders, reports, output, buckets, artifacts."""
    found: list[tuple[str, bytes]] = []
    async for stream, message in _stored(nats):
        head = f"{message.subject}\n{message.headers}\n".encode()
        found.append((f"{stream} {message.subject}", head + (message.data or b"")))
    return found


async def report_bodies(nats: NatsForTest) -> list[bytes]:
    """Every report, as it is stored."""
    return [message.data or b"" async for stream, message in _stored(nats) if stream == s.REPORTS]


async def _stored(nats: NatsForTest) -> AsyncIterator[tuple[str, RawStreamMsg]]:
    nc = await nats.connect()
    try:
        js = nc.jetstream()
        for info in await js.streams_info():
            assert info.config.name is not None
            for seq in range(max(1, info.state.first_seq), info.state.last_seq + 1):
                with contextlib.suppress(NotFoundError):
                    yield info.config.name, await js.get_msg(info.config.name, seq)
    finally:
        await nc.close()


def git_sinks(name: str, repository: Path) -> Iterator[tuple[str, bytes]]:
    """All objects of a repository, reachable or not, and its refs."""
    for what, command in (("objects", _OBJECTS), ("refs", ("for-each-ref",))):
        done = subprocess.run(
            ["git", "-C", str(repository), *command], env=GIT_ENVIRON, capture_output=True, timeout=120, check=True
        )
        yield f"{name} {what}", done.stdout


def file_sinks(folder: Path) -> Iterator[tuple[str, bytes]]:
    """The files of a folder as they stand, links not followed."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink():
            yield f"file {path.relative_to(folder)}", str(path).encode() + b"\n" + path.read_bytes()


def request_sinks(model: FakeModel, key: str) -> Iterator[tuple[str, bytes]]:
    """What the model got, without the key where the gate puts it."""
    for number, seen in enumerate(model.requests):
        heads = {name: value for name, value in seen.headers.items() if not _is_key(name, value, key)}
        yield f"request {number} {seen.method} {seen.target}", f"{seen.target}\n{heads}\n".encode() + seen.raw


def strange_requests(model: FakeModel, key: str) -> list[str]:
    """Requests that are none for an answer, or that come without the executor's own key, or with somebody else's."""
    found = []
    for seen in model.requests:
        is_known = seen.path in MODEL_PATHS or seen.path.endswith(GEMINI_ENDS)
        keys = [value for name, value in seen.headers.items() if name in KEY_HEADERS]
        is_own = bool(keys) and all(value in (key, f"Bearer {key}") for value in keys)
        if not is_known or not is_own or OWN_KEY in f"{seen.target} {seen.headers}":
            found.append(f"{seen.method} {seen.target} {[name for name in seen.headers if name in KEY_HEADERS]}")
    return found


def strange_refs(planted: Planted, tasks: Iterable[str]) -> list[str]:
    """What stands in the remote besides its main line and the tasks' own branches, and what was pushed besides them."""
    own = {f"refs/heads/agent/{task}" for task in tasks}
    done = subprocess.run(
        ["git", "-C", str(planted.remote.path), "for-each-ref", "--format=%(refname)"],
        env=GIT_ENVIRON,
        capture_output=True,
        text=True,
        timeout=600,
        check=True,
    )
    there = set(done.stdout.split()) - {"refs/heads/main"} - own
    pushed = {line.split()[2] for line in planted.remote.pushes} - own
    return sorted(there | pushed)


def _is_key(name: str, value: str, key: str) -> bool:
    return name in KEY_HEADERS and value in (key, f"Bearer {key}")
