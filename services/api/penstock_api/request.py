"""What a route is given: the parts of the service, and a request whose body is decoded by our own rules.

Rule of this room: nothing here knows a route.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from litestar import Request
from litestar.datastructures import State
from msgspec import Struct
from nats.aio.client import Client

from penstock_api.body import decode
from penstock_api.catalog import Catalog
from penstock_api.database import Database
from penstock_api.deliveries import Deliveries
from penstock_api.follow import Live
from penstock_api.hooks import Secrets
from penstock_api.orders import Orders
from penstock_api.settings import ApiSettings
from penstock_api.tokens import Token, Tokens


@dataclass(frozen=True, slots=True)
class Parts:
    """What runs behind the routes. `downloads`: how many patches may be in memory at once. `problems`: why the service is
    not ready, empty when it is."""

    settings: ApiSettings
    nc: Client
    database: Database
    tokens: Tokens
    orders: Orders
    catalog: Catalog
    live: Live
    downloads: asyncio.Semaphore
    deliveries: Deliveries
    hook_secrets: Secrets
    problems: Callable[[], list[str]]


class ApiRequest(Request[Token, object, State]):
    """A request of a token's holder."""

    @property
    def parts(self) -> Parts:
        parts = self.app.state.parts
        assert isinstance(parts, Parts)
        return parts

    async def json(self) -> Struct:
        """The body as the Struct that the route's `data` is declared to be. The framework's own way is lenient about types,
        takes JSON under any content type, and answers broken bytes with a 500."""
        field = self.route_handler.parsed_data_field
        assert field is not None
        kind = field.annotation
        assert isinstance(kind, type)
        assert issubclass(kind, Struct)
        return decode(await self.body(), self.headers.get("content-type", "").partition(";")[0].strip().lower(), kind)
