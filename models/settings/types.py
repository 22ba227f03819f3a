"""The types of settings: lists separated by commas, keys, networks, ports, and their messages."""

import re
from base64 import urlsafe_b64decode
from collections.abc import Sequence
from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated, Final, Literal

from annotated_types import Ge, Gt, Le
from pydantic import AfterValidator, BeforeValidator, SecretStr
from pydantic_settings import NoDecode

from models.platform.durations import Duration, format_duration, parse_duration
from models.settings.addresses import database_address
from models.settings.egress import DirectHosts, parse_direct_hosts, parse_proxy
from models.settings.redis_address import redis_address
from models.settings.urls import naming_host, split_url, stripped

HOW_TO_MAKE_A_KEY: Final = (
    'make one with: python -c "from cryptography.fernet import Fernet;'
    ' print(Fernet.generate_key().decode())"'
)
SERVICE_LINKS: Final = (
    "this is a Kubernetes service link, set by the name of a Service and not by you;"
    " set `enableServiceLinks: false` in the pod"
)

TRACE_ID_PLACEHOLDER: Final = "{trace_id}"
ROLE_NAMES: Final = ("viewer", "support", "operations")  # those of `models.users.Role`
_FERNET_KEY_BYTES: Final = 32
_CONTACT: Final = re.compile(r"[!#-&*-\[\]-~]{1,200}")  # stands in a comment of a header
_STREAM: Final = re.compile(r"[A-Za-z0-9._:-]{1,64}")  # no hash tag: the whole name is one
_QUEUES: Final = ("celery", "deliver", "intake", "sweep", "tickets")  # lists, perhaps beside it
_ADDRESS: Final = re.compile(r"[0-9A-Fa-f]{0,4}[.:][0-9A-Fa-f.:/]{0,50}")
_VISIBLE: Final = re.compile(r"[!-~]+")
_PREFIX: Final = re.compile(r"(?:/[A-Za-z0-9._~-]+)*")


def shorter_than(limit: timedelta) -> AfterValidator:
    """Return a validator that refuses a duration of *limit* or longer."""

    def _checked(duration: timedelta) -> timedelta:
        if duration >= limit:
            raise ValueError(f"must be shorter than {format_duration(limit)}")
        return duration

    return AfterValidator(_checked)


def _positive(duration: timedelta) -> timedelta:
    if not duration:
        raise ValueError("must be longer than 0")
    return duration


def _parts(value: object) -> object:
    """Split text at its commas; Pydantic validates any other value."""
    if not isinstance(value, str):
        return value
    return tuple(part.strip() for part in value.split(",") if part.strip())


def _checked_keys(keys: Sequence[SecretStr]) -> tuple[SecretStr, ...]:
    if not keys:
        raise ValueError(f"holds no key; {HOW_TO_MAKE_A_KEY}")
    for number, key in enumerate(keys, start=1):
        if not _is_fernet_key(key.get_secret_value()):
            problem = f"key {number} of {len(keys)} is not a Fernet key (44 characters of base64)"
            raise ValueError(f"{problem}; {HOW_TO_MAKE_A_KEY}")
    return tuple(keys)


def _is_fernet_key(key: str) -> bool:
    """Check it as cryptography does, which a process without keys does not load."""
    try:
        return len(urlsafe_b64decode(key)) == _FERNET_KEY_BYTES
    except ValueError:
        return False


def _networks(value: object) -> object:
    parts = _parts(value)
    if not isinstance(parts, tuple):
        return parts
    return tuple(_network(part, number) for number, part in enumerate(parts, start=1))


def _network(part: object, number: int) -> object:
    """Return a network. Raises ValueError, which repeats *part* only if it can hold no password."""
    if not isinstance(part, str):
        return part
    try:
        return ip_network(part)
    except ValueError:
        shown = part if _ADDRESS.fullmatch(part) else f"entry {number}"
    try:
        meant = f"has host bits set; write {ip_network(part, strict=False)}"
    except ValueError:
        meant = "is not a network; write networks and addresses like 10.0.0.0/8 or fd00::/8"
    raise ValueError(f"{shown} {meant}")


def _schedule(value: object) -> object:
    parts = _parts(value)
    if not isinstance(parts, tuple):
        return parts
    return tuple(parse_duration(part) if isinstance(part, str) else part for part in parts)


def _checked_schedule(schedule: tuple[timedelta, ...]) -> tuple[timedelta, ...]:
    if not schedule or min(schedule) <= timedelta():
        raise ValueError("needs at least one delay, each longer than 0; write 10s,30s,2m")
    if list(schedule) != sorted(schedule):
        raise ValueError("each delay must be at least as long as the one before it")
    return schedule


def _port(value: object) -> object:
    if isinstance(value, str) and "://" in value:
        raise ValueError(SERVICE_LINKS)
    return value


