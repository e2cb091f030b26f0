"""The proxies of a server, by name: creating, updating, populating and resetting them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_netfault.serve.errors import (
    MISSING_FIELD,
    PROXY_EXISTS,
    PROXY_NOT_FOUND,
    ApiError,
)
from pytest_netfault.serve.listening import AddressError, Listen, resolve_listen
from pytest_netfault.serve.proxy import Host, Proxy
from pytest_netfault.serve.toxics import Toxic
from pytest_netfault.serve.wire import Fields

__all__ = ["Collection", "Populated"]


@dataclass(frozen=True)
class Populated:
    """What came of a populate.

    Attributes:
        proxies: those that are there now, in the order of the request.
        error: what ended it early, if anything did.
    """

    proxies: Sequence[Proxy]
    error: ApiError | None = None


@dataclass(frozen=True)
class _Entry:
    """A proxy that a request asks for."""

    name: str
    listen: str
    upstream: str
    enabled: bool
    toxics: tuple[Toxic, ...]


class Collection:
    """The proxies of a server.

    Args:
        host: what they share.
        toxics_count: whether ``toxics`` in a request that creates a proxy are created with it; otherwise they are where
            the request says ``"netfault": 1``. Clients of Toxiproxy echo the toxics of a proxy, and mean nothing by it.
    """

    def __init__(self, host: Host, *, toxics_count: bool = False) -> None:
        self._host = host
        self._toxics_count = toxics_count
        self._proxies: dict[str, Proxy] = {}

    def __iter__(self) -> Iterator[Proxy]:
        """The proxies, by name."""
        return iter([self._proxies[name] for name in sorted(self._proxies)])

    def get(self, name: str) -> Proxy:
        """The proxy of this name.

        Raises:
            ApiError: 404.
        """
        try:
            return self._proxies[name]
        except KeyError:
            raise PROXY_NOT_FOUND() from None

    async def create(self, body: Any) -> Proxy:
        """Create a proxy, and enable it unless the request says otherwise.

        Raises:
            ApiError: 400, a field is missing or wrong; 409, the name is taken; 500, it cannot listen.
        """
        entry = self._entry(body)
        if entry.name in self._proxies:
            raise PROXY_EXISTS()
        at = await self._resolved(entry) if entry.enabled else None
        if entry.name in self._proxies:  # somebody was faster while the name was looked up
            raise PROXY_EXISTS()
        return self._add(entry, at)

    async def update(self, proxy: Proxy, body: Any) -> None:
        """Change the addresses of a proxy, or enable or disable it; what the request does not say stays.

        The same addresses leave its connections alone. Others end them, and it listens again if it should.

        Raises:
            ApiError: 400, and nothing has changed; 404, it was deleted meanwhile; 500, it cannot listen, and is
                disabled now.
        """
        fields = Fields(body, "Proxy")
        listen = fields.text("listen", proxy.listen)
        upstream = fields.text("upstream", proxy.upstream)
        enabled = fields.flag("enabled", proxy.enabled)
        at = None
        if listen != proxy.listen:
            try:
                at = await resolve_listen(listen)
            except AddressError as error:
                raise ApiError(str(error), 500) from error
            if self._proxies.get(proxy.name) is not proxy:
                raise PROXY_NOT_FOUND()
        if enabled and upstream != proxy.upstream:
            proxy.check_upstream(upstream)
        moved = at is not None and at.text != proxy.listen
        if moved or upstream != proxy.upstream:
            proxy.stop()
            proxy.listen, proxy.upstream = listen if moved else proxy.listen, upstream
        if not enabled:
            proxy.stop()
        elif not proxy.enabled:
            await self._start(proxy, at if moved else None)

    async def _start(self, proxy: Proxy, at: Listen | None = None) -> None:
        """Enable a proxy where it has listened before, if it is not known where."""
        if at is None and proxy.resolved is not None and proxy.resolved.text == proxy.listen:
            at = proxy.resolved
        if at is None:
            try:
                at = await resolve_listen(proxy.listen)
            except AddressError as error:
                raise ApiError(f"listen tcp: {error}", 500) from error
            if self._proxies.get(proxy.name) is not proxy:
                raise PROXY_NOT_FOUND()
        proxy.start(at)

    def delete(self, name: str) -> None:
        """Delete a proxy, and end its connections.

        Raises:
            ApiError: 404.
        """
        self.get(name).stop()
        del self._proxies[name]

    async def populate(self, body: Any) -> Populated:
        """Create several proxies. One that is there with the same addresses is left as it is; another is replaced.

        All are looked at before the first is created. Raises nothing: see :class:`Populated`.
        """
        done: list[Proxy] = []
        try:
            for entry in self._entries(body):
                at = await self._resolved(entry)
                done.append(self._replace(entry, at))
        except ApiError as error:
            return Populated(done, error)
        return Populated(done)

    def _replace(self, entry: _Entry, at: Listen) -> Proxy:
        there = self._proxies.get(entry.name)
        if there is not None:
            same_place = there.listen in (entry.listen, at.text)
            if same_place and there.upstream == entry.upstream:
                return there
            there.stop()
        return self._add(entry, at if entry.enabled else None)

    def _add(self, entry: _Entry, at: Listen | None) -> Proxy:
        proxy = Proxy(self._host, entry.name, entry.listen, entry.upstream)
        proxy.add_toxics(entry.toxics)
        if at is not None:
            proxy.start(at)
        self._proxies[entry.name] = proxy
        return proxy

    async def reset(self) -> None:
        """Enable every proxy, and remove all toxics and faults.

        Raises:
            ApiError: 500, one of them cannot listen; those after it are as they were.
        """
        for proxy in self:
            if self._proxies.get(proxy.name) is proxy:  # it may be deleted while a name is looked up
                proxy.remove_all()
                await self._start(proxy)

    def close(self) -> None:
        """End every connection in order."""
        for proxy in self:
            proxy.stop()

    async def _resolved(self, entry: _Entry) -> Listen:
        try:
            return await resolve_listen(entry.listen)
        except AddressError as error:
            if not entry.enabled:  # it is not looked at before it is enabled
                return Listen(entry.listen, ())
            raise ApiError(f"listen tcp: {error}", 500) from error

    # -- reading ------------------------------------------------------------------------------------------

    def _entries(self, body: Any) -> list[_Entry]:
        if body is None:
            return []
        listed = Fields({"proxies": body}).array("proxies")
        fields = [Fields(one, "Proxy") for one in listed]
        for place, one in enumerate(fields, start=1):
            for name in ("name", "upstream"):
                if not one.text(name, ""):
                    raise MISSING_FIELD.because(f"{name} at proxy {place}")
        return [self._entry(one, f" at proxy {place}") for place, one in enumerate(listed, start=1)]

    def _entry(self, body: Any, place: str = "") -> _Entry:
        fields = Fields(body, "Proxy")
        name, upstream = fields.text("name", ""), fields.text("upstream", "")
        listen, enabled = fields.text("listen", ""), fields.flag("enabled", True)
        if not name:
            raise MISSING_FIELD.because("name")
        if not upstream:
            raise MISSING_FIELD.because("upstream")
        toxics: list[Toxic] = []
        if self._toxics_count or _is_ours(fields):
            reader = Proxy(self._host, name, listen, upstream)
            try:
                for one in fields.array("toxics"):
                    toxics.append(reader.read_toxic(one, [toxic.name for toxic in toxics]))
            except ApiError as error:
                raise ApiError(f"{error.text}{place}", error.status) from error
        return _Entry(name, listen, upstream, enabled, tuple(toxics))


def _is_ours(fields: Fields) -> bool:
    """Whether a request says ``"netfault": 1``: it means what it says about toxics."""
    return "netfault" in fields and fields.whole("netfault", 0) == 1
