import queue
from contextlib import closing

from stores.naive_etcd3 import open_store  # your client, behind put() and subscribe()


def test_an_update_written_during_an_outage_arrives(netfault, etcd_server):
    link = netfault.forward(etcd_server.address)  # a local port that forwards to etcd
    prefix = etcd_server.prefix  # for keys: empty, and another one in each test
    inbox = queue.Queue()
    with (
        closing(open_store(link.address)) as reader,  # your client, over the link
        closing(open_store(etcd_server.address)) as writer,  # the other service, undisturbed
    ):
        reader.subscribe(prefix, inbox.put)

        with link.sever():  # connections end, new ones are refused
            writer.put(prefix + "limit", "200")  # written while the reader cannot hear it
        # healed: the reader may connect again

        while "200" not in str(inbox.get(timeout=5)):  # queue.Empty: it never arrived
            pass
