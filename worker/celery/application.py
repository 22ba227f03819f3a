"""The Celery application: `celery -A worker.app worker|beat|flower`.

Importing it reads the settings and connects nowhere. The stream intake joins the blueprint of the
Celery *worker*, which outlives every reconnect to the broker (the consumer's blueprint does not).
"""

from celery import Celery

from models.settings.settings import read_settings
from worker.celery import beat_metrics, consumer, logs, transport
from worker.celery import gc_tuning as heap
from worker.celery.configuration import configuration
from worker.process import health

transport.install()
consumer.quieten()
app = Celery("slipway")
app.conf.update(configuration(read_settings()))

# By name, so that beat and Flower do not load what only the intake needs.
app.steps["worker"].add("worker.celery.database_check:DatabaseCheck")
app.steps["worker"].add("worker.celery.intake_step:StreamIntake")
app.steps["worker"].add("worker.celery.delivery_step:TimedDelivery")
app.steps["worker"].add("worker.celery.metrics_step:MetricsPage")
app.steps["worker"].add("worker.celery.metrics_step:Surveys")

logs.connect()
health.connect()
heap.connect()
beat_metrics.connect()
