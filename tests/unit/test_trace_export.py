"""When traces are exported, by OpenTelemetry's variables; and that nobody waits for a receiver."""

import logging
import subprocess
import sys
import threading
from collections.abc import Sequence

import pytest

from models.tracing.export_queue import ExportQueue
from models.tracing.export_settings import (
    ExportSettings,
    InvalidTraceSettings,
    Sampling,
    export_settings,
)
from models.tracing.traceparent import read_traceparent
from models.tracing.tracer import Tracer, open_tracer
from tests.support.otlp_receiver import otlp_receiver
from tests.support.sources import ROOT
from tests.support.wait import eventually

ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}
TRACE = "0af7651916cd43dd8448eb211c80319c"
RECORDED = f"00-{TRACE}-b7ad6b7169203331-01"
UNRECORDED = f"00-{TRACE}-b7ad6b7169203331-00"
SETTINGS = {
    "SLIPWAY_DATABASE_URL": "postgresql://slipway@127.0.0.1:9/slipway",
    "SLIPWAY_REDIS_URL": "redis://127.0.0.1:9/0",
    "SLIPWAY_SECRET_KEY": "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=",
    "PATH": "/usr/bin:/bin",
}


def run_program(program: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run *program* in a process without any of OpenTelemetry's variables."""
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env=SETTINGS,
    )


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": " "},
        {"OTEL_SERVICE_NAME": "slipway", "OTEL_TRACES_SAMPLER": "nonsense"},
        ENDPOINT | {"OTEL_SDK_DISABLED": "TRUE"},
        ENDPOINT | {"OTEL_TRACES_EXPORTER": "none"},
    ],
    ids=["nothing", "blank", "others", "disabled", "no exporter"],
)
def test_they_are_off(environ):
    assert export_settings(environ) is None


@pytest.mark.parametrize(
    ("environ", "sampling"),
    [
        (ENDPOINT, Sampling(1.0)),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "https://[::1]/v1/traces"}, Sampling(1.0)),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, Sampling(1.0)),
        (ENDPOINT | {"OTEL_TRACES_SAMPLER": "parentbased_always_off"}, Sampling(0.0)),
        (ENDPOINT | {"OTEL_TRACES_SAMPLER": "always_on"}, Sampling(1.0, follows_parent=False)),
        (
            ENDPOINT
            | {
                "OTEL_TRACES_SAMPLER": "parentbased_traceidratio",
                "OTEL_TRACES_SAMPLER_ARG": "0.01",
            },
            Sampling(0.01),
        ),
    ],
    ids=["endpoint", "own endpoint", "exporter", "off", "always", "ratio"],
)
def test_they_are_on_with_this_sampling(environ, sampling):
    assert export_settings(environ) == ExportSettings(sampling)


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "hush@collector:4317", "is no URL"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "grpc://hush:4317", "is no URL"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://[hush", "is no URL"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "only `http/protobuf`"),
        ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json", "only `http/protobuf`"),
        ("OTEL_TRACES_EXPORTER", "zipkin", "`otlp` and `none`"),
        ("OTEL_TRACES_SAMPLER", "jaeger_remote", "parentbased_traceidratio"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "0", "above 0"),
        ("OTEL_BSP_SCHEDULE_DELAY", "5s", "above 0"),
    ],
)
def test_what_cannot_be_done_names_the_variable_and_the_remedy(name, value, problem):
    with pytest.raises(InvalidTraceSettings, match=f"^{name} is ") as refusal:
        export_settings(ENDPOINT | {name: value})

    assert problem in str(refusal.value)
    assert "hush" not in str(refusal.value)


@pytest.mark.parametrize("ratio", ["", "2", "-0.1", "nan", "one"])
def test_a_ratio_is_a_number_from_0_to_1(ratio):
    environ = ENDPOINT | {
        "OTEL_TRACES_SAMPLER": "traceidratio",
        "OTEL_TRACES_SAMPLER_ARG": ratio or "x",
    }
    with pytest.raises(InvalidTraceSettings, match="OTEL_TRACES_SAMPLER_ARG"):
        export_settings(environ)


def test_a_process_works_without_its_traces_and_says_why(monkeypatch, caplog):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "collector")

    with caplog.at_level(logging.WARNING):
        assert open_tracer("intake") is None

    assert caplog.messages == ["traces_not_exported"]


