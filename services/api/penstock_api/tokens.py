"""Tokens: made, looked up, withdrawn.

Rule of this room: a token's secret is never stored, compared in constant time, and in no log line.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import re
import secrets
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal, NamedTuple, TypeAlias

import structlog
from msgspec import Struct

from penstock_api.database import Database
from penstock_api.problems import Problem, conflict, not_found

log = structlog.get_logger()

Role: TypeAlias = Literal["viewer", "operator", "admin", "agent"]


class BadFirstToken(RuntimeError):
    """There is no token yet, and the file that should hold the first one does not."""


class Token(Struct, frozen=True, kw_only=True):
    """Whoever asks. `task`: the one whose agent it is, empty for people and programs."""

    id: str
    name: str
    role: Role
    task: str = ""

    @property
    def label(self) -> str:
        """For events: who it was, in words that stay true."""
        return f"{self.name} ({self.id})"


TOKEN_PATTERN: Final = re.compile(r"penstock_([0-9a-f]{16})_([A-Za-z0-9_-]{43})")
FRESH_SECONDS: Final = 10.0
"""A token withdrawn through another process of the api is refused here this long after at the latest."""
OUTAGE_SECONDS: Final = 300.0
"""While PostgreSQL is away, tokens that were good shortly before stay good this long, so that commands still pass."""
KNOWN_MAX: Final = 10_000


COLUMNS: Final = "id, name, role, task, created_at, expires_at, last_used_at"
ONE: Final = f"select {COLUMNS}, secret_sha256, expires_at <= now() as expired from penstock_api.token where id = $1"  # noqa: S608
ALL: Final = f"select {COLUMNS} from penstock_api.token order by created_at, id"  # noqa: S608 - our own names
USED: Final = (
    "update penstock_api.token set last_used_at = now() where id = $1"
    " and (last_used_at is null or last_used_at < now() - interval '1 minute')"
)
ADD: Final = (
    "insert into penstock_api.token (id, secret_sha256, name, role, expires_at, task)"  # noqa: S608
    f" values ($1, $2, $3, $4, now() + $5::integer * interval '1 day', $6) returning {COLUMNS}"
)
COUNT: Final = "select count(*) from penstock_api.token"
REMOVE: Final = "delete from penstock_api.token where id = $1"
OTHER_ADMINS: Final = (
    "select count(*) from penstock_api.token"
    " where role = 'admin' and id <> $1 and (expires_at is null or expires_at > now())"
)
HOLD: Final = "lock table penstock_api.token in share row exclusive mode"
STATEMENTS: Final = (ONE, ALL, USED, ADD, COUNT, REMOVE, OTHER_ADMINS)


class TokenRow(Struct, frozen=True, kw_only=True):
    """A token without its secret. `task`: of an agent's token alone."""

    id: str
    name: str
    role: str
    task: str | None
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None


class _Known(NamedTuple):
    token: Token
    secret_sha256: bytes
    expires_at: datetime | None
    read_at: float


