"""What runs on one machine without an installation: a supervisor, PostgreSQL and Valkey."""
