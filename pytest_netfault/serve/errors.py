"""What is answered to a request that cannot be done, in the words of Toxiproxy."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus

__all__ = [
    "BAD_BODY",
    "INVALID_STREAM",
    "INVALID_TOXIC_TYPE",
    "MISSING_FIELD",
    "PROXY_EXISTS",
    "PROXY_NOT_FOUND",
    "TOXIC_EXISTS",
    "TOXIC_NOT_FOUND",
    "ApiError",
    "Reason",
]


class ApiError(Exception):
    """A request that is answered with an error.

    Args:
        text: the sentence that clients show.
        status: the HTTP status.
    """

    def __init__(self, text: str, status: int) -> None:
        super().__init__(text)
        self.text = text
        self.status = status


@dataclass(frozen=True)
class Reason:
    """A reason to refuse a request.

    Each refusal is an exception of its own: one that is raised again and again would keep the tracebacks of all times
    before.
    """

    text: str
    status: int

    def __call__(self) -> ApiError:
        """The error."""
        return ApiError(self.text, self.status)

    def because(self, detail: str) -> ApiError:
        """The error, with what it was about.

        >>> BAD_BODY.because("EOF")
        ApiError('bad request body: EOF')
        """
        return ApiError(f"{self.text}: {detail}", self.status)


BAD_BODY = Reason("bad request body", HTTPStatus.BAD_REQUEST)
MISSING_FIELD = Reason("missing required field", HTTPStatus.BAD_REQUEST)
PROXY_NOT_FOUND = Reason("proxy not found", HTTPStatus.NOT_FOUND)
PROXY_EXISTS = Reason("proxy already exists", HTTPStatus.CONFLICT)
INVALID_STREAM = Reason("stream was invalid, can be either upstream or downstream", HTTPStatus.BAD_REQUEST)
INVALID_TOXIC_TYPE = Reason("invalid toxic type", HTTPStatus.BAD_REQUEST)
TOXIC_EXISTS = Reason("toxic already exists", HTTPStatus.CONFLICT)
TOXIC_NOT_FOUND = Reason("toxic not found", HTTPStatus.NOT_FOUND)
