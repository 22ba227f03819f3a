"""Clients that reach Redis by the URL of a setting, as our processes do."""

from collections.abc import Iterator
from contextlib import contextmanager

from celery import Celery
from flower.utils.broker import Broker
from kombu import pools

from models.settings.settings import Settings
from tests.support.plain_settings import plain_settings
from worker.celery import transport
from worker.celery.configuration import configuration
from worker.celery.wakeup import is_waiting
from worker.process.redis_client import open_redis


def settings_for(url: str) -> Settings:
    return plain_settings(redis_url=url)


@contextmanager
def celery_at(url: str) -> Iterator[Celery]:
    transport.install()
    # Kombu's are kept by URL, and another test's server may have had this port before.
    pools.reset()  # type: ignore[no-untyped-call]  # kombu's
    app = Celery("test", set_as_current=False)
    app.conf.update(configuration(settings_for(url)))
    try:
        yield app
    finally:
        app.close()


@contextmanager
def flower_at(url: str) -> Iterator[Broker]:
    """What Flower asks for the lengths of queues."""
    with celery_at(url) as app, app.connection() as connection:
        yield Broker(
            connection.as_uri(include_password=True),
            broker_options=app.conf.broker_transport_options,
            broker_use_ssl=app.conf.broker_use_ssl,
        )


def by_our_client(url: str) -> object:
    with open_redis(settings_for(url).redis_url, retries=0, name="test") as client:
        return client.ping()


def by_celery(url: str) -> object:
    with celery_at(url) as app:
        return not is_waiting(app, "deliver")
