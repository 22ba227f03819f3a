"""Adds an operator. Its secret goes in sealed, its API key as a hash."""

from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, text

from models.operators.interventions import Change, Person, record_intervention
from models.operators.validation import NewOperator, check_new_operator
from models.platform.clock import in_seconds
from models.platform.durations import format_duration
from models.platform.encryption import Vault, hash_key

ADD: Final = text(f"""
    INSERT INTO operator (code, protocol, url, secret, agent, sign_calls, close_delay,
                          announces_tickets, rate, in_flight, timezone, lottery_ticket)
    VALUES (:code, :protocol, :url, :secret, :agent,
            :sign_calls, {in_seconds("CAST(:close_delay AS interval)")},
            :announces_tickets, :rate, :in_flight, :timezone, :lottery_ticket)
    ON CONFLICT (code) DO NOTHING
    RETURNING id
""")  # noqa: S608 - a constant
ADD_KEY: Final = text("""
    INSERT INTO publisher (name, key_hash) VALUES (:name, :key_hash)
    ON CONFLICT DO NOTHING
    RETURNING id
""")
BIND_KEY: Final = text("""
    INSERT INTO publisher_operator (publisher, operator) VALUES (:publisher, :operator)
""")


class OperatorExists(ValueError):
    """An operator with this code is there already; codes are for ever."""

    def __init__(self, code: str) -> None:
        """Name the code."""
        super().__init__(
            f"an operator {code!r} is there already; see `slipway operators list`, or take"
            " another code"
        )


class ApiKeyTaken(ValueError):
    """Another publisher has this API key: whose event it is could not be told."""

    def __init__(self) -> None:
        """Explain itself; the key stays unsaid."""
        super().__init__("this API key belongs to a publisher already; use another one")


@dataclass(frozen=True, slots=True)
class Added:
    """A new operator's row, and the publisher its API key became, if one was given."""

    id: int
    publisher: str | None


def add_operator(
    connection: Connection, new: NewOperator, *, vault: Vault, person: Person
) -> Added:
    """Add *new* in the caller's transaction and keep who did it and why.

    A seamless operator announces its tickets whatever *new* says: a payout needs their amounts
    (design.md 3). Raises OperatorInvalid, OperatorExists, ApiKeyTaken; then nothing may be
    committed.
    """
    check_new_operator(new)
    announces = new.announces_tickets or new.protocol == "seamless"
    facts = {
        "protocol": new.protocol,
        "url": new.url,
        "agent": new.agent,
        "sign_calls": new.sign_calls,
        "announces_tickets": announces,
        "rate": new.rate,
        "in_flight": new.in_flight,
        "timezone": new.timezone,
        "lottery_ticket": new.lottery_ticket,
    }
    row = {
        **facts,
        "code": new.code,
        "close_delay": new.close_delay,
        "secret": vault.seal(new.secret),
    }
    operator = connection.execute(ADD, row).scalar_one_or_none()
    if operator is None:
        raise OperatorExists(new.code)
    publisher = None if new.api_key is None else _bind_key(connection, new, operator)
    facts |= {"close_delay": format_duration(new.close_delay), "publisher": publisher}
    record_intervention(
        connection, Change("operator_added", operator=new.code, facts=facts), person=person
    )
    return Added(operator, publisher)


def _bind_key(connection: Connection, new: NewOperator, operator: int) -> str:
    """Keep the key's hash as a publisher that may speak for this operator alone."""
    assert new.api_key is not None, "the caller asked"
    name = f"operator/{new.code}"
    publisher = connection.execute(
        ADD_KEY, {"name": name, "key_hash": hash_key(new.api_key)}
    ).scalar_one_or_none()
    if publisher is None:
        raise ApiKeyTaken
    connection.execute(BIND_KEY, {"publisher": publisher, "operator": operator})
    return name
