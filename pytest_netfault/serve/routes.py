"""Our own routes, below ``/netfault/``: what happens on a proxy, faults that Toxiproxy has not, schedules."""

from __future__ import annotations

import dataclasses
import json
import math
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from pytest_netfault.events import LinkEvent
from pytest_netfault.faults import UnsupportedFault, fault_from_json, fault_to_json
from pytest_netfault.serve.answers import body_of, empty_answer, json_answer
from pytest_netfault.serve.collection import Collection
from pytest_netfault.serve.errors import ApiError
from pytest_netfault.serve.openapi import description
from pytest_netfault.serve.playing import Plays, read_steps
from pytest_netfault.serve.proxy import Proxy
from pytest_netfault.serve.toxics import Toxic
from pytest_netfault.serve.toxiproxy import Handler

__all__ = ["OwnRoutes"]

_MOST_EVENTS = 10_000


class OwnRoutes:
    """The requests that only this server knows.

    Args:
        collection: the proxies.
        plays: the schedules.
    """

    def __init__(self, collection: Collection, plays: Plays) -> None:
        self._collection = collection
        self._plays = plays

    @property
    def routes(self) -> dict[str, dict[str, Handler]]:
        """The functions by path and method."""
        one = "/netfault/proxies/{proxy}"
        return {
            "/netfault/openapi.json": {"GET": self._openapi},
            "/netfault/proxies": {"GET": self._list},
            one: {"GET": self._show},
            f"{one}/connections": {"GET": self._connections},
            f"{one}/events": {"GET": self._events},
            f"{one}/bytes": {"GET": self._bytes},
            f"{one}/faults": {"GET": self._faults, "POST": self._apply, "DELETE": self._heal_all},
            f"{one}/faults/{{number}}": {"DELETE": self._heal},
            f"{one}/schedules": {"POST": self._play},
            "/netfault/schedules/{number}": {"GET": self._show_play, "DELETE": self._stop_play},
        }

    async def _openapi(self, request: Request) -> Response:
        return json_answer(description())

    # -- seeing -------------------------------------------------------------------------------------------

    async def _list(self, request: Request) -> Response:
        return json_answer([_summary(proxy) for proxy in self._collection])

    async def _show(self, request: Request) -> Response:
        return json_answer(_summary(self._proxy(request)))

    async def _connections(self, request: Request) -> Response:
        return json_answer([dataclasses.asdict(one) for one in self._proxy(request).connections])

    async def _events(self, request: Request) -> Response:
        proxy = self._proxy(request)
        since = _number(request, "since", -math.inf)
        limit = int(_number(request, "limit", _MOST_EVENTS))
        events = [event for event in proxy.events if event.time > since]
        return json_answer([_event_json(event) for event in (events[-limit:] if limit > 0 else [])])

    async def _bytes(self, request: Request) -> Response:
        return json_answer(self._proxy(request).bytes())

    # -- faults -------------------------------------------------------------------------------------------

    async def _faults(self, request: Request) -> Response:
        faults = self._proxy(request).faults
        return json_answer([{"number": number, **fault_to_json(fault)} for number, fault in faults])

    async def _apply(self, request: Request) -> Response:
        proxy = self._proxy(request)
        body = _plain_json(request)
        try:
            fault = fault_from_json(body)
            fault.check()
            number = proxy.apply(fault)
        except (ValueError, TypeError, UnsupportedFault) as error:
            raise ApiError(str(error), 400) from error
        return json_answer({"number": number, **fault_to_json(fault)}, 201)

    async def _heal(self, request: Request) -> Response:
        proxy = self._proxy(request)
        if not proxy.heal(_whole(request.path_params["number"])):
            raise ApiError("fault not found", 404)
        return empty_answer()

    async def _heal_all(self, request: Request) -> Response:
        self._proxy(request).heal_all()
        return empty_answer()

    # -- schedules ----------------------------------------------------------------------------------------

    async def _play(self, request: Request) -> Response:
        proxy = self._proxy(request)
        steps, timeout = read_steps(_plain_json(request))
        return json_answer(self._plays.begin(proxy, steps, timeout).to_json(), 202)

    async def _show_play(self, request: Request) -> Response:
        return json_answer(self._plays.get(_whole(request.path_params["number"])).to_json())

    async def _stop_play(self, request: Request) -> Response:
        self._plays.stop(self._plays.get(_whole(request.path_params["number"])))
        return empty_answer()

    def _proxy(self, request: Request) -> Proxy:
        return self._collection.get(request.path_params["proxy"])


def _summary(proxy: Proxy) -> dict[str, Any]:
    return {
        "name": proxy.name,
        "listen": proxy.listen,
        "upstream": proxy.upstream,
        "enabled": proxy.enabled,
        "connections": len(proxy.connections),
        "accepted": proxy.link.accepted if proxy.link is not None else 0,
        "bytes": proxy.bytes(),
    }


def _event_json(event: LinkEvent) -> dict[str, Any]:
    made = event.to_json()
    if isinstance(event.fault, Toxic):
        made["fault"] = {"toxic": event.fault.to_json()}
    return made


def _plain_json(request: Request) -> Any:
    """A body of our own routes, which is JSON and nothing else."""
    try:
        return json.loads(body_of(request), parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise ApiError(f"bad request body: {error}", 400) from error


def _no_constant(text: str) -> Any:
    raise ValueError(f"{text} is no JSON")


def _number(request: Request, name: str, default: float) -> float:
    text = request.query_params.get(name)
    if text is None:
        return default
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number) or abs(number) > 2**53:
        raise ApiError(f"{name} must be a number, not {text[:60]!r}", 400)
    return number


def _whole(text: str) -> int:
    """The number in a path; what is none is the number of nothing."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 18 else 0
