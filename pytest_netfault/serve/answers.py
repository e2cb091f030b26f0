"""Answers with the status, the headers and the bytes that Toxiproxy gives."""

from __future__ import annotations

import secrets

from starlette.requests import Request
from starlette.responses import Response

from pytest_netfault.serve.errors import ApiError
from pytest_netfault.serve.wire import encoded

__all__ = [
    "LARGEST_BODY",
    "TooLarge",
    "body_of",
    "empty_answer",
    "error_answer",
    "json_answer",
    "plain_answer",
    "request_id",
    "take_body",
]

#: The largest body of a request, in bytes.
LARGEST_BODY = 16 * 1024 * 1024

_PLAIN = {"Content-Type": "text/plain; charset=utf-8", "X-Content-Type-Options": "nosniff"}
_ID_LETTERS = "0123456789abcdefghijklmnopqrstuv"


class TooLarge(ApiError):
    """The body of a request is larger than anything that is asked for."""

    def __init__(self) -> None:
        super().__init__(f"request body is larger than {LARGEST_BODY:,} bytes", 413)


async def take_body(request: Request) -> None:
    """Read the body of a request, whoever wants it: a connection is kept only if nothing is left unread.

    Raises:
        TooLarge: it is larger than :data:`LARGEST_BODY`.
    """
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > LARGEST_BODY:
            raise TooLarge()
        parts.append(part)
    request.state.body = b"".join(parts)


def body_of(request: Request) -> bytes:
    """The body of a request."""
    body = request.state.body
    assert isinstance(body, bytes)
    return body


def json_answer(value: object, status: int = 200) -> Response:
    """A value as JSON."""
    return Response(encoded(value), status, {"Content-Type": "application/json"})


def empty_answer(status: int = 204) -> Response:
    """No body."""
    return Response(None, status)


def plain_answer(text: str, status: int) -> Response:
    """A line of text."""
    return Response(f"{text}\n".encode(), status, _PLAIN)


def error_answer(error: ApiError) -> Response:
    """An error: JSON that calls itself text, as Go's ``http.Error`` does."""
    body = encoded({"error": error.text, "status": int(error.status)})
    return Response(body + b"\n", error.status, _PLAIN)


def request_id() -> str:
    """A number for a request: 20 lower-case characters."""
    number = secrets.randbits(100)
    return "".join(_ID_LETTERS[(number >> shift) & 31] for shift in range(0, 100, 5))
