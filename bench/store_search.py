"""A number of sightings in, how long searching among them takes out: median and 95th percentile of each kind of search, in milliseconds.

Example: python bench/store_search.py --rows 1000000 --database sqlite
         python bench/store_search.py --rows 1000000 --database postgresql    (starts a server of its own; needs Debian's package postgresql)
         python bench/store_search.py --rows 1000000 --database postgresql://user:password@host/empty_database
"""

from __future__ import annotations

import csv
import io
import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click
from sqlalchemy import text

from openplate.formats import load_formats, select
from openplate.store import NewSighting, Query, Store
from openplate.store.look_alikes import CLASSES
from openplate.store.model import Status
from openplate.store.rows import as_row, folds_of
from openplate.store.tables import to_microseconds
from openplate.types import Candidate, Character

VEHICLES_PER_SIGHTING = 0.4
START = datetime(2026, 1, 1, tzinfo=UTC)
DAYS = 365
CAMERAS = tuple(f"camera {i}" for i in range(1, 9))
SEED = 6


def plates(count: int, rng: random.Random) -> list[tuple[str, str, str]]:
    """(text, country, format) of vehicles: seven of ten are ordinary Russian ones, the others of all countries and types."""
    formats = load_formats()
    russian = select(formats, ["ru"])[0].types[0]
    types = [plate_type for one in formats for plate_type in one.types]
    found = []
    for _ in range(count):
        plate_type = russian if rng.random() < 0.7 else rng.choice(types)
        found.append(("".join(plate_type.sample(rng)), plate_type.country, plate_type.name))
    return found


def sightings(count: int, rng: random.Random) -> Iterator[NewSighting]:
    """Sightings over a year in order of time; one of thirty has a look-alike for a character."""
    vehicles = plates(max(1, int(count * VEHICLES_PER_SIGHTING)), rng)
    step = timedelta(days=DAYS) / count
    for number in range(count):
        truth, country, form = rng.choice(vehicles)
        confidence = min(0.999, 0.6 + 0.4 * rng.random() ** 0.3)
        wrong = look_alike(truth, rng)
        best, other = (wrong, truth) if rng.random() < 0.03 else (truth, wrong)
        characters = tuple(Character(c, round(min(0.9999, confidence + (1 - confidence) * rng.random()), 4)) for c in best)
        candidates = (Candidate(best, round(confidence, 4), form), Candidate(other, round((1 - confidence) / 2, 4), form))
        when = START + number * step
        status: Status = "read" if confidence > 0.65 else "unreadable"
        yield NewSighting(
            f"{number:08d}", rng.choice(CAMERAS), "rtsp://camera", status, best if status == "read" else None, round(confidence, 4),
            characters, candidates, country, form, when, when + timedelta(seconds=2), looks=rng.randint(2, 40),
        )  # fmt: skip


def look_alike(plate: str, rng: random.Random) -> str:
    """The plate with one character replaced by a look-alike, or by any digit where there is none."""
    places = [i for i, c in enumerate(plate) if any(c in group for group in CLASSES)]
    place = rng.choice(places) if places else rng.randrange(len(plate))
    alike = next((group.replace(plate[place], "") for group in CLASSES if plate[place] in group), "0123456789")
    return plate[:place] + rng.choice(alike) + plate[place + 1 :]


def fill(store: Store, count: int) -> None:
    """Write the sightings past the store's own way, in one transaction each 50,000, with the trigram indexes that it has."""
    database = store._database
    columns: list[str] = []
    rng = random.Random(SEED)
    postgresql = database.kind == "postgresql"
    with database.write() as connection:
        if postgresql:
            connection.execute(text("DROP INDEX sighting_text_grams, sighting_fold_grams"))
    batch: list[list[object]] = []
    stream = sightings(count, rng)
    done = 0
    while done < count:
        batch.clear()
        for new in (next(stream) for _ in range(min(50_000, count - done))):
            row = as_row(new, folds_of(new), new.last)
            columns = columns or list(row)
            batch.append([plain(value) for value in row.values()])
        with database.write() as connection:
            cursor: Any = connection.connection.cursor()
            if postgresql:
                lines = io.StringIO()
                csv.writer(lines).writerows(batch)
                lines.seek(0)
                cursor.execute(f"COPY sighting ({', '.join(columns)}) FROM STDIN WITH (FORMAT csv)", stream=lines)
            else:
                cursor.executemany(f"INSERT INTO sighting ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})", batch)
        done += len(batch)
        print(f"\r{done:,} of {count:,} sightings written", end="", file=sys.stderr)
    print(file=sys.stderr)
    with database.write() as connection:
        if postgresql:
            connection.execute(text("CREATE INDEX sighting_text_grams ON sighting USING gin (text gin_trgm_ops) WITH (fastupdate = off)"))
            connection.execute(text("CREATE INDEX sighting_fold_grams ON sighting USING gin (folds gin_trgm_ops) WITH (fastupdate = off)"))
        connection.execute(text("ANALYZE"))


