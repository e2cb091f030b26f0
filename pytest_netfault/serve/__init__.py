"""A server that the clients of Toxiproxy can use: links and faults over HTTP, for programs in any language.

``netfault serve`` runs it. From the outside in:

``server``       the process: sockets, signals, the HTTP server (hypercorn, on trio), and the end in order
``application``  who may ask what, and which function answers (starlette)
``toxiproxy``    the routes of Toxiproxy 2.12
``routes``       our own, below ``/netfault/``; ``openapi`` describes both
``collection``   the proxies by name; populate and reset
``proxy``        one proxy: a link while it is enabled, and what is in force on it
``toxics``       a toxic as a fault of ours; ``kinds`` says which there are, ``stages`` what they do to the bytes
``wire``         JSON as Go reads and writes it

Everything but ``server`` is without effects until it is asked; every request is answered from what is known, and none
waits for a peer.
"""
