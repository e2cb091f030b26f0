"""What travels with a call as metadata: the user's token, and the demand for a leader."""

from __future__ import annotations

import threading

import grpc

from runtime_config._etcd import messages
from runtime_config._etcd.channel import Channel
from runtime_config._etcd.grpc_status import CallFailed, Verdict


class Tokens:
    """The token of a user, fetched when first needed and again when the server no longer accepts it.

    It is sent as metadata: gRPC refuses to send call credentials without TLS.
    """

    def __init__(self, username: str | None, password: str | None) -> None:
        self._user, self._password = username, password
        self._lock = threading.Lock()
        self._token: str | None = None
        self._needed = username is not None

    def metadata(self, channel: Channel, seconds: float, leader: bool) -> list[tuple[str, str]]:
        """The metadata of one call, fetching a token first if there is none. Raises CallFailed."""
        # With this a member without a quorum refuses at once instead of letting the call wait.
        metadata = [("hasleader", "true")] if leader else []
        if self._needed:
            metadata.append(("token", self._fetch(channel, seconds)))
        return [pair for pair in metadata if pair[1]]

    def _fetch(self, channel: Channel, seconds: float) -> str:
        with self._lock:
            if self._token is None:
                request = messages.authenticate(self._user or "", self._password or "")
                try:
                    self._token = str(channel.calls["Authenticate"](request, timeout=seconds).token)
                except grpc.RpcError as error:
                    failed = CallFailed.of(error)
                    if failed.verdict is not Verdict.AUTH_DISABLED:
                        # Whatever happened to this request, the caller's was never sent.
                        if failed.verdict is Verdict.LOST:
                            failed.verdict = Verdict.REFUSED_NOW
                        raise failed from error
                    self._needed = False
                    return ""
            return self._token

    def renew(self, refused: list[tuple[str, str]]) -> bool:
        """The server refused this metadata: drop its token. False if there is no token to renew."""
        old = dict(refused).get("token")
        with self._lock:
            if old is not None and self._token == old:
                self._token = None
            return self._needed
