"""Rows that a test's database refuses, whatever they say."""

from collections.abc import Callable

from sqlalchemy import Engine, text

BREAK = text("""
    CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION 'this row breaks the table' USING ERRCODE = TG_ARGV[0];
    END $$""")
# An attempt is a row of its own, or kept by its notice.
ATTEMPTS = (
    ("INSERT ON delivery_attempt", "true"),
    ("UPDATE ON notice", "OLD.took_ms IS NULL AND NEW.took_ms IS NOT NULL"),
)
ATTEMPTS_AGAIN = text("""
    DROP TRIGGER refuse ON delivery_attempt;
    DROP TRIGGER refuse ON notice""")

CHECK_VIOLATION = "23514"  # the row's own fault
DISK_FULL = "53100"  # no fault of an entry


def refuse_events(
    engine: Engine, like: str = "poison%", *, sqlstate: str = CHECK_VIOLATION
) -> None:
    """Make the database raise *sqlstate* for every event whose id is *like* this."""
    trigger = f"""
        CREATE TRIGGER "refuse {like}" BEFORE INSERT ON ticket_event FOR EACH ROW
          WHEN (NEW.event_id LIKE '{like}') EXECUTE FUNCTION refuse('{sqlstate}')"""
    with engine.begin() as connection:
        connection.execute(BREAK)
        connection.execute(text(trigger))


def accept_events(engine: Engine, like: str = "poison%") -> None:
    """Heal the database again."""
    with engine.begin() as connection:
        connection.execute(text(f'DROP TRIGGER "refuse {like}" ON ticket_event'))


def refuse_attempts(
    engine: Engine, which: str = "true", *, sqlstate: str = CHECK_VIOLATION
) -> Callable[[], None]:
    """Make the database refuse delivery attempts, until the returned function is called."""
    with engine.begin() as connection:
        connection.execute(BREAK)
        for stored, condition in ATTEMPTS:
            trigger = f"""
                CREATE TRIGGER refuse BEFORE {stored} FOR EACH ROW
                  WHEN ({condition} AND {which}) EXECUTE FUNCTION refuse('{sqlstate}')"""
            connection.execute(text(trigger))

    def heal() -> None:
        with engine.begin() as connection:
            connection.execute(ATTEMPTS_AGAIN)

    return heal
