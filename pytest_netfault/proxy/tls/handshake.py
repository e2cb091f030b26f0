"""Both handshakes of a connection, one within the other.

::

    client                          link                          upstream
      | -- ClientHello ------------> |                                |
      |                              | -- the same protocols offered ->|
      |                              | <---------- handshake -------->|
      | <-- the protocol chosen ---- |                                |
      | <--------- handshake ------> |                                |

So the client gets the protocol (ALPN) that the upstream has chosen, and a failure of the upstream's before its own. A
failure is an event ``tls_failed`` that names the side and its reason. An upstream's alert is passed on to the client; a
client that fails is gone for the upstream.

Silence holds a handshake as it holds bytes; other faults act on plaintext, of which there is none yet.
"""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, Literal

from pytest_netfault.events import Cause
from pytest_netfault.proxy import kernel
from pytest_netfault.proxy.connection import Connection
from pytest_netfault.proxy.poller import TROUBLE
from pytest_netfault.proxy.stage import Ending
from pytest_netfault.proxy.tls.end import TlsEnd
from pytest_netfault.proxy.tls.hello import ClientHello, NoTls, read_hello

if TYPE_CHECKING:
    from pytest_netfault.proxy.tls.contexts import Secure

__all__ = ["Handshake"]

# Of the wire protocol of PostgreSQL: the message by which a client asks for encryption of one kind or the other.
_SSL_REQUEST, _GSS_REQUEST = (8).to_bytes(4, "big") + (80877103).to_bytes(4, "big"), 80877104
_YES, _NO = b"S", b"N"
_INTERNAL_ERROR = 80
_RECORDS = range(20, 25)  # how the records of TLS begin


class _Failed(Exception):
    """A side has not come to an agreement."""

    def __init__(self, side: Literal["client", "upstream"], why: str, ending: Ending = Ending.FIN) -> None:
        super().__init__(why)
        self.side = side
        self.ending = ending


