"""An access as YAML: secrets and certificates stand in files of their own, named beside it."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import yaml
from pydantic import ValidationError

from models.access.given import GivenAccess
from models.access.values import Access
from models.access.written import form_mistakes
from worker.cli.errors import WrongUsage
from worker.cli.secret_file import read_line, read_pem, read_text

_FILE: Final = "_file"
_LINES: Final = frozenset({"value", "password", "bearer", "client_secret", "passphrase"})
_PEMS: Final = frozenset({"chain", "key", "authorities"})


def read_access(path: Path, option: str) -> Access:
    """Read the access in the YAML file at *path*, which *option* gave. Raises WrongUsage."""
    try:
        document: Any = yaml.safe_load(read_text(path, option=option))
    except yaml.YAMLError as refusal:
        mark = getattr(refusal, "problem_mark", None)  # its words may hold what was typed
        line = "" if mark is None else f", line {mark.line + 1}"
        raise WrongUsage(f"{option} {path}{line}: it is not YAML") from None
    return access_from(document, folder=path.parent, where=f"{option} {path}:")


def access_from(document: object, *, folder: Path, where: str) -> Access:
    """Read an access in which `password_file` names the file with the `password`, and so on.

    Files are named relative to *folder*. Raises WrongUsage, which names *where* and no secret.
    """
    if not isinstance(document, Mapping):
        raise WrongUsage(f"{where}: it must be a mapping, like {{basic: {{user: …}}}}")
    inline = _read_files(document, folder, where)
    try:
        return GivenAccess.model_validate(inline).access()
    except ValidationError as refusal:
        mistakes = [f"{where} {mistake}" for mistake in form_mistakes(refusal)]
        raise WrongUsage("\n  ".join(mistakes)) from None
    except ValueError as refusal:
        raise WrongUsage(f"{where}: {refusal}") from None


def access_document(
    access: Access, *, code: str, folder: Path, named: Callable[[Path], str]
) -> tuple[dict[str, Any], dict[Path, str]]:
    """Return *access* as `access_from` reads it, and the files to write: by path, with contents.

    *named*: how the document names a file in *folder*.
    """
    files: dict[Path, str] = {}

    def file(name: str, content: str) -> str:
        path = folder / f"{quote(code, safe='')}.{quote(name, safe='')}"
        files[path] = content if content.endswith("\n") else content + "\n"
        return named(path)

    document: dict[str, Any] = {}
    if access.headers:
        document["headers"] = [
            {"name": header.name, "value_file": file(f"header-{header.name}", header.value)}
            if header.secret
            else {"name": header.name, "value": header.value, "secret": False}
            for header in access.headers
        ]
    if access.basic is not None:
        password = file("password", access.basic.password)
        document["basic"] = {"user": access.basic.user, "password_file": password}
    if access.bearer is not None:
        document["bearer_file"] = file("bearer", access.bearer)
    if access.oauth is not None:
        oauth = access.oauth
        document["oauth"] = {
            "token_url": oauth.token_url,
            "client_id": oauth.client_id,
            "client_secret_file": file("client-secret", oauth.client_secret),
            **({"scope": oauth.scope} if oauth.scope else {}),
            **({"audience": oauth.audience} if oauth.audience else {}),
            **({"in_body": True} if oauth.in_body else {}),
        }
    if access.certificate is not None:
        document["certificate"] = {
            "chain_file": file("certificate.pem", access.certificate.chain),
            "key_file": file("key.pem", access.certificate.key),
        }
    if access.authorities is not None:
        document["authorities_file"] = file("authorities.pem", access.authorities)
    return document, files


def _read_files(given: Mapping[str, Any], folder: Path, where: str) -> dict[str, Any]:
    """Replace each `…_file` by what the file holds; a secret that stands inline is refused."""
    inline: dict[str, Any] = {}
    is_open = given.get("secret") is False
    for name, value in given.items():
        place = f"{where} {name}"
        plain = str(name).removesuffix(_FILE)
        if str(name).endswith(_FILE) and plain in _LINES | _PEMS:
            read = read_line if plain in _LINES else read_pem
            inline[plain] = read(folder / str(value), option=place)
        elif name in _LINES | {"key"} and not (name == "value" and is_open):
            raise WrongUsage(
                f"{place}: it is a secret; put it into a file, and name that: {name}{_FILE}"
            )
        elif isinstance(value, Mapping):
            inline[name] = _read_files(value, folder, place)
        elif isinstance(value, list):
            inline[name] = [
                _read_files(part, folder, f"{place} {number}")
                if isinstance(part, Mapping)
                else part
                for number, part in enumerate(value, start=1)
            ]
        else:
            inline[name] = value
    return inline
