"""A client that is asyncio, proved: its methods are coroutines, and the kit awaits them on a loop of its own."""

from __future__ import annotations

import asyncio
import contextlib

import grpc
import pytest
from runtime_config.compat import etcd3
from stores import async_runtime_config_store

from pytest_netfault import Break, Delivery, Event, Schedule, Sever, Subscribe, UpdateLost, Write, verify

rpc = etcd3.etcdrpc


class WatchAgain:
    """etcd over grpc.aio: a task watches a prefix, and when the watch ends, it watches again."""

    def __init__(self, address):
        self.channel = grpc.aio.insecure_channel(address)
        self.kv, self.watch = rpc.KVStub(self.channel), rpc.WatchStub(self.channel)
        self.tasks = []

    async def put(self, key, value):
        await self.kv.Put(rpc.PutRequest(key=key.encode(), value=value.encode()), timeout=2)

    async def delete(self, key):
        await self.kv.DeleteRange(rpc.DeleteRangeRequest(key=key.encode()), timeout=2)

    async def subscribe(self, prefix, deliver):
        created = asyncio.Event()
        self.tasks.append(asyncio.create_task(self.follow(prefix, deliver, created)))
        await created.wait()  # from here on changes are delivered

    async def follow(self, prefix, deliver, created):
        end = prefix[:-1].encode() + b"/"  # the character after the dot that the prefix ends with
        create = rpc.WatchCreateRequest(key=prefix.encode(), range_end=end)
        while True:
            with contextlib.suppress(grpc.aio.AioRpcError):
                call = self.watch.Watch()
                await call.write(rpc.WatchRequest(create_request=create))
                async for reply in call:
                    created.set()
                    if reply.events:
                        deliver(Delivery(events=tuple(event(one) for one in reply.events)))
            await asyncio.sleep(0.1)

    async def close(self):
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await self.channel.close()


def event(one):
    value = None if one.type == one.DELETE else one.kv.value.decode()
    return Event(one.kv.key.decode(), value, one.kv.mod_revision)


async def open_watch_again(address):
    return WatchAgain(address)


def test_a_client_that_watches_again_loses_what_is_written_meanwhile(etcd_server):
    schedule = Schedule([Subscribe(), Break(Sever()), Write("a")])
    with pytest.raises(UpdateLost, match=r"\(put 'a' = 'v\d+'\) never reached the subscriber"):
        verify.replay(open_watch_again, etcd_server, schedule, settle=2)


def test_the_wrapper_for_asyncio_loses_nothing(etcd_server):
    report = verify.no_update_lost(async_runtime_config_store.open_store, etcd_server, max_examples=5)
    assert report.inconclusive == 0
    assert report.cuts_that_hit_traffic > 0
