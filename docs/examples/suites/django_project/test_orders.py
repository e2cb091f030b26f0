"""A suite of a Django project. It does not know that there is a link."""

import django
import pytest
from django.core.cache import cache
from django.db import OperationalError, connection, transaction

redis = pytest.importorskip("redis", reason="the package redis is not installed")


@pytest.fixture
def orders():
    django.setup()
    try:
        connection.ensure_connection()
        cache.delete("open_orders")
    except (OperationalError, redis.ConnectionError) as error:
        pytest.skip(f"DATABASE_ADDRESS and CACHE_ADDRESS say where PostgreSQL and Redis are: {error}")
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE IF NOT EXISTS orders (id int)")
        yield cursor
        cursor.execute("DROP TABLE orders")
    connection.close()
    cache.close()


def test_an_order_is_stored(orders):
    with transaction.atomic():
        orders.execute("INSERT INTO orders VALUES (1)")
    orders.execute("SELECT id FROM orders")
    assert orders.fetchall() == [(1,)]


@pytest.mark.usefixtures("orders")
def test_open_orders_are_counted():
    cache.set("open_orders", 1)
    assert cache.incr("open_orders") == 2
