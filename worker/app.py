"""The Celery application: `celery -A worker.app worker|beat|flower`.

Importing it reads the settings and connects nowhere. The stream intake joins the blueprint of the
Celery *worker*, which outlives every reconnect to the broker (the consumer's blueprint does not).
"""

from celery import Celery

from models.settings import read_settings
from worker import consumer, health, heap, logs, transport
from worker.configuration import configuration
from worker.metrics import beat as beat_metrics

transport.install()
consumer.quieten()
app = Celery("slipway")
app.conf.update(configuration(read_settings()))

# By name, so that beat and Flower do not load what only the intake needs.
app.steps["worker"].add("worker.fitness:FitDatabase")
app.steps["worker"].add("worker.intake.step:StreamIntake")
app.steps["worker"].add("worker.delivery.step:DeliveryWithoutHints")
app.steps["worker"].add("worker.metrics.step:MetricsPage")
app.steps["worker"].add("worker.metrics.step:Surveys")

logs.connect()
health.connect()
heap.connect()
beat_metrics.connect()
