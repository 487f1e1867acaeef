"""First schema: sightings with evidence and trigram indexes, lists, register, outbox, keys, settings."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_ROW = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_TIME = sa.BigInteger()


def upgrade() -> None:
    """From nothing."""
    op.create_table("state", sa.Column("name", sa.String(), primary_key=True), sa.Column("value", sa.String(), nullable=False))
    _sightings()
    _lists()
    op.create_table(
        "vehicle",
        sa.Column("plate", sa.String(), primary_key=True),
        sa.Column("fold", sa.String(), nullable=False),
        *(sa.Column(name, sa.String(), nullable=False) for name in ("make", "model", "colour", "owner")),
        sa.Column("permit_until", _TIME),
    )
    op.create_index("ix_vehicle_fold", "vehicle", ["fold"])
    op.create_table(
        "delivery",
        sa.Column("id", _ROW, primary_key=True, autoincrement=True),
        sa.Column("sighting_seq", _ROW, sa.ForeignKey("sighting.seq", ondelete="CASCADE")),
        sa.Column("target", sa.String(), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("created", _TIME, nullable=False),
        sa.Column("due", _TIME, nullable=False),
        sa.Column("lease", sa.String()),
        sa.Column("last_error", sa.Text()),
        sa.Column("finished", _TIME),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_delivery_sighting_seq", "delivery", ["sighting_seq"])
    op.create_index("delivery_by_due", "delivery", ["state", "due", "id"])
    op.create_table(
        "api_key",
        sa.Column("id", _ROW, primary_key=True, autoincrement=True),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("prefix", sa.String(), nullable=False, unique=True),
        sa.Column("hash", sa.String(), nullable=False),
        sa.Column("created", _TIME, nullable=False),
        sa.Column("last_used", _TIME),
        sa.Column("revoked", _TIME),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "setting",
        sa.Column("kind", sa.String(), primary_key=True),
        sa.Column("name", sa.String(), primary_key=True),
        sa.Column("value", sa.JSON(), nullable=False),
    )
    if op.get_bind().dialect.name == "postgresql":
        _search_on_postgresql()
    else:
        _search_on_sqlite()


def _sightings() -> None:
    op.create_table(
        "sighting",
        sa.Column("seq", _ROW, primary_key=True, autoincrement=True),
        sa.Column("id", sa.String(), nullable=False, unique=True),
        sa.Column("camera", sa.String(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("text", sa.String()),
        sa.Column("folds", sa.String(), nullable=False),
        sa.Column("confidence", sa.Float(53), nullable=False),
        sa.Column("characters", sa.JSON(), nullable=False),
        sa.Column("candidates", sa.JSON(), nullable=False),
        sa.Column("country", sa.String()),
        sa.Column("format", sa.String()),
        sa.Column("first_time", _TIME, nullable=False),
        sa.Column("last_time", _TIME, nullable=False),
        sa.Column("looks", sa.Integer(), nullable=False),
        sa.Column("direction", sa.String()),
        sa.Column("parked", sa.Boolean(), nullable=False),
        sa.Column("quad", sa.JSON()),
        sa.Column("reasons", sa.JSON(), nullable=False),
        sa.Column("stored_time", _TIME, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("sighting_by_time", "sighting", ["last_time", "seq"])
    for column in ("camera", "country", "status", "text"):
        op.create_index(f"sighting_by_{column}", "sighting", [column, "last_time", "seq"])
    op.create_table(
        "picture",
        sa.Column("id", _ROW, primary_key=True, autoincrement=True),
        sa.Column("sighting_seq", _ROW, sa.ForeignKey("sighting.seq", ondelete="CASCADE"), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("hash", sa.String(), nullable=False),
        sa.Column("media_type", sa.String(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_picture_sighting_seq", "picture", ["sighting_seq"])
    op.create_index("ix_picture_hash", "picture", ["hash"])


def _lists() -> None:
    op.create_table(
        "plate_list",
        sa.Column("id", _ROW, primary_key=True, autoincrement=True),
        sa.Column("name", sa.String(), nullable=False, unique=True),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("min_match", sa.Float(53), nullable=False),
        sa.Column("keep_days", sa.Float(53)),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "list_entry",
        sa.Column("id", _ROW, primary_key=True, autoincrement=True),
        sa.Column("list_id", _ROW, sa.ForeignKey("plate_list.id", ondelete="CASCADE"), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("pattern", sa.String(), nullable=False),
        sa.Column("valid_from", _TIME),
        sa.Column("valid_until", _TIME),
        sa.Column("note", sa.Text(), nullable=False),
        sa.UniqueConstraint("list_id", "kind", "pattern", name="list_entry_once"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "list_match",
        sa.Column("sighting_seq", _ROW, sa.ForeignKey("sighting.seq", ondelete="CASCADE"), primary_key=True),
        sa.Column("list_id", _ROW, sa.ForeignKey("plate_list.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("entry_id", _ROW, sa.ForeignKey("list_entry.id", ondelete="SET NULL")),
        sa.Column("probability", sa.Float(53), nullable=False),
        sa.Column("last_time", _TIME, nullable=False),
    )
    op.create_index("ix_list_match_entry_id", "list_match", ["entry_id"])
    op.create_index("list_match_by_time", "list_match", ["list_id", "last_time", "sighting_seq"])


def _search_on_sqlite() -> None:
    # An index without content of its own: what is deleted has to be named again, which the second trigger does.
    op.execute("CREATE VIRTUAL TABLE gram USING fts5(text, folds, content='', tokenize='trigram case_sensitive 1')")
    values = "{0}.seq, CASE WHEN {0}.text IS NULL THEN '' ELSE '^' || {0}.text || '$' END, {0}.folds"
    op.execute(f"CREATE TRIGGER gram_insert AFTER INSERT ON sighting BEGIN INSERT INTO gram(rowid, text, folds) VALUES ({values.format('new')}); END")
    op.execute(
        f"CREATE TRIGGER gram_delete AFTER DELETE ON sighting BEGIN INSERT INTO gram(gram, rowid, text, folds) VALUES ('delete', {values.format('old')}); END"
    )


def _search_on_postgresql() -> None:
    op.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")
    op.execute("CREATE EXTENSION IF NOT EXISTS fuzzystrmatch")
    # Without fastupdate a search never has to read a list of rows that are not in the index yet.
    op.execute("CREATE INDEX sighting_text_grams ON sighting USING gin (text gin_trgm_ops) WITH (fastupdate = off)")
    op.execute("CREATE INDEX sighting_fold_grams ON sighting USING gin (folds gin_trgm_ops) WITH (fastupdate = off)")


def downgrade() -> None:
    """Not offered: a database is brought back from a copy."""
    raise NotImplementedError("restore the copy of the database that was made before the upgrade")
