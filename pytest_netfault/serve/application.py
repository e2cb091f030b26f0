"""The web application: which function answers which request, and what is the same for all of them."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Mapping

import trio
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from pytest_netfault.common.printable import error_words, printable
from pytest_netfault.serve.access import Access, is_browser
from pytest_netfault.serve.answers import error_answer, plain_answer, request_id, take_body
from pytest_netfault.serve.errors import ApiError
from pytest_netfault.serve.toxiproxy import Handler

__all__ = ["make_application"]

log = logging.getLogger("pytest_netfault.serve")

# How long a request may take; only a body that does not come takes any time at all.
_SECONDS = 25.0
_TIMEOUT_PAGE = "<html><head><title>Timeout</title></head><body><h1>Timeout</h1></body></html>"


def make_application(routes: Mapping[str, Mapping[str, Handler]], access: Access) -> ASGIApp:
    """The application.

    Args:
        routes: the functions by path and method; the method ``*`` is any.
        access: who may ask.
    """
    application = Starlette(
        routes=[Route(path, _Page(handlers, access)) for path, handlers in routes.items()],
        exception_handlers={404: _not_found},
    )
    application.router.redirect_slashes = False

    async def entered(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and b"%2f" in scope.get("raw_path", b"").lower():
            # A slash in a name is no separator; there is no name with one that a path could reach.
            await plain_answer("404 page not found", 404)(scope, receive, send)
        else:
            await application(scope, receive, send)

    return entered


async def _not_found(request: Request, _error: Exception) -> Response:
    with trio.move_on_after(_SECONDS), contextlib.suppress(ApiError, ClientDisconnect):
        await take_body(request)
    return plain_answer("404 page not found", 404)


class _Page:
    """The requests of one path."""

    def __init__(self, handlers: Mapping[str, Handler], access: Access) -> None:
        self._handlers = handlers
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive, send)
        handler = self._handlers.get(request.method) or self._handlers.get("*")
        response = Response(_TIMEOUT_PAGE, 503, {"Content-Type": "text/html; charset=utf-8"})
        try:
            with trio.move_on_after(_SECONDS):
                response = await self._answer(request, handler)
        except ClientDisconnect:
            return
        if handler is not None:
            response.headers["X-Toxiproxy-Request-Id"] = request_id()
        log.debug(
            "%s %s %s %d",
            scope["client"][0] if scope.get("client") else "-",
            request.method,
            printable(request.url.path),
            response.status_code,
        )
        await response(scope, receive, send)

    async def _answer(self, request: Request, handler: Handler | None) -> Response:
        try:
            await take_body(request)
            if handler is None:
                return Response(None, 405, {"Allow": ", ".join(sorted(self._handlers))})
            self._access.check(request)
            if is_browser(request):
                return plain_answer("User agent not allowed", 403)
            return await handler(request)
        except ApiError as error:
            return _error_answer(error)
        except ClientDisconnect:
            raise
        except Exception as error:
            log.error(
                "%s %s: %s", request.method, printable(request.url.path), error_words(error, place=True)
            )
            return _error_answer(ApiError(f"{type(error).__name__}: {error}", 500))


def _error_answer(error: ApiError) -> Response:
    response = error_answer(error)
    if error.status == 401:
        response.headers["WWW-Authenticate"] = 'Basic realm="netfault"'
    return response
