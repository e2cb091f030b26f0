"""Framers: which messages are on a wire, by the bytes alone.

They name the frames of RESP, PostgreSQL, HTTP/1, HTTP/2 with gRPC, AMQP, MQTT, NATS and ZooKeeper, so that a place in a
stream has a name: "inside the 2nd Watch response". Pure and incremental; garbage never raises, and memory never grows.

A new protocol is one file here (``mqtt.py`` is a short one to read), its name in ``names.py``, its first bytes in
``detect.py`` and its entry in ``conversation.py``. One of your own needs no more than :func:`register`.
"""

from __future__ import annotations

from pytest_netfault.framers.base import Framer, Message
from pytest_netfault.framers.conversation import Conversation
from pytest_netfault.framers.detect import detect
from pytest_netfault.framers.names import PROTOCOLS, protocol_named
from pytest_netfault.framers.registry import register
from pytest_netfault.framers.spot import Spot

__all__ = ["PROTOCOLS", "Conversation", "Framer", "Message", "Spot", "detect", "protocol_named", "register"]
