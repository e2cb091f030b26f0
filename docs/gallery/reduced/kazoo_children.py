"""kazoo: a ChildrenWatch whose connection ends right behind an answer never asks again. Needs a ZooKeeper on 2181."""

import socket
import threading
import time

from kazoo.client import KazooClient, KazooState

client, other = KazooClient("127.0.0.1:2181"), KazooClient("127.0.0.1:2181")
client.start(), other.start()
other.ensure_path("/folder")
suspended, ask = threading.Event(), client.get_children


def slowly(*arguments):
    children = ask(*arguments)  # the answer is there, and this thread is slow to go on
    if not suspended.is_set():
        client._connection._socket.shutdown(socket.SHUT_RDWR)
        suspended.wait()
    return children


client.add_listener(lambda state: suspended.set() if state == KazooState.SUSPENDED else None)
client.get_children = slowly
client.ChildrenWatch("/folder", lambda children: print("the watch has seen", children))
while not client.connected:
    time.sleep(0.1)
other.create("/folder/new", sequence=True)
time.sleep(10)
print("there are", other.get_children("/folder"), "and the client is", client.client_state)