class Tokens:
    """The tokens of this installation, looked up in PostgreSQL and remembered for seconds."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: dict[str, _Known] = {}

    async def bearer(self, header: str) -> Token:
        """The token of an Authorization header. Raises Problem: 401, or 503 where it cannot be looked up."""
        scheme, _, given = header.partition(" ")
        if not header:
            raise _unauthorized("this needs a token", "send Authorization: Bearer penstock_...")
        match = TOKEN_PATTERN.fullmatch(given.strip())
        if scheme.lower() != "bearer" or match is None:
            raise _unauthorized("that is not a token of this api", "Authorization: Bearer penstock_<id>_<secret>")
        known = await self._look_up(match[1])
        # Compared also where nothing is known, so that the time says nothing about which ids exist.
        right = hmac.compare_digest(digest(match[2]), bytes(32) if known is None else known.secret_sha256)
        if known is None or not right:
            raise _unauthorized("no such token: it was never given out, or was withdrawn")
        if known.expires_at is not None and known.expires_at <= datetime.now(UTC):
            raise _unauthorized("the token has expired")
        return known.token

    async def still_good(self, token: Token) -> bool:
        """Whether a token that was good at the start of a long answer still is; yes while nobody can say."""
        try:
            known = await self._look_up(token.id)
        except Problem:
            return True
        return known is not None and (known.expires_at is None or known.expires_at > datetime.now(UTC))

    async def _look_up(self, id_: str) -> _Known | None:
        now = asyncio.get_running_loop().time()
        known = self._known.get(id_)
        if known is not None and now - known.read_at < FRESH_SECONDS:
            return known
        try:
            row = await self._database.fetch_row(ONE, id_)
            if row is None:
                self._known.pop(id_, None)
                return None
            await self._database.fetch(USED, id_)
        except Problem:
            if known is not None and now - known.read_at < OUTAGE_SECONDS:
                return known
            raise
        if len(self._known) >= KNOWN_MAX:
            self._known.clear()
        token = Token(id=row["id"], name=row["name"], role=row["role"], task=row["task"] or "")
        self._known[id_] = known = _Known(token, row["secret_sha256"], row["expires_at"], now)
        return known

    async def add(
        self, name: str, role: Role, expires_in_days: int | None, task: str | None = None
    ) -> tuple[TokenRow, str]:
        """A new token: its row, and the whole token, which is never to be had again. `task`: of an agent's token."""
        whole = fresh_token()
        id_, secret = _parts(whole)
        row = await self._database.fetch_row(ADD, id_, digest(secret), name, role, expires_in_days, task)
        assert row is not None
        return TokenRow(**dict(row)), whole

    async def all(self) -> tuple[TokenRow, ...]:
        return tuple(TokenRow(**dict(row)) for row in await self._database.fetch(ALL))

    async def remove(self, id_: str) -> None:
        """Raises Problem: 404, or 409 for the token without which nobody could make another."""
        async with self._database.transaction() as connection:
            await connection.execute(HOLD)
            row = await connection.fetchrow(ONE, id_)
            if row is None:
                raise not_found(f"token {id_}")
            works = row["role"] == "admin" and not row["expired"]
            if works and not await connection.fetchval(OTHER_ADMINS, id_):
                raise conflict("this is the last admin token", hint="make another one before you withdraw it")
            await connection.execute(REMOVE, id_)
        self._known.pop(id_, None)

    async def ensure_first(self, file: str) -> bool:
        """Make the first token where there is none: the one in `file`, or a fresh one that is printed once.

        True when one was made. Raises BadFirstToken, and Problem (503)."""
        async with self._database.transaction() as connection:
            await connection.execute(HOLD)
            if await connection.fetchval(COUNT):
                return False
            id_, secret = _parts(whole := _first(file))
            await connection.fetchrow(ADD, id_, digest(secret), "first", "admin", None, None)
        log.info("token.first", token=id_, source=file or "drawn")
        if not file:
            print(f"The first token (role admin), shown this once:\n{whole}", file=sys.stderr, flush=True)
        return True


def _first(file: str) -> str:
    if not file:
        return fresh_token()
    try:
        whole = Path(file).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise BadFirstToken(f"PENSTOCK_FIRST_TOKEN_FILE names {file}, which cannot be read: {error}") from error
    if TOKEN_PATTERN.fullmatch(whole) is None:
        form = "penstock_<16 of 0-9a-f>_<43 of A-Za-z0-9_->"
        raise BadFirstToken(f"PENSTOCK_FIRST_TOKEN_FILE names {file}, which holds no token: {form}")
    return whole


def fresh_token() -> str:
    return f"penstock_{secrets.token_hex(8)}_{secrets.token_urlsafe(32)}"


def digest(secret: str) -> bytes:
    """What is stored. 256 bits of chance need no slow hash."""
    return hashlib.sha256(secret.encode()).digest()


def _parts(whole: str) -> tuple[str, str]:
    match = TOKEN_PATTERN.fullmatch(whole)
    assert match is not None
    return match[1], match[2]


def _unauthorized(detail: str, hint: str = "") -> Problem:
    challenge = 'Bearer realm="penstock"'
    return Problem(401, "unauthorized", detail, hint=hint, headers={"WWW-Authenticate": challenge})
