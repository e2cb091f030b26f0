"""Requests and replies in terms of `etcd3`'s message classes. Pure.

Those classes have the protocol of etcd 3.3. Three later additions are sent and read as unknown fields, which protobuf
preserves: `fragment` in a watch request (field 8) and reply (field 7), and the progress request (3).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from runtime_config._etcd.layout import Range
from runtime_config._etcd.records import Entry, RawChange, WatchReply
from runtime_config.compat import etcd3, unknown_fields

rpc = etcd3.etcdrpc

_FRAGMENT_WANTED = b"\x40\x01"  # field 8, varint, true
_PROGRESS = b"\x1a\x00"  # field 3, an empty message
_FRAGMENT_FIELD = 7
_EQUAL, _LESS, _GREATER, _MOD, _CREATE = (
    getattr(rpc.Compare, name) for name in ("EQUAL", "LESS", "GREATER", "MOD", "CREATE")
)
PAGE = 500


def entry(kv: Any) -> Entry:
    return Entry(kv.key, kv.value, kv.mod_revision, kv.create_revision, kv.version)


def read(
    span: Range | bytes,
    *,
    revision: int = 0,
    limit: int = 0,
    keys_only: bool = False,
    stale_ok: bool = False,
    since: int = 0,
) -> Any:
    start, end = (span, b"") if isinstance(span, bytes) else (span.start, span.end)
    return rpc.RangeRequest(
        key=start,
        range_end=end,
        revision=revision,
        limit=limit,
        keys_only=keys_only,
        serializable=stale_ok,
        min_mod_revision=since,
    )


def absent(key: bytes) -> Any:
    return rpc.Compare(key=key, target=rpc.Compare.CREATE, result=rpc.Compare.EQUAL, create_revision=0)


def op_put(key: bytes, value: bytes) -> Any:
    return rpc.RequestOp(request_put=rpc.PutRequest(key=key, value=value))


def op_read(key: bytes, *, keys_only: bool = False) -> Any:
    return rpc.RequestOp(request_range=read(key, keys_only=keys_only))


def transaction(compare: Sequence[Any], success: Sequence[Any], failure: Sequence[Any] = ()) -> Any:
    return rpc.TxnRequest(compare=compare, success=success, failure=failure)


# The parts of a write are filled in place: building messages and copying them takes twice the time, on every call.


def new_transaction() -> Any:
    return rpc.TxnRequest()


def add_revision_is(compare: Any, key: bytes, revision: int) -> None:
    """The key was last written at this revision; 0: it holds nothing."""
    one = compare.add()
    one.key, one.result = key, _EQUAL
    if revision:
        one.target, one.mod_revision = _MOD, revision
    else:
        one.target, one.create_revision = _CREATE, 0


def add_revision_at_most(compare: Any, key: bytes, revision: int) -> None:
    one = compare.add()
    one.key, one.result, one.target, one.mod_revision = key, _LESS, _MOD, revision + 1


def add_present(compare: Any, key: bytes) -> None:
    one = compare.add()
    one.key, one.result, one.target, one.create_revision = key, _GREATER, _CREATE, 0


def add_put(operations: Any, key: bytes, value: bytes) -> None:
    put = operations.add().request_put
    put.key, put.value = key, value


def add_delete(operations: Any, key: bytes) -> None:
    operations.add().request_delete_range.key = key


def add_read(operations: Any, key: bytes, *, keys_only: bool = False) -> None:
    wanted = operations.add().request_range
    wanted.key, wanted.keys_only = key, keys_only


def add_nested(operations: Any) -> Any:
    """A transaction inside this one; returns its operations."""
    inner = operations.add().request_txn
    inner.SetInParent()
    return inner.success


def found(response_op: Any) -> Entry | None:
    """What a read of one key inside a transaction found."""
    kvs = response_op.response_range.kvs
    return entry(kvs[0]) if kvs else None


def authenticate(name: str, password: str) -> Any:
    return rpc.AuthenticateRequest(name=name, password=password)


def watch(span: Range, start_revision: int) -> Any:
    create = rpc.WatchCreateRequest(key=span.start, range_end=span.end, start_revision=start_revision)
    create = rpc.WatchCreateRequest.FromString(create.SerializeToString() + _FRAGMENT_WANTED)
    return rpc.WatchRequest(create_request=create)


def progress() -> Any:
    return rpc.WatchRequest.FromString(_PROGRESS)


def watch_reply(reply: Any) -> WatchReply:
    changes = tuple(
        RawChange(
            event.kv.key,
            None if event.type == 1 else event.kv.value,
            event.kv.mod_revision,
            event.kv.create_revision,
            event.kv.version,
        )
        for event in reply.events
    )
    return WatchReply(
        reply.created,
        reply.canceled,
        reply.compact_revision,
        reply.cancel_reason,
        changes,
        bool(changes) and _is_fragment(reply),
    )


def _is_fragment(reply: Any) -> bool:
    return any(field.field_number == _FRAGMENT_FIELD and bool(field.data) for field in unknown_fields(reply))