class Handshake:
    """The way of one connection from TCP to TLS; it waits where a side has to answer."""

    def __init__(self, connection: Connection, client: TlsEnd, upstream: TlsEnd, secure: Secure) -> None:
        self._connection = connection
        self._client = client
        self._upstream = upstream
        self._secure = secure
        self._playing = self._play()
        self._awaited: TlsEnd | None = None
        self._greeted = False  # the client expects TLS: an alert says something to it
        client.on_handshake = upstream.on_handshake = self._on_ready
        for end in (client, upstream):
            end.stream.on_failure = self._broken(end)

    def go_on(self) -> None:
        """Go as far as there is something to go on with, unless a fault holds it."""
        connection = self._connection
        connection.catch_up()
        if connection.state != "connecting":
            return
        now = connection.engine.now()
        if any(pipe.flow.held_back(now) for pipe in connection.pipes):
            for end in (self._client, self._upstream):
                end.want(reading=False, writing=False)
            return
        try:
            self._awaited = next(self._playing)
        except StopIteration:
            for end in (self._client, self._upstream):
                end.on_handshake = None
                end.stream.more = True  # there may be plaintext behind the last message
            connection.handshake = None
            connection.opened()
        except _Failed as failure:
            self._fail(failure)
        except OSError as error:
            side: Literal["client", "upstream"] = "upstream" if self._awaited is self._upstream else "client"
            self._fail(_Failed(side, error.strerror or str(error), Ending.RST))
        else:
            for end in (self._client, self._upstream):
                end.want(reading=end is self._awaited, writing=False)

    def _on_ready(self, end: TlsEnd, mask: int) -> None:
        if end is not self._awaited and mask & TROUBLE:
            # It is not its turn, and it is gone: it reports so for ever.
            end.unwatch()
            end.parked = True
            if end is self._upstream and kernel.unread(end.sock):
                return  # what it has sent comes before its end, once the client has agreed
            self._fail(_Failed(end.side, "it was gone before the handshake was over", Ending.RST))
        else:
            self.go_on()

    def _broken(self, end: TlsEnd) -> _OnFailure:
        return _OnFailure(self._connection, end)

    # -- what is said, in order -----------------------------------------------------------------------------

    def _play(self) -> Iterator[TlsEnd]:
        if self._secure.settings.starttls == "postgres":
            yield from self._ask_as_postgres_does()
        hello = yield from self._hello()
        self._greeted = True
        secure, stream = self._secure, self._upstream.stream
        context = secure.to_upstream(hello.protocols)
        stream.begin(context, server_side=False, name=secure.server_name)
        yield from self._shake(self._upstream)
        assert stream.tls is not None
        self._client.stream.begin(secure.to_client(stream.tls.selected_alpn_protocol()), server_side=True)
        yield from self._shake(self._client)

    def _hello(self) -> Generator[TlsEnd, None, ClientHello]:
        stream = self._client.stream
        while True:
            try:
                hello: ClientHello | None = read_hello(bytes(stream.raw_in))
            except NoTls as error:
                raise _Failed("client", str(error)) from error
            if hello is not None:
                return hello
            yield from self._more(self._client)

    def _shake(self, end: TlsEnd) -> Iterator[TlsEnd]:
        stream = end.stream
        assert stream.tls is not None
        while not _shaken(end):
            if stream.raw_ended:
                raise _Failed(end.side, "it ended the connection in the middle of the handshake")
            while not stream.feed():
                yield end

    def _more(self, end: TlsEnd) -> Iterator[TlsEnd]:
        while not end.stream.feed():
            yield end
        if end.stream.raw_ended:
            raise _Failed(end.side, "it ended the connection before the handshake")

    def _ask_as_postgres_does(self) -> Iterator[TlsEnd]:
        client, upstream = self._client.stream, self._upstream.stream
        while True:
            while len(client.raw_in) < 8 and client.raw_in[:1] != b"\x16":
                yield from self._more(self._client)
            if client.raw_in[:1] == b"\x16":  # sslnegotiation=direct
                return
            asked = bytes(client.raw_in[:8])
            if asked == _SSL_REQUEST:
                break
            if asked[:4] != _SSL_REQUEST[:4] or int.from_bytes(asked[4:], "big") != _GSS_REQUEST:
                raise _Failed("client", "it does not ask for TLS, as with sslmode=disable")
            del client.raw_in[:8]
            client.raw.send(_NO)
        del client.raw_in[:8]
        upstream.raw.send(_SSL_REQUEST)
        while not upstream.raw_in:
            yield from self._more(self._upstream)
        answer = bytes(upstream.raw_in)
        upstream.raw_in.clear()
        client.raw.send(answer[:1])
        if answer != _YES:
            raise _Failed(
                "upstream", f"it answers {answer[:40]!r} to a request for TLS: it does not speak it"
            )

    # -- when it fails --------------------------------------------------------------------------------------

    def _fail(self, failure: _Failed) -> None:
        connection, cause = self._connection, Cause(failure.side)
        connection.cause = cause
        connection.log("tls_failed", cause, detail=str(failure), address=self._address(failure.side))
        if failure.ending is Ending.RST:
            connection.ended_by(failure.side, Ending.RST)
            connection.carry_reset()
            return
        if failure.side == "upstream" and self._greeted:
            alert = self._upstream.stream.alert
            self._alert(_INTERNAL_ERROR if alert is None else alert)
        for end in (self._client, self._upstream):
            end.finish_writing(in_order=False)
        connection.close()

    def _address(self, side: str) -> str:
        return self._connection.client_name if side == "client" else self._connection.upstream_name

    def _alert(self, code: int) -> None:
        """Tell the client, which has had no answer to its hello, that there will be none."""
        with contextlib.suppress(OSError):
            self._client.stream.raw.send(bytes((21, 3, 3, 0, 2, 2, code)))


class _OnFailure:
    """Writes down that TLS has failed after the handshake, such as by an alert or a record that is damaged."""

    def __init__(self, connection: Connection, end: TlsEnd) -> None:
        self._connection = connection
        self._side = end.side

    def __call__(self, why: str) -> None:
        self._connection.log("tls_failed", Cause(self._side), detail=_plain(why))


def _shaken(end: TlsEnd) -> bool:
    """Go on with the handshake of one side with what has come; return whether it is over."""
    stream = end.stream
    assert stream.tls is not None
    try:
        stream.tls.do_handshake()
    except ssl.SSLWantReadError:
        stream.flush()
        return False
    except ssl.SSLError as error:
        with contextlib.suppress(OSError):  # our alert, if it is we who refuse
            stream.flush()
        raise _Failed(end.side, _words(error, stream.first)) from error
    stream.flush()
    return True


def _words(error: ssl.SSLError, first: bytes) -> str:
    """What a handshake failed of, for people; ``first`` is what the peer has sent first."""
    if first and first[0] not in _RECORDS:
        return f"it sends no TLS, but {first!r}"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not accepted: {error.verify_message}"
    return _plain(error.reason or str(error))


def _plain(reason: str) -> str:
    """A reason of OpenSSL as words.

    >>> _plain("TLSV1_ALERT_UNKNOWN_CA"), _plain("WRONG_VERSION_NUMBER")
    ('it sent an alert: unknown ca', 'wrong version number')
    """
    version, _, words = reason.partition("_")
    if version in ("SSLV3", "TLSV1", "TLSV13"):
        return f"it sent an alert: {words.removeprefix('ALERT_').replace('_', ' ').lower()}"
    return reason.replace("_", " ").lower()
