"""The one place where the command line loads code late, so that help answers at once.

Two things wait until they are needed:

- The commands of the front page. `LazyGroup` knows where each is defined and its line of help, so
  that `slipway --help` loads none of them.
- The work of a command. A module that declares commands imports the modules that do the work *as
  modules* (`from worker.cli.publishers import keys`). They are loaded when a command first uses
  them, so that `slipway publishers add --help` loads neither SQLAlchemy nor Rich.
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, cast

from typer.main import get_command

from worker.cli.help_pages import FullSentences

if TYPE_CHECKING:  # Typer exports neither name; only the types are needed
    from typer._click import Command, Context


def load(target: str) -> Any:  # noqa: ANN401 - whatever the module defines
    """Return what *target* (`module:attribute`) names."""
    module, _, attribute = target.partition(":")
    return getattr(import_module(module), attribute)


class LazyCommand(NamedTuple):
    """Where a command's Typer application is defined (`module:attribute`), and its line of help."""

    target: str
    help: str


class LazyGroup(FullSentences):
    """A group that loads a command when it is called. A subclass sets its `table`."""

    table: ClassVar[Mapping[str, LazyCommand]]

    def __init__(self, **attributes: Any) -> None:  # noqa: ANN401 - what Typer passes to a group
        super().__init__(**attributes)
        self.commands = cast("dict[str, Command]", _LazyCommands(self.table))

    def list_commands(self, ctx: "Context") -> list[str]:  # noqa: ARG002 - needs no context
        """Return the names of the commands, without loading them."""
        return list(self.table)

    def line_of_help(self, ctx: "Context", name: str) -> str:  # noqa: ARG002 - needs no context
        """Return the line of help for the command called *name*, without loading it."""
        return self.table[name].help


class _LazyCommands(Mapping[str, "Command"]):
    """Loads a command when it is looked up; its names are known before."""

    def __init__(self, table: Mapping[str, LazyCommand]) -> None:
        self._table = table
        self._loaded: dict[str, Command] = {}

    def __getitem__(self, name: str) -> "Command":
        if name not in self._loaded:
            command = get_command(load(self._table[name].target))
            command.name = name
            self._loaded[name] = command
        return self._loaded[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._table)

    def __len__(self) -> int:
        return len(self._table)


@contextmanager
def modules_loaded_on_first_use() -> Iterator[None]:
    """While this lasts, a module below `worker.cli` that is imported as a module is loaded late."""
    sys.meta_path.insert(0, _LateFinder())
    try:
        yield
    finally:
        sys.meta_path[:] = [each for each in sys.meta_path if not isinstance(each, _LateFinder)]


class _LateFinder(MetaPathFinder):
    """Finds the modules of the command line for the import system."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not fullname.startswith("worker.cli."):
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None and not spec.submodule_search_locations:
            spec.loader = _LateLoader(spec.loader)
        return spec


class _LateLoader(Loader):
    """Leaves the module's code for later."""

    def __init__(self, loader: Loader) -> None:
        self._loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return _LateModule(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        assert module.__spec__ is not None, "set by the import system"
        module.__spec__.loader = module.__loader__ = self._loader


class _LateModule(ModuleType):
    """A module that runs its code when something in it is asked for.

    importlib.util.LazyLoader does so for any attribute, `__file__` too. But `inspect` reads that of
    every module, for Pydantic even while a module is loading: all would be loaded, some half.
    """

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the module defines
        if name.startswith("__"):
            raise AttributeError(name)
        self.__class__ = ModuleType  # type: ignore[assignment]  # loaded once
        assert self.__spec__ is not None, "set by the import system"
        assert self.__spec__.loader is not None, "set by the import system"
        self.__spec__.loader.exec_module(self)
        return getattr(self, name)
