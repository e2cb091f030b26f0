"""One call with a deadline: attempts, tokens, and an honest error at the end.

    read        repeated until the deadline: asking twice does no harm
    write       repeated only while it certainly did not reach the server; once it may have, `OutcomeUnknown`
    repeatable  a write that the store applies at most once however often it arrives (a comparison guards it)

A write is sent only on a wire that has answered something: on a new one a tiny read goes first. So a write that raises
`Unavailable` never left, whatever words gRPC finds for a connection that could not be made.

An attempt gets a part of the deadline, so that one dead connection or endpoint does not eat all of it, except for a
plain write: that has no second attempt to save time for.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from typing import Any, Literal

import grpc

from runtime_config import _messages, errors
from runtime_config._backoff import Backoff
from runtime_config._link import Link, Wire
from runtime_config._status import Verdict, final_error, judge

Kind = Literal["read", "write", "repeatable"]


class CallFailed(Exception):
    """One attempt's failure, sorted. Stays inside the package."""

    def __init__(self, code: str, details: str) -> None:
        super().__init__(f"{code}: {details}")
        self.code = code
        self.details = details
        self.verdict = judge(code, details)

    @classmethod
    def of(cls, error: Any) -> CallFailed:
        return cls(error.code().name, error.details() or "")


class Tokens:
    """The token of a user, fetched when first needed and again when the server no longer knows it.

    It travels as metadata: as call credentials gRPC refuses to send it without TLS.
    """

    def __init__(self, username: str | None, password: str | None) -> None:
        self._user, self._password = username, password
        self._lock = threading.Lock()
        self._token: str | None = None
        self._needed = username is not None

    def metadata(self, wire: Wire, seconds: float, leader: bool) -> list[tuple[str, str]]:
        """The metadata of one call, fetching a token first if there is none. Raises CallFailed."""
        # Asking for a leader makes a member without quorum say so at once instead of letting the call wait.
        metadata = [("hasleader", "true")] if leader else []
        if self._needed:
            metadata.append(("token", self._fetch(wire, seconds)))
        return [pair for pair in metadata if pair[1]]

    def _fetch(self, wire: Wire, seconds: float) -> str:
        with self._lock:
            if self._token is None:
                request = _messages.authenticate(self._user or "", self._password or "")
                try:
                    self._token = str(wire.calls["Authenticate"](request, timeout=seconds).token)
                except grpc.RpcError as error:
                    failed = CallFailed.of(error)
                    if failed.verdict is not Verdict.AUTH_DISABLED:
                        # Whatever happened to this request, the caller's own was never sent.
                        if failed.verdict is Verdict.LOST:
                            failed.verdict = Verdict.REFUSED_NOW
                        raise failed from error
                    self._needed = False
                    return ""
            return self._token

    def renew(self, refused: list[tuple[str, str]]) -> bool:
        """The server refused this metadata: forget its token. False if there is none that could be renewed."""
        old = dict(refused).get("token")
        with self._lock:
            if old is not None and self._token == old:
                self._token = None
            return self._needed


class Calls:
    """Makes calls on a link. `patience` is how long a call keeps trying while no server can be reached;
    `probe` is a read of something small that finds out whether one can."""

    def __init__(
        self,
        link: Link,
        tokens: Tokens,
        *,
        timeout: float,
        patience: float,
        probe: Any,
        contact: Callable[[], None] = lambda: None,
    ) -> None:
        self._link = link
        self.tokens = tokens
        self.timeout = timeout
        self._patience = patience
        self._probe = probe
        self._contact = contact

    def once(self, wire: Wire, method: str, request: Any, seconds: float, *, leader: bool = True) -> Any:
        """One attempt on one wire, renewing the token if that is what it takes. Raises CallFailed."""
        for fresh in (False, True):
            metadata = self.tokens.metadata(wire, seconds, leader)
            try:
                reply = wire.calls[method](request, timeout=seconds, metadata=metadata)
            except grpc.RpcError as error:
                failed = CallFailed.of(error)
                if failed.verdict is Verdict.REAUTHENTICATE and not fresh and self.tokens.renew(metadata):
                    continue
                raise failed from error
            except (
                ValueError
            ) as error:  # "Cannot invoke RPC on closed channel!": closed under our feet, nothing sent
                raise errors.Closed("the store is closed") from error
            wire.answered = True
            self._contact()
            return reply
        raise AssertionError("unreachable: the second attempt returns or raises")

    def call(
        self,
        method: str,
        request: Any,
        *,
        kind: Kind,
        timeout: float | None = None,
        leader: bool = True,
        unknown: Callable[[str], errors.OutcomeUnknown] = errors.OutcomeUnknown,
        on_lost: Callable[[], None] = lambda: None,
    ) -> Any:
        """Call until the deadline. `unknown` makes the error for a write without a verdict; `on_lost` hears of
        an attempt that was sent and got none, and will be repeated.

        Raises what `errors` says; CallFailed for verdicts about revisions, which only some callers can meet.
        """
        started = time.monotonic()
        deadline = started + (self.timeout if timeout is None else timeout)
        backoff, attempts, lost, reached = Backoff(), 0, False, False
        while True:
            attempts += 1
            remaining = max(0.001, deadline - time.monotonic())
            share = (
                remaining if kind == "write" else remaining / max(1, len(self._link.endpoints) + 2 - attempts)
            )
            with self._link.lease() as wire:
                try:
                    if kind != "read" and not wire.answered:
                        self._knock(wire, share)
                    return self.once(wire, method, request, share, leader=leader)
                except CallFailed as error:
                    failed = error
                    if failed.verdict not in (Verdict.NOT_SENT, Verdict.REFUSED_NOW, Verdict.LOST):
                        if failed.verdict in (Verdict.COMPACTED, Verdict.FUTURE):
                            raise
                        raise final_error(failed.code, failed.details) from failed
                    self._link.failed(wire)
                    reached = reached or wire.answered
            if failed.verdict is Verdict.LOST:
                lost = True
                on_lost()
            if kind == "write" and lost:
                raise unknown(f"no verdict came: {failed}") from failed
            now = time.monotonic()
            wait = backoff.delay(random.random) if attempts >= len(self._link.endpoints) else 0.0
            reachable = failed.code == "DEADLINE_EXCEEDED"
            exhausted = (
                attempts >= len(self._link.endpoints) and not reachable and now - started >= self._patience
            )
            if now + wait >= deadline or exhausted:
                raise self._last_word(kind, lost, reached, failed, now - started, unknown) from failed
            if wait:
                backoff = backoff.failed()
                time.sleep(wait)

    def _knock(self, wire: Wire, seconds: float) -> None:
        """Find out whether there is a connection, with something that does no harm. Raises CallFailed: not sent."""
        try:
            self.once(wire, "Range", self._probe, seconds)
        except CallFailed as failed:
            if failed.verdict is Verdict.LOST:
                failed.verdict = Verdict.NOT_SENT
            raise

    def _last_word(
        self,
        kind: Kind,
        lost: bool,
        reached: bool,
        failed: CallFailed,
        seconds: float,
        unknown: Callable[[str], errors.OutcomeUnknown],
    ) -> errors.ConfigError:
        where = ", ".join(self._link.endpoints)
        if kind == "repeatable" and lost:
            return unknown(f"no verdict came within {seconds:.2f} s: {failed}")
        if kind == "read" and reached and failed.code == "DEADLINE_EXCEEDED":
            return errors.DeadlineExceeded(f"no answer from {where} within {seconds:.2f} s")
        return errors.Unavailable(
            f"no server could be reached at {where} within {seconds:.2f} s: {failed.details}"
        )
