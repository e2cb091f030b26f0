"""Schedules that the server plays on a proxy: the steps of a schedule that concern the network.

A schedule is played by a task of its own, step by step: faults come, are healed, and come again once something has
happened, never by the clock. What it put in force and has not healed stays until it is removed.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import trio

from pytest_netfault.common.printable import error_words
from pytest_netfault.control import Link
from pytest_netfault.faults import Fault
from pytest_netfault.schedules import Break, Heal
from pytest_netfault.schedules.steps import Step, WaitForBytes, WaitForConnection, step_from_json
from pytest_netfault.serve.errors import ApiError
from pytest_netfault.serve.proxy import Proxy

__all__ = ["Play", "Plays", "read_steps"]

_PLAYED = (Break, Heal, WaitForConnection, WaitForBytes)
# How long a wait for what does not happen lasts unless the request says otherwise.
WAIT_SECONDS = 60.0
_LONGEST_WAIT = 86_400.0
_TURN_SECONDS = 0.25
# Plays that have ended and are still shown.
_KEPT = 100
# Each that waits takes a thread.
_MOST = 30


def read_steps(body: Any) -> tuple[list[Step], float]:
    """The steps of a schedule, and how long each wait may take.

    Raises:
        ApiError: 400, it is none, or has a step that needs a client of the proof kit.
    """
    if not isinstance(body, dict) or not isinstance(body.get("steps"), list):
        raise ApiError('a schedule must be a JSON object with "steps"', 400)
    steps: list[Step] = []
    try:
        for place, one in enumerate(body["steps"], start=1):
            step = step_from_json(one)
            if not isinstance(step, _PLAYED):
                words = ", ".join(kind.word for kind in _PLAYED)
                raise ApiError(
                    f"step {place}: {step.word} is not of the network; the server plays {words}", 400
                )
            steps.append(step)
    except (ValueError, TypeError) as error:
        raise ApiError(f"step {len(steps) + 1}: {error}", 400) from error
    timeout = body.get("timeout", WAIT_SECONDS)
    if isinstance(timeout, bool) or not isinstance(timeout, (int, float)) or not 0 < timeout <= _LONGEST_WAIT:
        raise ApiError(f"timeout must be more than 0 and at most {_LONGEST_WAIT:g} seconds", 400)
    return steps, float(timeout)


@dataclass(eq=False)
class Play:
    """A schedule that is played, or was.

    Attributes:
        number: its number on the server.
        proxy: where it is played; it may be deleted, and another one have its name by then.
        steps: what is played.
        done: how many steps are done.
        state: ``playing``, ``played``, ``stopped`` or ``failed``.
        detail: why it failed.
    """

    number: int
    proxy: Proxy
    steps: Sequence[Step]
    done: int = 0
    state: str = "playing"
    detail: str = ""
    faults: list[int] = field(default_factory=list)
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)

    def to_json(self) -> dict[str, Any]:
        """What clients get."""
        return {
            "schedule": self.number,
            "proxy": self.proxy.name,
            "steps": len(self.steps),
            "done": self.done,
            "state": self.state,
            "detail": self.detail,
        }


class Plays:
    """The schedules of a server.

    Args:
        nursery: where they are played; they end with it.
    """

    def __init__(self, nursery: trio.Nursery) -> None:
        self._nursery = nursery
        self._numbers = itertools.count(1)
        self._plays: dict[int, Play] = {}

    def begin(self, proxy: Proxy, steps: Sequence[Step], timeout: float) -> Play:
        """Begin to play on a proxy.

        Raises:
            ApiError: 409, the proxy is disabled; 429, too many are played.
        """
        if proxy.link is None:
            raise ApiError("a schedule is played on a proxy that is enabled", 409)
        if sum(one.state == "playing" for one in self._plays.values()) >= _MOST:
            raise ApiError(f"{_MOST} schedules are played at a time; stop one, or wait for its end", 429)
        play = Play(next(self._numbers), proxy, steps)
        self._plays[play.number] = play
        ended = [number for number, one in self._plays.items() if one.state != "playing"]
        for number in ended[: max(0, len(ended) - _KEPT)]:
            del self._plays[number]
        self._nursery.start_soon(self._run, play, proxy.link, timeout)
        return play

    def get(self, number: int) -> Play:
        """The schedule of this number, or :class:`ApiError` 404."""
        try:
            return self._plays[number]
        except KeyError:
            raise ApiError("schedule not found", 404) from None

    async def _run(self, play: Play, link: Link, timeout: float) -> None:
        with play.scope:
            try:
                await self._steps(play, link, timeout)
                play.state = "played"
            except Exception as error:
                play.state, play.detail = "failed", error_words(error)
        if play.scope.cancelled_caught:
            play.state = "stopped"

    async def _steps(self, play: Play, link: Link, timeout: float) -> None:
        before = _Counts.of(link)
        for step in play.steps:
            if isinstance(step, Break):
                before = _Counts.of(link)
                self._break(play, step.fault)
            elif isinstance(step, Heal):
                self._heal(play)
            elif isinstance(step, WaitForConnection):
                await _wait(functools.partial(link.wait_for_connection, before.connections + 1), timeout)
            elif isinstance(step, WaitForBytes):
                count = step.count + (before.up if step.direction == "up" else before.down)
                await _wait(functools.partial(link.wait_for_bytes, count, step.direction), timeout)
            play.done += 1
            await trio.lowlevel.checkpoint()

    def _break(self, play: Play, fault: Fault) -> None:
        number = play.proxy.apply(fault)
        if number is not None:
            play.faults.append(number)

    def _heal(self, play: Play) -> None:
        for number in reversed(play.faults):
            play.proxy.heal(number)
        play.faults.clear()

    def stop(self, play: Play) -> None:
        """Stop playing, and heal what is in force of it."""
        play.scope.cancel()
        self._heal(play)


@dataclass(frozen=True)
class _Counts:
    """Where the counters of a link stand."""

    connections: int
    up: int
    down: int

    @classmethod
    def of(cls, link: Link) -> _Counts:
        return cls(link.accepted, link.bytes_up, link.bytes_down)


async def _wait(wait: Callable[..., None], timeout: float) -> None:
    """Wait in short turns, so that a schedule which is stopped leaves no thread waiting."""
    deadline = trio.current_time() + timeout
    while True:
        left = deadline - trio.current_time()
        try:
            turn = functools.partial(wait, timeout=min(max(left, 0), _TURN_SECONDS))
            await trio.to_thread.run_sync(turn, abandon_on_cancel=True)
        except TimeoutError as error:
            if trio.current_time() >= deadline:
                said = str(error).partition(" for ")[2]
                raise TimeoutError(f"waited {timeout:g} s for {said}") from None
        else:
            return