def plain(value: object) -> object:
    """A value as the driver takes it."""
    if isinstance(value, datetime):
        return to_microseconds(value)
    return json.dumps(value) if isinstance(value, list) else value


def searches(texts: list[str], rng: random.Random) -> dict[str, Callable[[], Query]]:
    """Each kind of search as a maker of queries; `texts` are plates that were stored."""

    def part(length: int) -> str:
        plate = rng.choice([t for t in rng.sample(texts, 20) if len(t) >= length])
        start = rng.randrange(len(plate) - length + 1)
        return plate[start : start + length]

    def long(length: int) -> str:
        return rng.choice([t for t in rng.sample(texts, 50) if len(t) >= length])

    def edited(edits: int) -> str:
        plate = long(4 if edits == 1 else 7)
        for _ in range(edits):
            place = rng.randrange(len(plate))
            plate = plate[:place] + rng.choice("0123456789ABCEHKMOPTXY") + plate[place + 1 :]
        return plate

    def wildcard() -> str:
        plate = long(7)
        return plate[:2] + "##" + plate[4:6] + "*"

    week = START + timedelta(days=200)
    return {
        "exact": lambda: Query(rng.choice(texts)),
        "contains 5": lambda: Query(part(5), "contains"),
        "contains 4": lambda: Query(part(4), "contains"),
        "contains 3": lambda: Query(part(3), "contains"),
        "contains 3, frequent (777)": lambda: Query("777", "contains"),
        "contains 2": lambda: Query(part(2), "contains"),
        "contains 4, nowhere": lambda: Query(rng.choice("QWJF") + rng.choice("QWJF") + rng.choice("QWJF") + "9", "contains"),
        "contains 4, one camera, a week": lambda: Query(
            part(4), "contains", cameras=(rng.choice(CAMERAS),), since=week, until=week + timedelta(days=7)
        ),
        "wildcard A1##BC*": lambda: Query(wildcard(), "wildcard"),
        "fuzzy, look-alikes": lambda: Query(look_alike(long(5), rng), "fuzzy", edits=0),
        "fuzzy, 1 edit": lambda: Query(edited(1), "fuzzy"),
        "fuzzy, 1 edit, by match": lambda: Query(edited(1), "fuzzy", order="match"),
        "fuzzy, 1 edit, match >= 0.1": lambda: Query(look_alike(long(5), rng), "fuzzy", min_match=0.1),
        "fuzzy, 2 edits": lambda: Query(edited(2), "fuzzy", edits=2),
        "newest": lambda: Query(),
        "one camera, confidence >= 0.99": lambda: Query(cameras=(rng.choice(CAMERAS),), min_confidence=0.99),
    }


def measure(store: Store, repeats: int) -> None:
    """Print a line for each kind of search."""
    rng = random.Random(SEED + 1)
    texts = [one.text for one in (hit.sighting for hit in store.search(Query(status="read"), size=1000).hits) if one.text]
    for day in range(0, DAYS, 15):
        until = START + timedelta(days=day)
        texts += [hit.sighting.text for hit in store.search(Query(status="read", until=until), size=400).hits if hit.sighting.text]
    click.echo(f"{'search':34} {'median ms':>9} {'p95 ms':>9} {'worst ms':>9} {'hits on the first page':>24}")
    for name, make in searches(texts, rng).items():
        queries = [make() for _ in range(repeats)]
        for query in queries[:10]:
            store.search(query)
        times, hits = [], []
        for query in queries:
            started = time.perf_counter()
            page = store.search(query)
            times.append(1000 * (time.perf_counter() - started))
            hits.append(len(page.hits))
        times.sort()
        p95 = times[int(0.95 * (len(times) - 1))]
        click.echo(f"{name:34} {statistics.median(times):9.1f} {p95:9.1f} {times[-1]:9.1f} {statistics.mean(hits):24.1f}")


@click.command()
@click.option("--rows", default=1_000_000, show_default=True, help="Sightings.")
@click.option("--database", default="sqlite", show_default=True, help="sqlite, postgresql (a server of its own) or the URL of an empty database.")
@click.option(
    "--folder", type=click.Path(path_type=Path), help="Data folder; one that has sightings already is measured as it is.  [default: temporary]"
)
@click.option("--repeats", default=200, show_default=True, help="Searches of each kind.")
def main(rows: int, database: str, folder: Path | None, repeats: int) -> None:
    """Measure searches among many sightings."""
    with ExitStack() as stack:
        if database == "postgresql":
            sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
            from tests.store.postgres import running

            database = stack.enter_context(running(("shared_buffers=512MB", "maintenance_work_mem=512MB", "max_wal_size=4GB")))
        place = folder or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        store = stack.enter_context(Store(place, None if database == "sqlite" else database))
        if not store.last_seq():
            started = time.perf_counter()
            fill(store, rows)
            print(f"written and indexed in {time.perf_counter() - started:.0f} s", file=sys.stderr)
        measure(store, repeats)


if __name__ == "__main__":
    main()
