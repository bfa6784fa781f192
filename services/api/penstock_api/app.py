"""The application: routes, handlers of errors, the guard, and the edge around them.

Rule of this room: assembly only.
"""

from __future__ import annotations

from litestar import Litestar
from litestar.datastructures import State
from litestar.exceptions import HTTPException
from litestar.types import ASGIApp

from penstock_api.auth import ACCESS, guard
from penstock_api.body import BODY_BYTES_MAX
from penstock_api.edge import Edge
from penstock_api.openapi import openapi_document
from penstock_api.parameters import check_query, parameters_of
from penstock_api.problems import Problem, answer, answer_http, answer_unexpected
from penstock_api.request import ApiRequest, Parts
from penstock_api.routes import ROUTES


def create_app(parts: Parts) -> ASGIApp:
    """The whole of the HTTP side, over parts that run."""
    document = openapi_document()
    app = Litestar(
        ROUTES,
        state=State({"parts": parts, "document": document, "parameters": parameters_of(document)}),
        request_class=ApiRequest,
        guards=[guard],
        before_request=check_query,
        exception_handlers={Problem: answer, HTTPException: answer_http, Exception: answer_unexpected},
        request_max_body_size=BODY_BYTES_MAX,
        openapi_config=None,
        logging_config=None,
        debug=False,
        pdb_on_exception=False,
    )
    served = {(method, route.path_format) for route in app.routes for method in route.methods if method != "OPTIONS"}
    assert served == set(ACCESS), f"routes and the table of roles differ: {sorted(served ^ set(ACCESS))}"
    return Edge(app, parts.settings.request_seconds_max)
