"""What is answered to a request that cannot be done, in the words of Toxiproxy."""

from __future__ import annotations

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

    def because(self, reason: str) -> ApiError:
        """The same error with a reason behind it.

        >>> str(BAD_BODY.because("EOF"))
        'bad request body: EOF'
        """
        return ApiError(f"{self.text}: {reason}", self.status)


BAD_BODY = ApiError("bad request body", HTTPStatus.BAD_REQUEST)
MISSING_FIELD = ApiError("missing required field", HTTPStatus.BAD_REQUEST)
PROXY_NOT_FOUND = ApiError("proxy not found", HTTPStatus.NOT_FOUND)
PROXY_EXISTS = ApiError("proxy already exists", HTTPStatus.CONFLICT)
INVALID_STREAM = ApiError("stream was invalid, can be either upstream or downstream", HTTPStatus.BAD_REQUEST)
INVALID_TOXIC_TYPE = ApiError("invalid toxic type", HTTPStatus.BAD_REQUEST)
TOXIC_EXISTS = ApiError("toxic already exists", HTTPStatus.CONFLICT)
TOXIC_NOT_FOUND = ApiError("toxic not found", HTTPStatus.NOT_FOUND)
