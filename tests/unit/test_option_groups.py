"""A group of options that several commands share is declared once."""

from dataclasses import dataclass, field
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from worker.cli.option_groups import with_option_groups


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """Options with defaults."""

    size: Annotated[int, typer.Option(help="How many.")] = 3
    colour: Annotated[str | None, typer.Option("--hue")] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stricter(Shared):
    """The same, but one of them is required."""

    colour: Annotated[str, typer.Option("--hue")] = field()


@pytest.fixture
def received() -> list[object]:
    return []


@pytest.fixture
def app(received: list[object]) -> typer.Typer:
    commands = typer.Typer()

    @commands.command()
    @with_option_groups
    def lenient(name: str, *, shared: Shared, loud: bool = False) -> None:
        received.extend([name, shared, loud])

    @commands.command()
    @with_option_groups
    def strict(*, shared: Stricter) -> None:
        received.append(shared)

    return commands


def test_a_command_receives_the_group_beside_its_own_parameters(app, received):
    ended = CliRunner().invoke(app, ["lenient", "n", "--hue", "red", "--loud"])

    assert ended.exit_code == 0, ended.output
    assert received == ["n", Shared(size=3, colour="red"), True]


def test_a_field_without_a_default_is_a_required_option(app, received):
    assert CliRunner().invoke(app, ["strict", "--size", "1"]).exit_code == 2
    assert CliRunner().invoke(app, ["strict", "--hue", "red"]).exit_code == 0
    assert received == [Stricter(colour="red")]
