"""Sightings in, rows of the tables out, and back: the only place that knows how a sighting's values are spread over columns."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import numpy as np
from sqlalchemy import Connection, select

from openplate.store.belief import Belief
from openplate.store.look_alikes import fold
from openplate.store.model import ListMatch, NewSighting, Picture, Sighting, Status
from openplate.store.privacy import Privacy
from openplate.store.register import Register
from openplate.store.tables import ListRow, MatchRow, PictureRow, SightingRow
from openplate.types import Candidate, Character


def belief_of(new: NewSighting) -> Belief:
    """What a sighting says of its plate."""
    best = new.text or (new.candidates[0].text if new.candidates else "")
    return Belief(best, new.confidence, new.characters, new.candidates)


def folds_of(new: NewSighting) -> str:
    """The folded text and candidates, each once, anchored: `^A123BC77$^A12BC77$`."""
    folded = dict.fromkeys(fold(text) for text in (new.text, *(c.text for c in new.candidates)) if text)
    return "".join(f"^{one}$" for one in folded)


def as_row(kept: NewSighting, folds: str, stored: datetime) -> dict[str, Any]:
    """The columns of a sighting as it is kept."""
    return {
        "id": kept.id,
        "camera": kept.camera,
        "source": kept.source,
        "status": kept.status,
        "text": kept.text,
        "folds": folds,
        "confidence": kept.confidence,
        "characters": [[c.text, c.confidence] for c in kept.characters],
        "candidates": [[c.text, c.confidence, c.format] for c in kept.candidates],
        "country": kept.country,
        "format": kept.format,
        "first_time": kept.first,
        "last_time": kept.last,
        "looks": kept.looks,
        "direction": kept.direction,
        "parked": kept.parked,
        "quad": None if kept.quad is None else [[round(float(x), 2), round(float(y), 2)] for x, y in kept.quad],
        "reasons": list(kept.reasons),
        "stored_time": stored,
    }


def load(connection: Connection, seqs: Sequence[int], register: Register, privacy: Privacy) -> dict[int, Sighting]:
    """The sightings with these numbers, with all that belongs to them, by number; those that are not there are missing."""
    pictures: dict[int, list[Picture]] = {}
    columns = (PictureRow.sighting_seq, PictureRow.id, PictureRow.kind, PictureRow.hash, PictureRow.media_type, PictureRow.size_bytes)
    chosen = select(*columns).where(PictureRow.sighting_seq.in_(seqs)).order_by(PictureRow.sighting_seq, PictureRow.position)
    for shown in connection.execute(chosen):
        pictures.setdefault(shown[0], []).append(Picture(shown[1], shown[2], shown[3], shown[4], shown[5]))
    lists: dict[int, list[ListMatch]] = {}
    matched = select(MatchRow.sighting_seq, ListRow.name, ListRow.kind, MatchRow.entry_id, MatchRow.probability)
    matched = matched.join(ListRow, ListRow.id == MatchRow.list_id).where(MatchRow.sighting_seq.in_(seqs))
    for match in connection.execute(matched.order_by(MatchRow.probability.desc(), ListRow.name)):
        lists.setdefault(match[0], []).append(ListMatch(match[1], match[2], match[3], match[4]))
    rows = connection.execute(select(*_COLUMNS).where(SightingRow.seq.in_(seqs))).all()
    candidates = [tuple(Candidate(c[0], c[1], c[2]) for c in row.candidates) for row in rows]
    characters = [tuple(Character(c[0], c[1]) for c in row.characters) for row in rows]
    if privacy.hashed:
        vehicles = register.look_up_kept(connection, [{c.text: c.confidence for c in reversed(some)} for some in candidates])
    else:
        beliefs = [Belief(row.text or (c[0].text if c else ""), row.confidence, q, c) for row, q, c in zip(rows, characters, candidates, strict=True)]
        vehicles = register.look_up(connection, beliefs)
    return {
        row.seq: Sighting(
            seq=row.seq,
            id=row.id,
            camera=row.camera,
            source=row.source,
            status=_status(row.status),
            text=row.text,
            confidence=row.confidence,
            characters=characters[i],
            candidates=candidates[i],
            country=row.country,
            format=row.format,
            first=row.first_time,
            last=row.last_time,
            looks=row.looks,
            direction=row.direction,
            parked=row.parked,
            quad=None if row.quad is None else np.array(row.quad, dtype=np.float32),
            reasons=tuple(row.reasons),
            stored=row.stored_time,
            pictures=tuple(pictures.get(row.seq, ())),
            lists=tuple(lists.get(row.seq, ())),
            vehicle=vehicles[i],
        )
        for i, row in enumerate(rows)
    }


_COLUMNS = tuple(getattr(SightingRow, column.name) for column in SightingRow.__table__.columns if column.name != "folds")


def _status(status: str) -> Status:
    return "read" if status == "read" else "unreadable"
