"""The Celery application: `celery -A worker.app worker|beat|flower`.

Importing it reads the settings that the process needs, and connects to nothing. The intake joins
the blueprint of the Celery *worker*, which outlives every reconnect to the broker (the consumer's
blueprint does not).
"""

import sys

from celery import Celery

from worker.celery import consumer, signals, transport
from worker.celery.configuration import configuration
from worker.celery.needs import read_settings_for

transport.install()
consumer.quieten()
app = Celery("slipway")
app.conf.update(configuration(read_settings_for(sys.argv[1:])))

# By name, so that beat and Flower do not load what only a worker needs. The steps load the tasks.
app.steps["worker"].add("worker.celery.bootsteps:DatabaseCheck")
app.steps["worker"].add("worker.celery.bootsteps:RedisCheck")
app.steps["worker"].add("worker.celery.bootsteps:StreamIntake")
app.steps["worker"].add("worker.celery.bootsteps:WokenDelivery")
app.steps["worker"].add("worker.celery.bootsteps:MetricsEndpoint")
app.steps["worker"].add("worker.celery.bootsteps:StatsCollection")

signals.connect()
