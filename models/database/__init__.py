"""PostgreSQL: engine, sessions, and what its errors mean."""
