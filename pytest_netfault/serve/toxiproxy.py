"""The routes of Toxiproxy 2.12: what each request does, and how it is answered."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeAlias

from starlette.requests import Request
from starlette.responses import Response

from pytest_netfault.faults import UnsupportedFault
from pytest_netfault.serve.answers import body_of, empty_answer, json_answer
from pytest_netfault.serve.collection import Collection
from pytest_netfault.serve.errors import ApiError
from pytest_netfault.serve.metrics import Metrics
from pytest_netfault.serve.wire import decoded, encoded

__all__ = ["Handler", "Toxiproxy"]

Handler: TypeAlias = Callable[[Request], Awaitable[Response]]


class Toxiproxy:
    """The requests of Toxiproxy's clients.

    Args:
        collection: the proxies.
        version: what ``/version`` says.
        metrics: what ``/metrics`` shows; None where there is no such page.
    """

    def __init__(self, collection: Collection, version: str, metrics: Metrics | None) -> None:
        self._collection = collection
        self._version = version
        self._metrics = metrics

    @property
    def routes(self) -> dict[str, dict[str, Handler]]:
        """The functions by path and method; the method ``*`` is any."""
        metrics: dict[str, dict[str, Handler]] = {"/metrics": {"*": self._show_metrics}}
        return {
            "/proxies": {"GET": self._list, "POST": self._create},
            "/proxies/{proxy}": {
                "GET": self._show,
                "POST": self._update,
                "PATCH": self._update,
                "DELETE": self._delete,
            },
            "/proxies/{proxy}/toxics": {"GET": self._list_toxics, "POST": self._create_toxic},
            "/proxies/{proxy}/toxics/{toxic}": {
                "GET": self._show_toxic,
                "POST": self._update_toxic,
                "PATCH": self._update_toxic,
                "DELETE": self._delete_toxic,
            },
            "/populate": {"POST": self._populate},
            "/reset": {"POST": self._reset},
            "/version": {"GET": self._show_version},
            **(metrics if self._metrics is not None else {}),
        }

    # -- proxies ------------------------------------------------------------------------------------------

    async def _list(self, request: Request) -> Response:
        return json_answer({proxy.name: proxy.to_json() for proxy in self._collection})

    async def _create(self, request: Request) -> Response:
        proxy = await self._collection.create(decoded(body_of(request)))
        return json_answer(proxy.to_json(), 201)

    async def _show(self, request: Request) -> Response:
        return json_answer(self._collection.get(request.path_params["proxy"]).to_json())

    async def _update(self, request: Request) -> Response:
        proxy = self._collection.get(request.path_params["proxy"])
        await self._collection.update(proxy, decoded(body_of(request)))
        return json_answer(proxy.to_json())

    async def _delete(self, request: Request) -> Response:
        self._collection.delete(request.path_params["proxy"])
        return empty_answer()

    async def _populate(self, request: Request) -> Response:
        try:
            body = decoded(body_of(request))
        except ApiError as error:
            return self._populated([], error)
        came = await self._collection.populate(body)
        return self._populated([proxy.to_json() for proxy in came.proxies], came.error)

    def _populated(self, proxies: list[dict[str, object]], error: ApiError | None) -> Response:
        listed = {"proxies": proxies or None}
        if error is None:
            return json_answer(listed, 201)
        return json_answer({"error": error.text, "status": int(error.status), **listed}, error.status)

    async def _reset(self, request: Request) -> Response:
        await self._collection.reset()
        return empty_answer()

    # -- toxics -------------------------------------------------------------------------------------------

    async def _list_toxics(self, request: Request) -> Response:
        proxy = self._collection.get(request.path_params["proxy"])
        return json_answer([toxic.to_json() for toxic in proxy.toxics])

    async def _create_toxic(self, request: Request) -> Response:
        proxy = self._collection.get(request.path_params["proxy"])
        body = decoded(body_of(request))
        try:
            return json_answer(proxy.add_toxic(body).to_json())
        except UnsupportedFault as error:
            raise ApiError(str(error), 400) from error

    async def _show_toxic(self, request: Request) -> Response:
        proxy = self._collection.get(request.path_params["proxy"])
        return json_answer(proxy.toxic(request.path_params["toxic"]).to_json())

    async def _update_toxic(self, request: Request) -> Response:
        proxy = self._collection.get(request.path_params["proxy"])
        name = request.path_params["toxic"]
        proxy.toxic(name)
        return json_answer(proxy.update_toxic(name, decoded(body_of(request))).to_json())

    async def _delete_toxic(self, request: Request) -> Response:
        proxy = self._collection.get(request.path_params["proxy"])
        proxy.remove_toxic(request.path_params["toxic"])
        return empty_answer()

    # -- the server ---------------------------------------------------------------------------------------

    async def _show_version(self, request: Request) -> Response:
        body = b'{"version": ' + encoded(self._version) + b"}\n"
        return Response(body, 200, {"Content-Type": "application/json;charset=utf-8"})

    async def _show_metrics(self, request: Request) -> Response:
        assert self._metrics is not None
        text = self._metrics.page(self._collection)
        return Response(text, 200, {"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})
