"""Released suites of other people, and what each needs to pass through a link: the rows of ``storm_suites.py``.

The source archive of each has tests that run against a real server. ``link`` is all that is added: a file that pytest
loads as a plugin. The address of the server is in the environment, as ``SERVER``.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["SUITES", "Suite"]

_OPEN = """\
import os
from pytest_netfault import NetFault
def pytest_configure(config):
    net = NetFault()
    config.add_cleanup(net.close)
"""
# The address stands in the tests: the link listens there.
_PORT_OF_REDIS = _OPEN + '    net.forward(os.environ["SERVER"], listen=("127.0.0.1", 6379))\n'
# libpq's own environment; its user and database are called postgres here.
_LIBPQ = (
    _OPEN + '    os.environ.update(PGHOST="127.0.0.1", PGPORT=str(net.forward(os.environ["SERVER"]).port))\n'
)

_REDIS_ERRORS = ("redis.ConnectionError", "redis.TimeoutError")


@dataclass(frozen=True)
class Suite:
    """A released suite.

    Attributes:
        package: its name in the registry of Python packages.
        version: which release.
        server: what its tests need: ``"redis"`` or ``"postgres"``.
        link: the lines that were added.
        tests: which of its tests, as arguments of pytest.
        allow: the errors that its users are told to expect.
        installed: what is installed to run it, where that is not ``package==version``.
        needs: what its tests need besides.
        environment: for its tests.
        faults: what ``-k`` asks for; by default none that lasts as long as the timeout of redis-py, which is 5 s.
        places: at how many places each test is played.
        seconds: how long a test may always take.
    """

    package: str
    version: str
    server: str
    link: str
    tests: tuple[str, ...]
    allow: tuple[str, ...]
    installed: str = ""
    needs: tuple[str, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()
    faults: str = "not forget and not silence"
    places: int = 20
    seconds: float = 10.0


def _of(place: str, names: str) -> tuple[str, ...]:
    return tuple(f"{place}::{name}" for name in names.split())


SUITES = (
    Suite(
        "walrus",
        "0.9.8",
        "redis",
        _OPEN + '    os.environ["WALRUS_REDIS_PORT"] = str(net.forward(os.environ["SERVER"]).port)\n',
        (
            "walrus/tests/counter.py",
            *_of("walrus/tests/containers.py", "TestHash::test_item_api TestSet::test_basic_apis"),
            *_of("walrus/tests/containers.py", "TestZSet::test_popmin_popmax TestList::test_basic_apis"),
            *_of("walrus/tests/containers.py", "TestArray::test_basic_apis TestList::test_item_apis"),
            *_of("walrus/tests/lock.py::TestLock", "test_lock test_lock_ctx_mgr test_lock_cleanup"),
            "walrus/tests/rate_limit.py::TestRateLimit::test_rate_limit",
        ),
        _REDIS_ERRORS,
        needs=("redis==8.1.0",),
    ),
    Suite(
        "rq",
        "3.0.0",
        "redis",
        _PORT_OF_REDIS,
        _of(
            "tests/test_queue.py::TestQueue",
            "test_empty_queue test_queue_delete test_position test_remove test_compact test_enqueue test_pop_job_id"
            " test_dequeue_any test_enqueue_sets_metadata test_enqueue_dependents",
        ),
        _REDIS_ERRORS,
        needs=("redis==8.1.0", "psutil"),
    ),
    Suite(
        "dogpile.cache",
        "1.5.0",
        "redis",
        _OPEN + '    os.environ["DOGPILE_REDIS_PORT"] = str(net.forward(os.environ["SERVER"]).port)\n',
        (
            *_of(
                "tests/cache/test_redis_backend.py::RedisTest",
                "test_backend_set_get_value test_backend_delete test_region_set_get_value test_region_creator"
                " test_region_set_multiple_values test_region_get_multiple_values test_region_delete"
                " test_region_is_key_locked",
            ),
            *_of(
                "tests/cache/test_redis_backend.py::RedisDistributedMutexTest",
                "test_mutex test_mutex_reentrant_across_keys",
            ),
        ),
        _REDIS_ERRORS,
        needs=("redis==8.1.0",),
    ),
    Suite(
        "kombu",
        "5.7.0",
        "redis",
        _OPEN
        + '    link = net.forward(os.environ["SERVER"])\n'
        + "    os.environ.update(REDIS_HOST=link.host, REDIS_6379_TCP=str(link.port))\n",
        (
            *_of(
                "t/integration/test_redis.py::test_RedisMessage",
                "test_ack test_reject_no_requeue test_reject_requeue test_requeue",
            ),
            *_of(
                "t/integration/test_redis.py::test_RedisBasicFunctionality",
                "test_publish_consume test_simple_queue_publish_consume test_simple_buffer_publish_consume",
            ),
        ),
        (*_REDIS_ERRORS, "kombu.exceptions.OperationalError"),
        installed="kombu[redis]==5.7.0",
    ),
    Suite(
        "psycopg2",
        "2.9.13",
        "postgres",
        _LIBPQ,
        (
            *_of(
                "tests/test_cursor.py::NamedCursorTests",
                "test_withhold test_iter_named_cursor_default_itersize test_not_scrollable",
            ),
            *_of(
                "tests/test_with.py::WithConnectionTestCase",
                "test_with_ok test_subclass_commit test_with_error_db",
            ),
            *_of("tests/test_with.py::WithCursorTestCase", "test_with_ok test_with_error"),
            *_of("tests/test_copy.py::CopyTests", "test_copy_from_cols test_copy_bytes"),
        ),
        ("psycopg2.OperationalError", "psycopg2.InterfaceError"),
        installed="psycopg2-binary==2.9.13",
        environment=(("PGUSER", "postgres"), ("PSYCOPG2_TESTDB", "postgres")),
        faults="not silence",
        seconds=3,
    ),
    Suite(
        "pg8000",
        "1.31.6",
        "postgres",
        _LIBPQ,
        (
            *_of(
                "test/native/test_query.py",
                "test_parametrized test_insert_returning test_row_count_delete test_row_count_update test_transactions"
                " test_database_error",
            ),
            *_of("test/native/test_prepared_statement.py", "test_prepare test_run"),
            *_of("test/native/test_copy.py", "test_copy_to_with_query test_copy_from_with_table"),
        ),
        ("pg8000.exceptions.InterfaceError", "OSError"),
        needs=("pytz", "python-dateutil", "pytest-mock"),
        faults="not silence",
        seconds=3,
    ),
)
