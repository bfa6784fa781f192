"""Bytes beside the log, such as a patch to download: chunks in a stream of their own, found by reference from an event.

Rule of this room: what is read is checked against the size and the digest in the event, or it is not handed out.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from typing import Final

from nats.aio.client import Client
from nats.js.errors import NotFoundError

from penstock import subjects as s
from penstock.values import Artifact

CHUNK_BYTES: Final = 512 * 1024
ARTIFACT_BYTES_MAX: Final = 64 * 1024 * 1024


class ArtifactGone(LookupError):
    """The artifact's chunks are no longer stored: they are kept for 90 days."""


class ArtifactDamaged(RuntimeError):
    """The stored chunks are not what the event says they are."""


class ArtifactTooLarge(ValueError):
    """An artifact may have 64 MiB."""


async def store(nc: Client, *, task: str, job: str, name: str, body: bytes, media_type: str) -> Artifact:
    """Store `body`; storing the same again replaces it with the same. Raises ArtifactTooLarge."""
    if len(body) > ARTIFACT_BYTES_MAX:
        raise ArtifactTooLarge(f"{name} of task {task} is {len(body)} bytes")
    js = nc.jetstream(timeout=10.0)
    chunks = [body[at : at + CHUNK_BYTES] for at in range(0, len(body), CHUNK_BYTES)]
    for number, chunk in enumerate(chunks):
        await js.publish(s.artifact_chunk(task, job, name, number), chunk, stream=s.ARTIFACTS)
    return Artifact(
        name=name,
        size_bytes=len(body),
        sha256=hashlib.sha256(body).hexdigest(),
        chunks=len(chunks),
        media_type=media_type,
    )


async def load_whole(nc: Client, artifact: Artifact, *, task: str, job: str) -> bytes:
    """All of it. Raises ArtifactTooLarge, before anything is read, ArtifactGone and ArtifactDamaged."""
    if artifact.size_bytes > ARTIFACT_BYTES_MAX or artifact.chunks > ARTIFACT_BYTES_MAX // CHUNK_BYTES:
        raise ArtifactTooLarge(f"{artifact.name} of task {task} is said to be {artifact.size_bytes} bytes")
    return b"".join([chunk async for chunk in load(nc, artifact, task=task, job=job)])


async def load(nc: Client, artifact: Artifact, *, task: str, job: str) -> AsyncIterator[bytes]:
    """The artifact's chunks in order. Raises ArtifactGone, and ArtifactDamaged at the end at the latest."""
    js = nc.jetstream(timeout=10.0)
    digest = hashlib.sha256()
    for number in range(artifact.chunks):
        subject = s.artifact_chunk(task, job, artifact.name, number)
        try:
            message = await js.get_last_msg(s.ARTIFACTS, subject, direct=True)
        except NotFoundError as error:
            raise ArtifactGone(subject) from error
        chunk = message.data or b""
        digest.update(chunk)
        yield chunk
    if digest.hexdigest() != artifact.sha256:
        raise ArtifactDamaged(f"{artifact.name} of task {task}")
