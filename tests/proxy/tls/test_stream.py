"""What a TLS stream makes of what its socket says."""

from __future__ import annotations

import contextlib
import select
import socket
import struct
from typing import Any

import pytest
from support.tls_peer import TlsPeer

from pytest_netfault.proxy.tls.stream import TlsStream


def test_what_was_decrypted_before_a_reset_is_read_before_it(hosted: Any) -> None:
    with contextlib.ExitStack() as stack:
        raw = stack.enter_context(socket.create_connection(hosted.server.getsockname()))
        peer = stack.enter_context(
            contextlib.closing(TlsPeer(raw, hosted.upstream_trusting(), name="localhost"))
        )
        ours = hosted.accept()
        peer.shake(whole=False)
        stream = TlsStream(ours)
        stream.feed()
        tls = stream.begin(hosted.context, server_side=True)
        with contextlib.suppress(OSError):
            tls.do_handshake()
        stream.flush()
        peer.shake()
        stream.feed()
        tls.do_handshake()
        stream.flush()
        peer.sendall(b"ab")
        assert stream.recv(1) == b"a"
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        raw.close()
        select.select([ours], [], [], 20)
        assert stream.recv(9) == b"b"
        assert stream.more
        with pytest.raises(ConnectionResetError):
            stream.recv(9)
