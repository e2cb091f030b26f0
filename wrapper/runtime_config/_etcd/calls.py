"""One call with a deadline: attempts, tokens, and an exact error at the end.

    read        repeated until the deadline: reading twice is harmless
    write       repeated only while it certainly did not reach the server; once it may have, `OutcomeUnknown`
    repeatable  a write that the store applies at most once however often it arrives (a comparison guards it)

A write is sent only on a channel that has answered before; on a new one a small read goes first. So a write that
raises `Unavailable` never left, however gRPC words the failure to connect.

An attempt gets a part of the deadline, so that one dead connection or endpoint does not use up all of it, except for a
plain write, which has no second attempt to save time for.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any, Literal

import grpc

from runtime_config import errors
from runtime_config._etcd import giving_up
from runtime_config._etcd.backoff import Backoff
from runtime_config._etcd.channel import Channel, Channels
from runtime_config._etcd.grpc_status import CallFailed, Verdict, final_error
from runtime_config._etcd.tokens import Tokens

Kind = Literal["read", "write", "repeatable"]


class Calls:
    """Makes calls on leased channels. `patience` is how long a call keeps trying while no server can be reached;
    `probe` is a small read that finds out whether one can; `on_reply` is called for each reply."""

    def __init__(
        self,
        channels: Channels,
        tokens: Tokens,
        *,
        timeout: float,
        patience: float,
        probe: Any,
        on_reply: Callable[[], None] = lambda: None,
    ) -> None:
        self._channels = channels
        self.tokens = tokens
        self.timeout = timeout
        self._patience = patience
        self._probe = probe
        self._on_reply = on_reply

    def once(
        self, channel: Channel, method: str, request: Any, seconds: float, *, leader: bool = True
    ) -> Any:
        """One attempt on one channel, renewing the token if that is what it takes. Raises CallFailed."""
        for fresh in (False, True):
            metadata = self.tokens.metadata(channel, seconds, leader)
            try:
                reply = channel.calls[method](request, timeout=seconds, metadata=metadata)
            except grpc.RpcError as error:
                failed = CallFailed.of(error)
                if failed.verdict is Verdict.REAUTHENTICATE and not fresh and self.tokens.renew(metadata):
                    continue
                raise failed from error
            except (
                ValueError
            ) as error:  # "Cannot invoke RPC on closed channel!": closed meanwhile, nothing sent
                raise errors.Closed("the store is closed") from error
            channel.answered = True
            self._on_reply()
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
        """Call until the deadline. `unknown` makes the error for a write without a verdict; `on_lost` is called for
        an attempt that was sent, got no reply, and will be repeated.

        Raises what `errors` defines; CallFailed for verdicts about revisions, which only some callers can get.
        """
        started = time.monotonic()
        deadline = started + (self.timeout if timeout is None else timeout)
        backoff, attempts, lost, reached = Backoff(), 0, False, False
        while True:
            giving_up.check_wanted()
            attempts += 1
            remaining = max(0.001, deadline - time.monotonic())
            share = (
                remaining
                if kind == "write"
                else remaining / max(1, len(self._channels.endpoints) + 2 - attempts)
            )
            with self._channels.lease() as channel:
                try:
                    if kind != "read" and not channel.answered:
                        self._probe_first(channel, share)
                        giving_up.check_wanted()
                    return self.once(channel, method, request, share, leader=leader)
                except CallFailed as error:
                    failed = error
                    if failed.verdict not in (Verdict.NOT_SENT, Verdict.REFUSED_NOW, Verdict.LOST):
                        if failed.verdict in (Verdict.COMPACTED, Verdict.FUTURE):
                            raise
                        raise final_error(failed.code, failed.details) from failed
                    self._channels.failed(channel)
                    reached = reached or channel.answered
            if failed.verdict is Verdict.LOST:
                lost = True
                on_lost()
            if kind == "write" and lost:
                raise unknown(f"no reply came: {failed}") from failed
            now = time.monotonic()
            wait = backoff.delay(random.random) if attempts >= len(self._channels.endpoints) else 0.0
            reachable = failed.code == "DEADLINE_EXCEEDED"
            exhausted = (
                attempts >= len(self._channels.endpoints)
                and not reachable
                and now - started >= self._patience
            )
            if now + wait >= deadline or exhausted:
                raise self._final_failure(kind, lost, reached, failed, now - started, unknown) from failed
            if wait:
                backoff = backoff.failed()
                giving_up.pause(wait)

    def _probe_first(self, channel: Channel, seconds: float) -> None:
        """Find out whether there is a connection, with a harmless read. Raises CallFailed: the write was not sent."""
        try:
            self.once(channel, "Range", self._probe, seconds)
        except CallFailed as failed:
            if failed.verdict is Verdict.LOST:
                failed.verdict = Verdict.NOT_SENT
            raise

    def _final_failure(
        self,
        kind: Kind,
        lost: bool,
        reached: bool,
        failed: CallFailed,
        seconds: float,
        unknown: Callable[[str], errors.OutcomeUnknown],
    ) -> errors.ConfigError:
        where = ", ".join(self._channels.endpoints)
        if kind == "repeatable" and lost:
            return unknown(f"no reply came within {seconds:.2f} s: {failed}")
        if kind == "read" and reached and failed.code == "DEADLINE_EXCEEDED":
            return errors.DeadlineExceeded(f"no answer from {where} within {seconds:.2f} s")
        return errors.Unavailable(
            f"no server could be reached at {where} within {seconds:.2f} s: {failed.details}"
        )
