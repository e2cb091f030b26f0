"""A leader that is cut off from the others: a write through it must not be taken for done."""

from __future__ import annotations

import json
import urllib.error
import urllib.request

import pytest

MEMBERS = {"m1", "m2", "m3"}


def put(member, key, value, timeout):
    """Write through one member, by etcd's JSON gateway: keys and values in base64."""
    body = json.dumps({"key": key, "value": value}).encode()
    with urllib.request.urlopen(f"http://{member.address}/v3/kv/put", body, timeout=timeout) as answer:
        return int(json.load(answer)["header"]["revision"])


def test_a_leader_without_a_majority_confirms_nothing(etcd_cluster):
    old = etcd_cluster.leader(timeout=30)
    before = put(etcd_cluster.members[old], "YQ==", "MQ==", timeout=10)

    with etcd_cluster.partition([old], MEMBERS - {old}):
        with pytest.raises((TimeoutError, urllib.error.URLError)):
            put(etcd_cluster.members[old], "YQ==", "Mg==", timeout=0.5)  # unknown, not failed
        new = etcd_cluster.leader(timeout=30)
        assert new != old
        assert put(etcd_cluster.members[new], "YQ==", "Mw==", timeout=10) == before + 1

    # Healed: the old leader has given up its write, and knows what the others agreed on.
    assert etcd_cluster.members[old].revision(timeout=30) == before + 1
