"""Searches every column of every table for a text, whatever tables and columns there are."""

import json

from sqlalchemy import Connection, text

COLUMNS = text("""
    SELECT c.table_name, c.column_name, c.data_type
      FROM information_schema.columns c
      JOIN information_schema.tables t USING (table_schema, table_name)
     WHERE c.table_schema = 'public' AND t.table_type = 'BASE TABLE'
       AND c.data_type IN ('text', 'character varying', 'jsonb', 'json', 'bytea', 'ARRAY')
     ORDER BY 1, 2""")


def columns_with(connection: Connection, wanted: str) -> dict[str, int]:
    """Return the columns that hold *wanted* in any form in which it may be written, with rows."""
    columns = connection.execute(COLUMNS).all()
    assert len(columns) > 50, "it finds them"
    forms = {wanted, json.dumps(wanted)[1:-1], json.dumps(wanted, ensure_ascii=False)[1:-1]}
    held: dict[str, int] = {}
    for table, column, kind in columns:
        value = f'"{column}"'
        as_text = f"encode({value}, 'escape')" if kind == "bytea" else f"CAST({value} AS text)"
        for form in forms:
            if kind == "bytea":
                condition = f"position(convert_to(:form, 'UTF8') IN {value}) > 0"
            else:
                condition = f"strpos({as_text}, :form) > 0"
            query = text(f'SELECT count(*) FROM "{table}" WHERE {condition}')  # noqa: S608 - names of the catalog
            if count := connection.execute(query, {"form": form}).scalar_one():
                held[f"{table}.{column}"] = max(count, held.get(f"{table}.{column}", 0))
    return held
