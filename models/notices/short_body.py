"""A body that says no more than which ticket and action it is about is kept as one character.

Nearly all results and closings of PAM are such: their words stand in the notice, its operator's
code and its ticket's id, none of which ever changes. Three things keep that right:

- A body is kept short only if it is `plain_body`, byte for byte. That text never changes, whatever
  later releases send (`models.notices.pam`): what differs from it is kept whole.
- It is not empty, as one that was erased or removed is (rules 25, 28). No call is `=`.
- None is kept short before a person has said that no process is older than the code that reads it
  (`models.migrations.finalize`): one that is would sign and send the one character.
"""

from typing import Final

from pydantic_core import to_json

from models.vocabulary import Action

SINCE: Final = "0044"  # the revision whose code reads it
SHORT: Final = "="

# `plain_body` in SQL, of an action, a code and a ticket's id.
PLAIN_BODY: Final = """'{{"action":"' || {action} || '","data":{{"operator":'
               || CAST(to_json({code}) AS text) || ',"ticket_id":'
               || CAST(to_json({ticket_id}) AS text) || '}}}}'"""
# The exact text that is signed and sent, of a notice `n` with its operator `o` and its ticket `t`.
WHOLE_BODY: Final = f"""CASE WHEN n.body = '{SHORT}' THEN
               {PLAIN_BODY.format(action="n.action", code="o.code", ticket_id="t.ticket_id")}
               ELSE n.body END"""


def plain_body(action: Action, *, operator: str, ticket_id: str) -> str:
    """Return the call that says no more than that."""
    data = {"operator": operator, "ticket_id": ticket_id}
    return to_json({"action": str(action), "data": data}).decode()


def shortened(body: str, action: Action, *, operator: str, ticket_id: str) -> str:
    """Return what is stored of *body*: all of it, unless it is the plain one."""
    is_plain = body == plain_body(action, operator=operator, ticket_id=ticket_id)
    return SHORT if is_plain else body
