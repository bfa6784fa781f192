"""The OpenAPI 3.1 document, from the routes and their Structs; no server is needed to write it.

Rule of this room: what the document promises is read off the code that keeps the promise.
"""

from __future__ import annotations

from functools import cache

import msgspec
from litestar import Litestar
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.spec import Components, SecurityScheme, Server
from litestar.routes import HTTPRoute

from penstock.admin import version_info
from penstock_api.auth import ACCESS, AGENT_ROUTES
from penstock_api.request import ApiRequest
from penstock_api.routes import ROUTES

DESCRIPTION = """\
Ask for changes, follow them live, look at what became of them.

Every answer that is not the one hoped for is problem details (RFC 9457). Roles: a viewer looks, an operator asks for and
answers tasks, an admin keeps the catalogue and the tokens; an agent's token reaches the messages and decisions of its
task. Within `/v1`, fields and event types are only ever added: ignore what
you do not know."""


@cache
def openapi_document() -> bytes:
    """The document as JSON."""
    app = Litestar(
        ROUTES,
        request_class=ApiRequest,
        openapi_config=OpenAPIConfig(
            title="Penstock",
            version=str(version_info("api")["version"]),
            description=DESCRIPTION,
            operation_id_creator=lambda handler, method, path: handler.handler_name,
            servers=[Server(url="/")],
            components=Components(security_schemes={"token": SecurityScheme(type="http", scheme="bearer")}),
        ),
        logging_config=None,
        debug=False,
    )
    document = app.openapi_schema.to_schema()
    optional = _bodies_optional(app)
    for path, item in document["paths"].items():
        for method, operation in item.items():
            role = ACCESS[method.upper(), path]
            operation["security"] = [] if role is None else [{"token": []}]
            if role is not None:
                operation["x-penstock-role"] = role
            if (own_only := AGENT_ROUTES.get((method.upper(), path))) is not None:
                operation["x-penstock-agent"] = "own task" if own_only else "any task"
            if operation["operationId"] in optional:
                # The framework declares every body as required.
                operation["requestBody"]["required"] = False
    _mend_tuples(document["components"]["schemas"])
    return msgspec.json.encode(document)


def _mend_tuples(schema: object) -> None:
    """The framework takes the dots of an annotated `tuple[X, ...]` for one more type, which anything would be of."""
    if isinstance(schema, list):
        for part in schema:
            _mend_tuples(part)
    elif isinstance(schema, dict):
        items = schema.get("items")
        if isinstance(items, dict) and items.get("oneOf", [])[1:] == [{}]:
            schema["items"] = items["oneOf"][0]
        for part in schema.values():
            _mend_tuples(part)


def _bodies_optional(app: Litestar) -> frozenset[str]:
    """Operations whose body may be left out."""
    handlers = [handler for route in app.routes if isinstance(route, HTTPRoute) for handler in route.route_handlers]
    return frozenset(
        handler.handler_name
        for handler in handlers
        if handler.parsed_data_field is not None and handler.parsed_data_field.has_default
    )
