"""A suite that makes an engine of SQLAlchemy from a URL, and the link between its two fixtures."""

import pytest

sqlalchemy = pytest.importorskip("sqlalchemy", reason="the package sqlalchemy is not installed")
pytest.importorskip("psycopg", reason="the package psycopg is not installed")


@pytest.fixture(scope="session")
def database_url(postgres_address):
    return sqlalchemy.make_url(f"postgresql+psycopg://postgres@{postgres_address}/postgres")


@pytest.fixture(scope="session")
def url_of_the_link(database_url, netfault_factory):
    with netfault_factory() as net:
        link = net.forward((database_url.host, database_url.port))
        yield database_url.set(host=link.host, port=link.port)


@pytest.fixture(scope="session")
def engine(url_of_the_link):  # it was: database_url
    engine = sqlalchemy.create_engine(url_of_the_link)
    with engine.begin() as connection:
        connection.execute(sqlalchemy.text("CREATE TABLE accounts (name text, cents int)"))
    yield engine
    with engine.begin() as connection:
        connection.execute(sqlalchemy.text("DROP TABLE accounts"))
    engine.dispose()


def test_a_transaction_is_whole(engine):
    with engine.begin() as connection:
        connection.execute(sqlalchemy.text("INSERT INTO accounts VALUES ('a', -5), ('b', 5)"))
    with engine.connect() as connection:
        assert connection.scalar(sqlalchemy.text("SELECT sum(cents) FROM accounts")) == 0
