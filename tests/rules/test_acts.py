"""Every word that a person's act is recorded with has its sentence, and every sentence its word."""

import ast
from collections.abc import Iterable, Iterator

import pytest

from models.audit import ACTS, act_sentence, act_title
from tests.support.sources import PRODUCT, modules

Calls = Iterator[tuple[ast.FunctionDef | None, ast.Call]]
RECORDS = "Change"
WRITERS = {"models/operators/interventions.py"}  # where rows of the table are written


class Unresolved(Exception):
    """A word that cannot be read from the source: a literal or a constant can."""


def words_of(trees: dict[str, ast.Module]) -> dict[str, str]:
    """Return each word that is recorded, with a place."""
    words: dict[str, str] = {}
    for path, tree in trees.items():
        for function, call in calls(tree):
            if name_of(call) == RECORDS:
                given = argument(call, 0, "did")
                for word in resolved(given, function, tree, trees):
                    words[word] = f"{path}:{call.lineno}"
    return words


def calls(tree: ast.Module) -> Calls:
    """Walk all calls, each with the function around it."""

    def walk(node: ast.AST, function: ast.FunctionDef | None) -> Calls:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Call):
                yield function, child
            yield from walk(child, child if isinstance(child, ast.FunctionDef) else function)

    return walk(tree, None)


def name_of(call: ast.Call) -> str | None:
    return call.func.id if isinstance(call.func, ast.Name) else None


def argument(call: ast.Call, place: int, name: str) -> ast.expr:
    for keyword in call.keywords:
        if keyword.arg == name:
            return keyword.value
    if place < len(call.args):
        return call.args[place]
    raise Unresolved(ast.unparse(call))


def resolved(
    node: ast.expr,
    function: ast.FunctionDef | None,
    tree: ast.Module,
    trees: dict[str, ast.Module],
) -> list[str]:
    """Return the words that *node* may be: a text, one of two, a constant, or a parameter."""
    match node:
        case ast.Constant(value=str(word)):
            return [word]
        case ast.IfExp(body=body, orelse=other):
            return [w for each in (body, other) for w in resolved(each, function, tree, trees)]
        case ast.Name(id=name):
            local = [] if function is None else bound(name, ast.walk(function))
            if assigned := local or bound(name, tree.body):
                return [w for each in assigned for w in resolved(each, None, tree, trees)]
            if function is not None and name in (named := parameters(function)):
                return passed(function.name, named.index(name), name, trees)
            return imported(name, tree, trees)
    raise Unresolved(ast.unparse(node))


def bound(name: str, nodes: Iterable[ast.AST]) -> list[ast.expr]:
    assigned = []
    for node in nodes:
        match node:
            case ast.Assign(targets=[ast.Name(id=target)], value=value) if target == name:
                assigned.append(value)
            case ast.AnnAssign(target=ast.Name(id=target), value=ast.expr() as value) if (
                target == name
            ):
                assigned.append(value)
    return assigned


def parameters(function: ast.FunctionDef) -> list[str]:
    return [each.arg for each in (*function.args.args, *function.args.kwonlyargs)]


def passed(function: str, place: int, name: str, trees: dict[str, ast.Module]) -> list[str]:
    """Return what the callers of *function* pass."""
    words = []
    for tree in trees.values():
        if not defines_or_imports(function, tree):
            continue
        for around, call in calls(tree):
            if name_of(call) == function:
                words += resolved(argument(call, place, name), around, tree, trees)
    return words


def defines_or_imports(function: str, tree: ast.Module) -> bool:
    return any(
        (isinstance(node, ast.FunctionDef) and node.name == function)
        or (isinstance(node, ast.ImportFrom) and function in {each.name for each in node.names})
        for node in ast.walk(tree)
    )


def imported(name: str, tree: ast.Module, trees: dict[str, ast.Module]) -> list[str]:
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and name in {each.name for each in node.names}:
            path = (node.module or "").replace(".", "/") + ".py"
            return [
                w
                for each in bound(name, trees[path].body)
                for w in resolved(each, None, trees[path], trees)
            ]
    raise Unresolved(name)


@pytest.fixture(scope="module")
def recorded() -> dict[str, str]:
    return words_of({str(path): ast.parse(source) for path, source in modules(*PRODUCT)})


def test_every_recorded_word_has_a_sentence(recorded: dict[str, str]):
    missing = {word: place for word, place in recorded.items() if word not in ACTS}

    assert len(recorded) > 25
    assert missing == {}, "models/audit/acts.py says what it means"


def test_no_sentence_is_left_without_a_word(recorded: dict[str, str]):
    assert ACTS.keys() - recorded.keys() == set()


def test_rows_are_written_in_one_place():
    writers = {
        str(path)
        for path, source in modules(*PRODUCT)
        if "INSERT INTO intervention" in source or "Intervention(" in source
    }

    assert writers - {"models/tables/intervention.py"} == WRITERS


def test_a_word_is_read_through_constants_choices_and_parameters():
    source = (
        'DID = "a_made"\n'
        "def one(): Change(DID)\n"
        'def two(way):\n    did = "b_made" if way else "c_made"\n    Change(did=did)\n'
        "def three(did): Change(did)\n"
        'def four(): three("d_made")\n'
    )

    assert words_of({"x.py": ast.parse(source)}).keys() == {"a_made", "b_made", "c_made", "d_made"}
    with pytest.raises(Unresolved):
        words_of({"x.py": ast.parse("Change(some.word)")})


@pytest.mark.parametrize("did", [*ACTS, "a_word_of_the_future"])
@pytest.mark.parametrize(
    "facts",
    [
        {},
        dict.fromkeys(("was", "is", "left_out", "user", "role", "notices", "entry_id"), "(erased)"),
        {"was": {"outcome": None}, "is": [], "left_out": {}, "facts": ["not", "an", "object"]},
    ],
    ids=["none", "erased", "strange"],
)
def test_a_sentence_needs_none_of_its_facts(did: str, facts: dict[str, object]):
    assert act_sentence(did, facts).startswith(act_title(did))
