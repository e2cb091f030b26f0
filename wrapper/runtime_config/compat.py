"""The plain `etcd3` package, importable beside every protobuf from 3.20 on and beside other etcd clients.

    from runtime_config.compat import etcd3
    client = etcd3.client(port=2379)

It is the package that is installed, unchanged except for where its message classes live. After this import a plain
`import etcd3` anywhere else in the process gives the same module.

The message classes that `etcd3` 0.12.0 ships were generated in 2018. Their modules build every descriptor by hand,
which protobuf refuses since 4.0 ("Descriptors cannot be created directly"), and they register in the
process-wide pool, where the files of any other etcd client (`kv.proto`, `rpc.proto`) collide with them.
What still works in those modules is the serialized description of each file, which is a constant. So:

1. the constant is read from the module's source, which is parsed and never executed;
2. it is added to a descriptor pool of our own, so nothing collides, whatever else is imported before or after;
3. modules with the same names and the same contents are put where `import etcd3` looks for them.

Invariants: no environment variable, no file written, no monkeypatching of protobuf. An `etcd3` that somebody else has
imported already, or a later release without such constants, is used as it is. Nothing else in this package imports
protobuf.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import operator
import sys
import threading
from types import ModuleType
from typing import Any

from google.protobuf import descriptor_pool, message_factory
from google.protobuf.internal import enum_type_wrapper

__all__ = ["etcd3"]

try:
    from google.protobuf import unknown_fields as _module

    unknown_fields: Any = _module.UnknownFieldSet
except ImportError:  # protobuf before 4.22: each message has its own accessor
    unknown_fields = operator.methodcaller("UnknownFields")

# In the order of their dependencies: rpc.proto imports the two others.
_FILES = ("kv_pb2", "auth_pb2", "rpc_pb2")
_PACKAGE = "etcd3.etcdrpc"
_lock = threading.Lock()


def import_etcd3() -> ModuleType:
    """Return the package `etcd3`, imported with its messages in a descriptor pool of their own.

    Raises ImportError when `etcd3` is not installed. Safe to call from several threads and more than once.
    """
    with _lock:
        if "etcd3" not in sys.modules:
            _provide_messages()
        return importlib.import_module("etcd3")


def serialized_file(source: str) -> bytes | None:
    """Find the serialized file description in the source of a generated module; None if it has none.

    >>> serialized_file("D = FileDescriptor(name='kv.proto', serialized_pb=_b('\\\\n\\\\x08kv.proto'))")
    b'\\n\\x08kv.proto'
    >>> serialized_file("import sys") is None
    True
    """
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        for keyword in node.keywords:
            if keyword.arg == "serialized_pb":
                value: ast.expr = keyword.value
                if isinstance(value, ast.Call) and value.args:
                    value = value.args[0]
                if isinstance(value, ast.Constant):
                    # The generator wrote bytes as a latin-1 string, so that one source served Python 2 and 3.
                    return (
                        value.value if isinstance(value.value, bytes) else str(value.value).encode("latin1")
                    )
    return None


def _provide_messages() -> None:
    spec = importlib.util.find_spec("etcd3")
    if spec is None or not spec.submodule_search_locations:
        raise ImportError(
            "the package 'etcd3' is not installed; install it with: pip install etcd3", name="etcd3"
        )
    folder = spec.submodule_search_locations[0]
    blobs: dict[str, bytes] = {}
    for name in _FILES:
        loader: Any = spec.loader
        try:
            source = loader.get_data(f"{folder}/etcdrpc/{name}.py").decode("utf-8")
        except OSError:
            return
        blob = serialized_file(source)
        if blob is None:
            return
        blobs[name] = blob
    pool = descriptor_pool.DescriptorPool()
    for name, blob in blobs.items():
        pool.AddSerializedFile(blob)
        sys.modules[f"{_PACKAGE}.{name}"] = _message_module(pool, name)


def _message_module(pool: Any, name: str) -> ModuleType:
    """Build what the generator would have written: one module with the classes and enums of one file."""
    module = ModuleType(
        f"{_PACKAGE}.{name}", f"Messages of {name[:-4]}.proto, in a descriptor pool of their own."
    )
    file = pool.FindFileByName(f"{name[:-4]}.proto")
    contents: dict[str, Any] = {"DESCRIPTOR": file}
    for message in file.message_types_by_name.values():
        contents[message.name] = _message_class(pool, message)
    for enum in file.enum_types_by_name.values():
        contents[enum.name] = enum_type_wrapper.EnumTypeWrapper(enum)
        contents.update((value.name, value.number) for value in enum.values)
    module.__dict__.update(contents)
    return module


def _message_class(pool: Any, descriptor: Any) -> Any:
    # `GetMessageClass` came with protobuf 4.22; the older spelling was removed in 5.
    if hasattr(message_factory, "GetMessageClass"):
        return message_factory.GetMessageClass(descriptor)
    factory: Any = message_factory.MessageFactory
    return factory(pool).GetPrototype(descriptor)


etcd3 = import_etcd3()
