"""A ticket's page leads to the tracing system."""

from sqlalchemy import Engine

from models.events.event import Entry
from tests.support.console_app import console_app_on
from tests.support.harness import Harness
from tests.support.manual_clock import ManualClock
from tests.support.plain_settings import plain_settings


def test_it_links_to_the_trace_where_a_template_says(
    database: str, engine: Engine, clock: ManualClock
):
    trace = "0af7651916cd43dd8448eb211c80319c"
    harness = Harness(engine, clock)
    harness.add_operator()
    entry = harness.event("ticket_win")
    harness.publish(
        Entry(
            entry.id, {**entry.fields, b"traceparent": f"00-{trace}-b7ad6b7169203331-01".encode()}
        )
    )
    template = "https://tempo.example.com/x?a=1&b='{trace_id}"
    settings = plain_settings(database_url=database, console_trace_url=template)
    with console_app_on(settings, engine) as console:
        page = console.operations.page("/tickets/acme/T")

    assert f"https://tempo.example.com/x?a=1&amp;b=&#39;{trace}" in page.response.text
    assert f"trace {trace}" in page.response.text
