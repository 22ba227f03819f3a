"""Decides by OpenTelemetry's standard variables whether and how this process exports traces.

They are not settings of ours: collectors' operators set the same ones for every service. What
cannot be done as they say is said, and no trace is exported; no process refuses to work for that.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from models.platform.errors import SlipwayError

DISABLED: Final = "OTEL_SDK_DISABLED"
EXPORTER: Final = "OTEL_TRACES_EXPORTER"
ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
PROTOCOLS: Final = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
SAMPLER: Final = "OTEL_TRACES_SAMPLER"
SAMPLER_ARGUMENT: Final = "OTEL_TRACES_SAMPLER_ARG"
QUEUE_SIZE: Final = "OTEL_BSP_MAX_QUEUE_SIZE"
BATCH_SIZE: Final = "OTEL_BSP_MAX_EXPORT_BATCH_SIZE"
SCHEDULE_DELAY: Final = "OTEL_BSP_SCHEDULE_DELAY"
_PROTOCOL: Final = "http/protobuf"
_RATIO: Final = "traceidratio"
# Of a trace that begins here, the share that is recorded.
_SAMPLERS: Final = {"always_on": 1.0, "always_off": 0.0, _RATIO: None}
_PARENT_BASED: Final = "parentbased_"
_DEFAULT_SAMPLER: Final = "parentbased_always_on"


class InvalidTraceSettings(SlipwayError):
    """The variables ask for what Slipway cannot do; the message has the variable and the remedy."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """Which traces are recorded: *ratio* of those that begin here, and those that callers record.

    Not *follows_parent*: the callers' decision does not count, but *ratio* of all.
    """

    ratio: float
    follows_parent: bool = True


@dataclass(frozen=True, slots=True)
class ExportSettings:
    """How traces are exported. The exporter itself reads its endpoint, headers, certificates."""

    sampling: Sampling
    queue_size: int = 2048  # spans that wait; further ones are dropped, and counted
    batch_size: int = 512
    delay: float = 5.0  # seconds between two exports, unless a batch is full


def export_settings(environ: Mapping[str, str]) -> ExportSettings | None:
    """Return how to export, or None: off, as without any of the variables.

    Raises InvalidTraceSettings.
    """
    given = {name: value.strip() for name, value in environ.items() if value.strip()}
    exporter = given.get(EXPORTER, "").lower()
    endpoints: dict[str, str] = {name: given[name] for name in ENDPOINTS if name in given}
    if given.get(DISABLED, "").lower() == "true" or exporter == "none":
        return None
    if not exporter and not endpoints:
        return None
    if exporter not in ("", "otlp"):
        raise InvalidTraceSettings(f"{EXPORTER} is {exporter!r}: `otlp` and `none` are supported")
    for variable, endpoint in endpoints.items():
        _check_endpoint(variable, endpoint)
    for variable in PROTOCOLS:
        if given.get(variable, _PROTOCOL) != _PROTOCOL:
            raise InvalidTraceSettings(
                f"{variable} is {given[variable]!r}: only `{_PROTOCOL}` is supported, on the"
                " collector's port for OTLP over HTTP (4318)"
            )
    return ExportSettings(
        sampling=_sampling(given),
        queue_size=_number(given, QUEUE_SIZE, 2048),
        batch_size=_number(given, BATCH_SIZE, 512),
        delay=_number(given, SCHEDULE_DELAY, 5000) / 1000,
    )


def _check_endpoint(name: str, endpoint: str) -> None:
    """Refuse what is no URL; its text may hold a password and is not repeated."""
    try:
        url = urlsplit(endpoint)
        is_usable = url.scheme in ("http", "https") and bool(url.hostname) and url.port != 0
    except ValueError:
        is_usable = False
    if not is_usable:
        raise InvalidTraceSettings(f"{name} is no URL: it must be like http://collector:4318")


def _sampling(given: Mapping[str, str]) -> Sampling:
    name = given.get(SAMPLER, _DEFAULT_SAMPLER).lower()
    own = name.removeprefix(_PARENT_BASED)
    if own not in _SAMPLERS:
        known = ", ".join(f"{prefix}{each}" for prefix in ("", _PARENT_BASED) for each in _SAMPLERS)
        raise InvalidTraceSettings(f"{SAMPLER} is {name!r}: {known} are supported")
    ratio = _SAMPLERS[own]
    return Sampling(ratio=_ratio(given) if ratio is None else ratio, follows_parent=own != name)


def _ratio(given: Mapping[str, str]) -> float:
    text = given.get(SAMPLER_ARGUMENT, "1")
    try:
        ratio = float(text)
    except ValueError:
        ratio = -1.0
    if not 0 <= ratio <= 1:
        raise InvalidTraceSettings(
            f"{SAMPLER_ARGUMENT} is {text[:32]!r}: it is a number from 0 to 1"
        )
    return ratio


def _number(given: Mapping[str, str], name: str, default: int) -> int:
    text = given.get(name, str(default))
    if not (text.isascii() and text.isdigit() and int(text[:10]) > 0 and len(text) < 10):  # noqa: PLR2004 - digits of a number that fits anywhere
        raise InvalidTraceSettings(f"{name} is {text[:32]!r}: it is a whole number above 0")
    return int(text)
