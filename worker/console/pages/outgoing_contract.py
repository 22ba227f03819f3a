"""What partners are sent, as the contract says it: for reading here, and as files for them."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from fastapi import APIRouter, Request
from fastapi.responses import Response

from models.outgoing.documents import (
    NOTICES_FILE,
    RESPONSE_FILE,
    WALLET_FILE,
    WEBHOOKS_FILE,
    outgoing_documents,
)
from models.outgoing.tables import grouped_responses
from models.outgoing.webhooks import webhooks
from worker.console.people import Viewer
from worker.console.refusals import not_found
from worker.console.rendering import render

FILES: Final[Mapping[str, str]] = {
    WEBHOOKS_FILE: "OpenAPI 3.1: everything on this page, as webhooks",
    NOTICES_FILE: "JSON Schema of what a PAM platform is sent",
    WALLET_FILE: "JSON Schema of what a seamless wallet is sent",
    RESPONSE_FILE: "JSON Schema of a wallet's response",
}

routes = APIRouter()


@dataclass(frozen=True, slots=True)
class DescribedField:
    """A field or a header, for readers."""

    name: str
    type: str
    meaning: str


@dataclass(frozen=True, slots=True)
class DescribedCall:
    """One notice or call, for readers."""

    name: str
    protocol: str
    meaning: str
    headers: Sequence[DescribedField]
    fields: Sequence[DescribedField]
    responses: Sequence[tuple[str, str]]
    example: str


@routes.get("/contract")
async def outgoing_contract(request: Request, _user: Viewer) -> Response:
    """Show what partners are sent."""
    return render(request, "outgoing_contract.html", calls=_described(), files=FILES)


@routes.get("/contract/{name}")
async def outgoing_file(_user: Viewer, name: str) -> Response:
    """Serve a file of the contract."""
    if name not in FILES:
        raise not_found("The contract has no such file.")
    text = json.dumps(outgoing_documents()[name], ensure_ascii=False, indent=2) + "\n"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(text, media_type="application/json", headers=headers)


@cache
def _described() -> Sequence[DescribedCall]:
    return [_describe(name, hook["post"]) for name, hook in webhooks().items()]


def _describe(name: str, operation: dict[str, Any]) -> DescribedCall:
    (content,) = operation["requestBody"]["content"].values()
    properties = content["schema"]["properties"]
    return DescribedCall(
        name=name,
        protocol=operation["tags"][0],
        meaning=operation["description"],
        headers=[
            DescribedField(
                header["name"],
                "always" if header["required"] else "if asked for",
                header["description"],
            )
            for header in operation["parameters"]
        ],
        fields=list(_fields(properties)),
        responses=list(grouped_responses(operation["responses"])),
        example=json.dumps(content["example"], ensure_ascii=False, indent=2),
    )


def _fields(properties: Mapping[str, dict[str, Any]], within: str = "") -> Iterator[DescribedField]:
    for name, schema in properties.items():
        if "properties" in schema:
            yield from _fields(schema["properties"], f"{within}{name}.")
        else:
            meaning = schema.get("description", "")
            yield DescribedField(f"{within}{name}", _type(schema), meaning)


def _type(schema: Mapping[str, Any]) -> str:
    if "const" in schema:
        return json.dumps(schema["const"])
    types = schema["type"]
    return types if isinstance(types, str) else " or ".join(types)
