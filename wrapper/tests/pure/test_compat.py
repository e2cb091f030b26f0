"""`etcd3` beside whatever protobuf is installed, in processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from runtime_config import compat
from runtime_config.compat import serialized_file


def run(code: str) -> str:
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("PROTOCOL_BUFFERS")
    }
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False
    )
    assert out.returncode == 0, out.stderr
    return out.stdout.strip()


@pytest.mark.slow
def test_the_plain_package_works() -> None:
    code = """
from runtime_config.compat import etcd3
import etcd3 as plain
assert plain is etcd3
request = etcd3.etcdrpc.RangeRequest(key=b"k", sort_order=etcd3.etcdrpc.RangeRequest.ASCEND)
assert etcd3.etcdrpc.RangeRequest.FromString(request.SerializeToString()) == request
client = etcd3.client(port=1)
print(callable(client.watch_prefix), etcd3.etcdrpc.Compare.EQUAL, etcd3.__version__)
"""
    assert run(code).startswith("True 0 0.")


@pytest.mark.slow
def test_its_messages_stay_out_of_the_common_pool() -> None:
    # Another etcd client has files of the same names with other contents; here one is made up.
    code = """
from google.protobuf import descriptor_pb2, descriptor_pool
other = descriptor_pb2.FileDescriptorProto(name="rpc.proto", package="etcdserverpb")
other.message_type.add(name="RangeRequest").field.add(name="mine", number=1, type=9, label=1)
descriptor_pool.Default().Add(other) if hasattr(descriptor_pool.Default(), "Add") else \
    descriptor_pool.Default().AddSerializedFile(other.SerializeToString())
from runtime_config.compat import etcd3
fields = lambda pool: sorted(pool.FindMessageTypeByName("etcdserverpb.RangeRequest").fields_by_name)
print(fields(descriptor_pool.Default()), "range_end" in etcd3.etcdrpc.RangeRequest.DESCRIPTOR.fields_by_name)
"""
    assert run(code) == "['mine'] True"


@pytest.mark.parametrize("first", ["aetcd", "runtime_config"])
def test_a_real_other_client_lives_in_the_same_process(first: str) -> None:
    pytest.importorskip("aetcd", reason="aetcd, another etcd client, is not installed: pip install aetcd")
    second = {"aetcd": "runtime_config", "runtime_config": "aetcd"}[first]
    code = f"""
import {first}, {second}
import aetcd.rpc
from runtime_config.compat import etcd3
ours, theirs = etcd3.etcdrpc.WatchCreateRequest, aetcd.rpc.WatchCreateRequest
print("fragment" in theirs.DESCRIPTOR.fields_by_name, "fragment" in ours.DESCRIPTOR.fields_by_name)
"""
    assert run(code) == "True False"


# The module alone, without the rest of the package, under circumstances that the test makes.
ALONE = f"""
import importlib.util, sys
def load():
    spec = importlib.util.spec_from_file_location("alone", {str(compat.__file__)!r})
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
"""


def test_an_etcd3_that_was_imported_before_is_used() -> None:
    code = ALONE + "mine = sys.modules['etcd3'] = type(sys)('etcd3'); print(load().etcd3 is mine)"
    assert run(code) == "True"


def test_a_missing_package_is_named() -> None:
    code = (
        ALONE
        + """
find = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name == "etcd3" else find(name, *rest)
try:
    load()
except ImportError as error:
    print(error)
"""
    )
    assert "pip install etcd3" in run(code)


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("x = F(serialized_pb=_b('\\n\\xff'))", b"\n\xff"),
        ("x = F(serialized_pb=b'\\x00')", b"\x00"),
        ("x = AddSerializedFile(b'abc')", None),
    ],
)
def test_the_constant_is_found_in_the_source(source: str, found: bytes | None) -> None:
    assert serialized_file(source) == found
