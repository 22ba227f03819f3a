"""Publishes a result or a rollback of a ticket by hand."""

import re
from collections.abc import Sequence
from typing import Final

import typer

from models.events.format import MONEY_FIELDS
from models.operators.interventions import Person
from models.outbox.dead_letters import NotPossible
from models.triage import InvalidStatement, Statement, publish_by_hand
from models.triage.sentences import did_publish
from models.vocabulary import Action
from worker.cli.errors import Failed, WrongUsage
from worker.cli.output import as_text, show_json
from worker.cli.triage.display import as_object
from worker.cli.triage.session import open_session

_TEXTS: Final = ("currency", "ext_type", "reason")
_NUMBER: Final = re.compile(r"[0-9]{1,18}(\.[0-9]{1,9})?")


def publish(
    operator: str,
    ticket_id: str,
    action: Action,
    facts: Sequence[str],
    *,
    correction: bool,
    who: str,
    why: str,
    as_json: bool,
) -> None:
    """Publish an event with *facts* (`name=value`) and print how it ended.

    Raises Failed, WrongUsage, OperatorNotFound.
    """
    statement = Statement(action, _read_facts(facts), correction)
    with open_session() as session:
        try:
            event = session.run(
                lambda connection, now: publish_by_hand(
                    connection,
                    operator,
                    ticket_id,
                    statement,
                    person=Person(who, why),
                    now=now,
                    window=session.window,
                )
            )
        except InvalidStatement as refusal:
            raise WrongUsage(str(refusal)) from None
        except NotPossible as refusal:
            raise Failed(f"{refusal}; nothing was published") from None
    if as_json:
        show_json(as_object(event))
    else:
        typer.echo(as_text(did_publish(event)))


def _read_facts(given: Sequence[str]) -> dict[str, object]:
    """Read `net_payout=1234` and `currency=EUR`. Raises WrongUsage."""
    facts: dict[str, object] = {}
    for each in given:
        name, equals, content = each.partition("=")
        if not equals or name not in {*MONEY_FIELDS, *_TEXTS}:
            known = ", ".join(dict.fromkeys([*MONEY_FIELDS, *_TEXTS]))
            raise WrongUsage(f"--fact {each[:60]!r}: write NAME=VALUE with one of {known}")
        facts[name] = content if name in _TEXTS else _number(content)
    return facts


def _number(content: str) -> object:
    """Return the number that was written; anything else is refused with the field's own rule."""
    if not _NUMBER.fullmatch(content):
        return content
    return float(content) if "." in content else int(content)
