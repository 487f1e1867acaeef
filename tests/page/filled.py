"""A store with sightings, lists and a register to look at: what every test of the page finds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

import numpy as np

from openplate.annotate import cut_plate
from openplate.sources import encode_image
from openplate.store import NewEntry, NewPicture, NewSighting, Store
from openplate.streams.writer import VideoWriter
from openplate.synthesize.scenes import draw_scene
from openplate.types import Candidate, Character, Detection, Plate, Quad, Reading
from tests.serve.running import drawn, plate_text

CAMERAS = ("gate", "yard", "ramp")
NUMBER = 36


@cache
def scene(seed: int) -> tuple[str, Quad, bytes, bytes]:
    """A drawn vehicle: its plate's text and corners, the frame as JPEG and the plate cut out as PNG."""
    image, (plate,) = draw_scene(seed, 640, 360, vehicles=1)
    assert plate.text is not None
    crop = cut_plate(image, Plate("read", plate.text, None, Detection(plate.quad, 1.0), Reading(plate.text, 1.0, (), (), None, None, 1)))
    return plate.text, plate.quad, encode_image(image, ".jpg", 85), encode_image(crop, ".png")


def fill(store: Store) -> None:
    """Two lists, a register of two vehicles, and sightings of the last three days: the newest is `s0`, every ninth is unreadable."""
    store.lists.create("residents", "allow", "flats 1 to 40")
    store.lists.create("wanted", "block")
    known = scene(21)[0]
    store.lists.add("residents", [NewEntry(known, note="flat 12"), NewEntry("A###@@77", "wildcard")])
    store.lists.add("wanted", [NewEntry(scene(22)[0])])
    rows = f"plate,make,model,colour,owner,permit_until\n{known},Lada,Vesta,white,flat 12,2031-03-31\n{plate_text()},Volvo,XC60,blue,visitor,2020-01-31\n"
    store.register.import_csv(rows.encode())
    now = datetime.now(UTC).replace(microsecond=0)
    for number in reversed(range(NUMBER)):
        text, quad, frame, crop = scene(21 + number % 4)
        last = now - timedelta(minutes=113 * number)
        sure = number % 9 != 8
        weakest = 0.62 if number % 3 else 0.94
        characters = tuple(Character(c, weakest if i == len(text) // 2 else 0.996 - 0.003 * i) for i, c in enumerate(text))
        other = text[:-1] + ("8" if text[-1] != "8" else "3")
        store.add(
            NewSighting(
                id=f"s{number}",
                camera=CAMERAS[number % 3],
                source="rtsp://10.0.0.5/stream1",
                status="read" if sure else "unreadable",
                text=text if sure else None,
                confidence=0.97 if sure else 0.58,
                characters=characters,
                candidates=(Candidate(text, 0.97 if sure else 0.58, "RU/1"), Candidate(other, 0.02 if sure else 0.3, "RU/1")),
                country="RU",
                format="RU/1",
                first=last - timedelta(seconds=4),
                last=last,
                looks=4,
                direction="approaching",
                quad=quad,
                reasons=() if sure else ("unsure",),
                pictures=(NewPicture("frame", frame, quad=quad), NewPicture("crop", crop, "image/png")),
            )
        )


def fill_hashed(store: Store) -> None:
    """Two sightings for a store that keeps hashes: the first one read as A123BC77, the second unreadable."""
    now = datetime.now(UTC).replace(microsecond=0)
    for number, text in enumerate(("A123BC77", "B456CA77")):
        sure = number == 0
        store.add(
            NewSighting(
                id=f"h{number}",
                camera="gate",
                source="rtsp://10.0.0.5/stream1",
                status="read" if sure else "unreadable",
                text=text if sure else None,
                confidence=0.97 if sure else 0.4,
                characters=tuple(Character(c, 0.99) for c in text),
                candidates=(Candidate(text, 0.97 if sure else 0.4, "RU/1"),),
                country="RU",
                format="RU/1",
                first=now,
                last=now + timedelta(seconds=number),
                reasons=() if sure else ("unsure",),
            )
        )


def write_clip(path: Path) -> Path:
    """A clip of four seconds: the drawn street of `photo`, going past."""
    image = drawn()[0]
    height, width = image.shape[0], image.shape[1] - 80
    with VideoWriter(path, 10, (width, height)) as writer:
        for number in range(40):
            writer.write(np.ascontiguousarray(image[:, 2 * number : 2 * number + width]), number / 10)
    return path
