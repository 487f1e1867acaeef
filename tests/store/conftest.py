"""Stores on SQLite and on a real PostgreSQL, and sightings to put into them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from openplate.store import NewPicture, NewSighting, Store
from openplate.store.model import Blur
from openplate.store.privacy import Mode
from openplate.types import Candidate, Character
from tests.store import postgres

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
KINDS = ("sqlite", "postgresql")


def sighting(
    number: int,
    plate: str | None = "A123BC77",
    confidence: float = 0.9,
    candidates: tuple[tuple[str, float], ...] = (),
    camera: str = "gate",
    country: str | None = "RU",
    at: datetime | None = None,
    pictures: tuple[NewPicture, ...] = (),
    looks: int = 3,
) -> NewSighting:
    """A sighting `s<number>`, `number` minutes after noon; without a plate it is unreadable."""
    last = at or NOON + timedelta(minutes=number)
    given = candidates or (((plate, confidence),) if plate else ())
    best = plate or (given[0][0] if given else "")
    return NewSighting(
        id=f"s{number}",
        camera=camera,
        source="rtsp://camera/1",
        status="read" if plate else "unreadable",
        text=plate,
        confidence=confidence,
        characters=tuple(Character(c, confidence) for c in best),
        candidates=tuple(Candidate(t, p, "RU/1") for t, p in given),
        country=country,
        format="RU/1",
        first=last - timedelta(seconds=2),
        last=last,
        looks=looks,
        pictures=pictures,
    )


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The URL of a running server's first database. Set OPENPLATE_NEEDS_POSTGRES=1 where its absence is a fault."""
    if postgres.binaries() is None and not os.environ.get("OPENPLATE_NEEDS_POSTGRES"):
        pytest.skip("PostgreSQL is not installed (Debian: apt-get install postgresql)")
    with postgres.running() as url:
        yield url


def run_sql(url: str, *statements: str) -> None:
    """Run statements on PostgreSQL, each for itself."""
    engine = create_engine(url.replace("postgresql://", "postgresql+pg8000://"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for statement in statements:
            connection.execute(text(statement))
    engine.dispose()


@pytest.fixture(scope="session")
def make_database(postgres_server: str) -> Callable[[], str]:
    """Makes a new empty PostgreSQL database and gives its URL."""
    numbers = count(1)

    def make() -> str:
        name = f"test{next(numbers)}"
        run_sql(postgres_server, f"CREATE DATABASE {name} TEMPLATE template0")
        return postgres_server.replace("/first?", f"/{name}?")

    return make


@pytest.fixture(scope="session", params=KINDS)
def database_kind(request: pytest.FixtureRequest) -> str:
    """Which database a test runs on: every test that asks for a store runs on each."""
    return str(request.param)


@pytest.fixture
def database_url(database_kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database."""
    if database_kind == "sqlite":
        return f"sqlite:///{tmp_path / 'data.sqlite'}"
    url = str(request.getfixturevalue("postgres_server"))
    run_sql(url, "DROP SCHEMA public CASCADE", "CREATE SCHEMA public")  # ten times faster than a database for each test
    return url


@pytest.fixture
def open_store(database_url: str, tmp_path: Path) -> Iterator[Callable[..., Store]]:
    """Opens the same store again and again; all are closed at the end."""
    opened: list[Store] = []

    def open_(privacy: Mode = "plain", blur: Blur | None = None) -> Store:
        opened.append(Store(tmp_path / "data", database_url, privacy, blur))
        return opened[-1]

    yield open_
    for one in opened:
        one.close()


@pytest.fixture
def store(open_store: Callable[..., Store]) -> Store:
    """An empty store."""
    return open_store()
