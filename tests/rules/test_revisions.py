"""Every revision after the first only adds, and blocks nothing; the rule itself is tested too."""

import re
from pathlib import Path

import pytest

from models.migrations.revisions import VERSIONS
from models.platform.version import version
from tests.support.next_release import SAMPLES
from tests.support.revisions import faults
from tests.support.sources import PRODUCT, modules

FIRST = "0001"  # makes everything, on an empty database
RELEASE = "0.3.0"
INSERT = re.compile(r"INSERT INTO\s+\w+(?:\s+AS\s+\w+)?(?P<next>\s*.)")

HEAD = '"""Something."""\nimport sqlalchemy as sa\nfrom alembic import op\n'
BAD = {
    'op.drop_column("ticket", "draw")': "drop_column may take away",
    'op.drop_table("notice")': "drop_table may take away",
    'op.drop_constraint("x", "ticket")': "drop_constraint may take away",
    'op.drop_index("ticket_code")': "drop_index may take away",
    'op.rename_table("ticket", "bet")': "rename_table may take away",
    'op.alter_column("ticket", "draw", nullable=False)': "alter_column may take away",
    'op.alter_column("ticket", "draw", type_=sa.Integer())': "alter_column may take away",
    'op.alter_column("ticket", "draw", new_column_name="d")': "alter_column may take away",
    'op.batch_alter_table("ticket")': "batch_alter_table may take away",
    'op.execute("ALTER TABLE ticket DROP COLUMN draw")': "execute may take away",
    'op.get_bind().execute(sa.text("DROP TABLE ticket"))': "execute may take away",
    'op.create_index("x", "ticket", ["draw"])': "stops all writers",
    'op.create_index("x", "ticket", ["draw"], postgresql_concurrently=True)': "stops all writers",
    'op.create_unique_constraint("x", "ticket", ["draw"])': "stops all writers",
    'op.create_check_constraint("x", "ticket", "parked < 9")': "reads the whole table",
    'op.create_foreign_key("x", "notice", "ticket", ["a"], ["b"])': "reads the whole table",
    'op.add_column("ticket", sa.Column("a", sa.Text(), nullable=False))': "wants a value",
    'op.add_column("ticket", sa.Column("a", sa.Text(), index=True))': "builds an index",
    'op.add_column("ticket", sa.Column("a", sa.Text(), unique=True))': "builds an index",
    'op.add_column("ticket", sa.Column("a", sa.Uuid(), '
    'server_default=sa.text("gen_random_uuid()")))': "differs by row",
    'op.add_column("ticket", sa.Column("a", sa.Integer(), sa.Identity()))': "a Identity in it",
    'op.add_column("ticket", sa.Column("a", sa.Integer(), sa.ForeignKey("operator.id")))': (
        "a ForeignKey in it"
    ),
    'op.add_column("ticket", column)': "hides its column",
    'rewrite_small("ticket", "draw = 1", "draw IS NULL")': "may have millions of rows",
    'op.execute("UPDATE operator SET rate = 1")': "execute may take away",
    'op.add_column("ticket", sa.Column("a"))\nop.add_column("notice", sa.Column("a"))': (
        "locks notice, ticket"
    ),
    'op.create_table("a", sa.ForeignKeyConstraint(["t"], ["ticket.id"]),'
    ' sa.ForeignKeyConstraint(["o"], ["operator.id"]))': "locks operator, ticket",
    'build_index("x", "ticket", ["a"], unique=True)\n'
    'drop_narrower_unique("y", "ticket", wider="x")': "drop_narrower_unique: done twice",
    'revision = "0039"\ndrop_unused_index("x", "ticket", since="0039")': "says no earlier revision",
    'build_index("x", "ticket", ["a"])\nop.add_column("ticket", sa.Column("a"))': (
        "add_column: done twice"
    ),
}


def revisions(folder: Path) -> dict[str, str]:
    return {path.stem: path.read_text() for path in sorted(folder.glob("*[0-9]_*.py"))}


def test_every_revision_after_the_first_only_adds_and_stops_nobody():
    problems = {
        name: wrong
        for name, source in revisions(VERSIONS).items()
        if not name.startswith(FIRST) and (wrong := faults(source, release=version()))
    }

    assert problems == {}, "models/migrations/README.md says how to write it"


def test_revisions_are_numbered_because_processes_compare_them():
    names = list(revisions(VERSIONS))

    assert [name[:5] for name in names] == [f"{n:04}_" for n in range(1, len(names) + 1)]
    for number, (name, source) in enumerate(revisions(VERSIONS).items(), 1):
        down = f'"{number - 1:04}"' if number > 1 else "None"
        assert f'\nrevision = "{name[:4]}"\n' in source
        assert f"\ndown_revision: str | None = {down}\n" in source


def test_the_rule_accepts_what_runs_under_load():
    """These are applied by tests/faults/test_migrations_under_load.py."""
    samples = revisions(SAMPLES)

    assert len(samples) == 6
    assert [fault for source in samples.values() for fault in faults(source, release=RELEASE)] == []


@pytest.mark.parametrize(("steps", "fault"), BAD.items())
def test_the_rule_refuses_what_would_hurt_or_stop_the_release_before(steps: str, fault: str):
    problems = faults(HEAD + steps, release=RELEASE)

    assert len(problems) == 1
    assert fault in problems[0]


def test_a_revision_that_takes_away_says_since_when_nobody_uses_it():
    drop = HEAD + 'op.drop_column("ticket", "draw")\nUNUSED_SINCE = '

    assert faults(drop + '"0.2.0"', release=RELEASE) == []
    [too_early] = faults(drop + '"0.3.0"', release=RELEASE)
    [no_version] = faults(drop + '"soon"', release=RELEASE)
    assert too_early == "UNUSED_SINCE 0.3.0: the release before 0.3.0 still uses it"
    assert "not a version" in no_version


def test_a_revision_that_takes_away_stops_nobody_either():
    [fault] = faults(
        HEAD + 'UNUSED_SINCE = "0.2.0"\nop.create_index("x", "ticket", ["a"])', release=RELEASE
    )

    assert "stops all writers" in fault


def test_a_revision_says_what_it_does():
    assert faults("revision = '0002'", release=RELEASE) == ["says nothing: its docstring is shown"]


def test_every_insert_names_its_columns():
    """Else the next release's column would be one too many for this one.

    These are the texts; an insert of SQLModel names its columns anyway.
    """
    problems = [
        (path, insert["next"].strip())
        for path, source in modules(*PRODUCT)
        for insert in INSERT.finditer(source)
    ]

    assert len(problems) >= 10, "it finds them"
    assert [(path, word) for path, word in problems if word != "("] == []
