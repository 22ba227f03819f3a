"""What the tables of a database are made of, as PostgreSQL itself words it."""

from sqlalchemy import Engine, text

MIGRATIONS_TABLE = "alembic_version"
CATALOG = text("""
    SELECT 'column', attrelid::regclass::text, attname::text,
           format_type(atttypid, atttypmod)
           || CASE WHEN attnotnull THEN ' NOT NULL' ELSE '' END
           || CASE attidentity WHEN '' THEN '' ELSE ' IDENTITY ' || attidentity::text END
           || coalesce(' DEFAULT ' || pg_get_expr(adbin, adrelid), '')
      FROM pg_attribute LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
      JOIN pg_class ON pg_class.oid = attrelid AND relkind = 'r'
     WHERE relnamespace = 'public'::regnamespace AND attnum > 0 AND NOT attisdropped
     UNION ALL
    SELECT 'constraint', conrelid::regclass::text, conname::text, pg_get_constraintdef(oid)
      FROM pg_constraint WHERE connamespace = 'public'::regnamespace
     UNION ALL
    SELECT 'index', tablename::text, indexname::text, indexdef
      FROM pg_indexes WHERE schemaname = 'public'
     UNION ALL
    SELECT 'storage', oid::regclass::text, '', array_to_string(reloptions, ',')
      FROM pg_class WHERE relnamespace = 'public'::regnamespace AND reloptions IS NOT NULL""")
UNFINISHED = text("SELECT indexrelid::regclass::text FROM pg_index WHERE NOT indisvalid")


def catalog(engine: Engine) -> set[tuple[str, ...]]:
    """What the tables of a database are made of, Alembic's own apart."""
    with engine.begin() as connection:
        rows = connection.execute(CATALOG).all()
    return {tuple(row) for row in rows if row[1] != MIGRATIONS_TABLE}


def unfinished_indexes(engine: Engine) -> list[str]:
    """The names of indexes whose building is going on, or was stopped."""
    with engine.begin() as connection:
        return list(connection.execute(UNFINISHED).scalars())