def test_a_caller_s_decision_counts_and_a_share_of_what_begins_here():
    class NoSpans:
        def start(self, *_: object, **__: object) -> None:
            """Never called."""

    of_parent = Tracer(NoSpans(), Sampling(0.5), chance=iter([0.4, 0.6]).__next__)  # type: ignore[arg-type]  # none is made
    by_id = Tracer(NoSpans(), Sampling(0.5, follows_parent=False))  # type: ignore[arg-type]  # none is made
    low, high = (f"00-{'a' * 16}{digit}{'0' * 15}-b7ad6b7169203331-00" for digit in "7f")

    assert [of_parent.records(each) for each in (RECORDED, UNRECORDED)] == [True, False]
    assert [of_parent.records(None), of_parent.records(None)] == [True, False]
    assert [by_id.records(low), by_id.records(high)] == [True, False]


@pytest.mark.parametrize("follows_parent", [True, False])
@pytest.mark.parametrize("ratio", [0.0, 0.01, 0.99])
def test_what_begins_unrecorded_is_not_chosen_by_the_next_process(ratio, follows_parent):
    class NoSpans:
        def start(self, *_: object, **__: object) -> None:
            """Never called."""

    tracer = Tracer(NoSpans(), Sampling(ratio, follows_parent=follows_parent))  # type: ignore[arg-type]  # none is made
    named = [tracer.unrecorded() for _ in range(100)]

    assert [read_traceparent(each) for each in named] == named
    assert len(set(named)) == len(named)
    assert not any(map(tracer.records, named))


def test_what_finds_the_queue_full_is_dropped_and_counted_and_nobody_waits(caplog):
    release, exported = threading.Event(), list[int]()

    def hangs(batch: Sequence[int]) -> bool:
        release.wait()
        exported.extend(batch)
        return True

    with caplog.at_level(logging.WARNING):
        queue = ExportQueue[int](hangs, size=10, batch=5, delay=3600)
        for number in range(100):  # returns although the receiver hangs
            queue.add(number)
        queue.close(0)
        release.set()
        eventually(lambda: "spans_dropped" in caplog.messages)
        queue.close()

    lost = sum(vars(line)["count"] for line in caplog.records)
    assert len(exported) + lost == 100
    assert 10 <= len(exported) <= 15


def test_a_receiver_that_refuses_or_raises_loses_spans_and_nothing_else(caplog):
    outcomes = iter([False, True])

    def export(_batch: Sequence[int]) -> bool:
        if next(outcomes):
            raise OSError("gone")
        return False

    with caplog.at_level(logging.WARNING):
        queue = ExportQueue[int](export, size=10, batch=1, delay=3600)
        queue.add(1)
        queue.add(2)
        queue.close()

    assert sum(vars(line)["count"] for line in caplog.records) == 2


@pytest.mark.slow
@pytest.mark.parametrize(
    "modules",
    [
        "worker.celery, worker.app, worker.celery.bootsteps, worker.celery.tasks",
        "worker.celery, worker.app, worker.celery.beat",
        "worker.celery, worker.app, worker.celery.flower",
        "producers.gateway.app",
        "worker.console.app",
    ],
    ids=["intake, deliver, sweep", "beat", "flower", "gateway", "console"],
)
def test_where_traces_are_off_a_process_imports_nothing_that_makes_or_exports_them(modules):
    program = f"""
import sys
import {modules}
import redis
from models.tracing.tracer import open_tracer
assert open_tracer("test") is None
heavy = "opentelemetry.sdk", "opentelemetry.exporter", "opentelemetry.proto", "requests"
print([name for name in sys.modules if name.startswith(heavy)])
"""
    done = run_program(program)

    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr


@pytest.mark.slow
def test_spans_reach_a_real_receiver():
    """In a process of its own: its variables, its imports, and its end."""
    program = """
import sys, os
import producers.gateway.app
from models.tracing.span import SpanKind
from models.tracing.tracer import open_tracer
os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = sys.argv[1]
tracer = open_tracer("test")
span = tracer.start("work", SpanKind.INTERNAL, parent=sys.argv[2], attributes={"a": 1})
print(span.traceparent)
span.end(error="it failed")
"""
    with otlp_receiver() as receiver:
        done = run_program(program, receiver.url, RECORDED)
        assert done.returncode == 0, done.stderr
        (span,) = receiver.spans()

    assert done.stdout.strip() == f"00-{span.trace_id}-{span.span_id}-01"
    assert (span.service, span.name, span.trace_id) == ("slipway-test", "work", TRACE)
    assert (span.parent_id, span.attributes, span.failed) == ("b7ad6b7169203331", {"a": 1}, True)