def _public_url(url: str) -> str:
    """Check the address of pages and return it without a slash at its end."""
    with naming_host(url):
        text = stripped(url).rstrip("/")
        parts = split_url(text)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError("write the whole address: https://ops.example.com/slipway")
        if parts.query or parts.fragment or parts.username is not None:
            raise ValueError("only a scheme, a host, a port and a path belong into this address")
        if not _PREFIX.fullmatch(parts.path):
            raise ValueError("the path may hold letters, digits and -._~ between its slashes")
    return text


def _https_url(url: str) -> str:
    """Check the address of a provider, which is kept as it is: it is compared by its characters."""
    with naming_host(url):
        text = stripped(url)
        parts = split_url(text)
        if parts.scheme != "https" or not parts.hostname or parts.query or parts.fragment:
            raise ValueError("write an https address, as the provider's `issuer` says it")
        if parts.username is not None:
            raise ValueError("no user and password belong into this address; it is shown")
    return text


def _trace_url(template: str) -> str:
    """Check the address of a trace: everybody who sees a ticket sees it, so it holds no password.

    Its host and scheme are as they are written here; only the id of the trace is put in.
    """
    text = template.strip()
    before, placeholder, after = text.partition(TRACE_ID_PLACEHOLDER)
    if not placeholder or re.search(r"[{}]", before + after):
        raise ValueError(f"write {TRACE_ID_PLACEHOLDER} once, where the id of the trace belongs")
    parts = split_url(before)
    if parts.scheme not in {"http", "https"} or not parts.hostname or "/" not in before[8:]:
        raise ValueError(f"write the whole address: https://host/trace/{TRACE_ID_PLACEHOLDER}")
    if parts.username is not None or not _VISIBLE.fullmatch(text):
        raise ValueError("it may hold no password, and no space or other invisible character")
    return text


def _role_mapping(value: object) -> object:
    parts = _parts(value)
    if not isinstance(parts, tuple) or not all(isinstance(part, str) for part in parts):
        return parts
    return tuple(_mapped_role(part) for part in parts)


def _mapped_role(part: str) -> tuple[str, str]:
    name, equals, role = (word.strip() for word in part.rpartition("="))
    if not equals or not name or role not in ROLE_NAMES:
        raise ValueError(f"each entry is NAME=ROLE; a role is {', '.join(ROLE_NAMES)}")
    return name, role


def _checked_proxy(proxy: SecretStr) -> SecretStr:
    parse_proxy(proxy.get_secret_value())
    return proxy


def _direct_hosts(value: object) -> object:
    parts = _parts(value)
    return parse_direct_hosts(parts) if isinstance(parts, tuple) else parts


def _contact(contact: str) -> str:
    text = contact.strip()
    if not _CONTACT.fullmatch(text):
        raise ValueError(
            "write a page or an address that a partner can turn to, without spaces and"
            " parentheses: https://ops.example.com/slipway, or ops@example.com"
        )
    if "://" in text and "@" in text:
        raise ValueError("every partner sees it: leave out user and password before the host")
    return text


def _stream_name(name: str) -> str:
    if not _STREAM.fullmatch(name) or name in _QUEUES:
        raise ValueError(
            "write 1 to 64 letters, digits and ._:- as the key of a stream; these are queues:"
            f" {', '.join(_QUEUES)}"
        )
    return name


def _off(value: object) -> object:
    return None if value == "off" else value


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


DatabaseUrl = Annotated[str, AfterValidator(database_address)]
RedisUrl = Annotated[str, AfterValidator(redis_address)]
StreamName = Annotated[str, AfterValidator(_stream_name)]
FernetKeys = Annotated[
    tuple[SecretStr, ...], NoDecode, BeforeValidator(_parts), AfterValidator(_checked_keys)
]
Networks = Annotated[tuple[IPv4Network | IPv6Network, ...], NoDecode, BeforeValidator(_networks)]
Schedule = Annotated[
    tuple[timedelta, ...], NoDecode, BeforeValidator(_schedule), AfterValidator(_checked_schedule)
]
PositiveDuration = Annotated[Duration, AfterValidator(_positive)]
PublicUrl = Annotated[str, AfterValidator(_public_url)]
TraceUrl = Annotated[str, AfterValidator(_trace_url)]
HttpsUrl = Annotated[str, AfterValidator(_https_url)]
ProxyUrl = Annotated[SecretStr, AfterValidator(_checked_proxy)]
NoProxy = Annotated[DirectHosts, NoDecode, BeforeValidator(_direct_hosts)]
Contact = Annotated[str, AfterValidator(_contact)]
RoleMapping = Annotated[tuple[tuple[str, str], ...], NoDecode, BeforeValidator(_role_mapping)]
Port = Annotated[int, BeforeValidator(_port), Ge(0), Le(65535)]
Milliseconds = Annotated[int, Gt(0)]
MillisecondsOrOff = Annotated[Milliseconds | None, BeforeValidator(_off)]
LogLevel = Annotated[Literal["debug", "info", "warning", "error"], BeforeValidator(_lower)]
Durability = Annotated[Literal["append_only_file", "provider"], BeforeValidator(_lower)]
LogFormat = Annotated[Literal["auto", "json", "text"], BeforeValidator(_lower)]
