"""TLS at both sides of a link, so that faults act on the plaintext between them.

::

    client == TLS ==> TlsEnd -- plaintext through the pipes and their stages --> TlsEnd == TLS ==> upstream

The sockets, and with them FIN, RST, packet loss and back-pressure, are those of every link: a ``TlsEnd`` is an end
whose socket is a ``TlsStream``, which has the methods of a socket and carries plaintext. Nothing here is imported for a
link without TLS.

hello.py        what a client asks for, read from its first message
stream.py       ciphertext on a socket <-> plaintext
end.py          an end that waits for ciphertext to be written, and for plaintext that was read already
handshake.py    both handshakes of a connection, one within the other
contexts.py     certificates and settings, as contexts of the ssl module
authority.py    the session's own CA
"""
