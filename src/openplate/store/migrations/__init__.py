"""Alembic revisions of the database: each brings the schema from the one before to its own."""
