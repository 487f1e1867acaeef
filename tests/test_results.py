from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from openplate.geometry import as_quad
from openplate.results import CSV_HEADER, RESULT_VERSION, photo_as_csv, photo_as_json, photo_as_table, table_header
from openplate.types import Candidate, Character, Detection, EngineReport, Milliseconds, PhotoResult, Plate, Reading

ENGINE = EngineReport("openvino", "2026.4.1", "CPU", "bf16", 1)
QUAD = as_quad([[10.004, 20], [110.5, 22.25], [110, 50], [9.996, 48]])
READ = Plate(
    "read",
    "京A12345",
    None,
    Detection(QUAD, 0.98765),
    Reading(
        "京A12345",
        0.98999,
        (Character("京", 0.99999), Character("A", 1.0)),
        (Candidate("京A12345", 0.98999, "CN/blue"), Candidate("京A1234S", 0.01, None)),
        "CN",
        "CN/blue",
        1,
        1.0,
        0.87659,
    ),
)
UNREADABLE = Plate("unreadable", None, "confidence 0.41, expected 0.8", Detection(QUAD, 0.5), Reading("A1", 0.41, (), (), None, None, 2))
EMPTY = Plate("unreadable", None, "no text", Detection(QUAD, 0.5), Reading("", 0.0, (), (), None, None, 1))


def photo(*plates: Plate) -> PhotoResult:
    return PhotoResult("in/photo.jpg", 640, 480, plates, ENGINE, Milliseconds(1.2345, 2.0, 0.5, 3.999))


def test_photo_gives_exactly_the_documented_json() -> None:
    assert photo_as_json(photo(READ)) == {
        "version": 1,
        "image": "in/photo.jpg",
        "width": 640,
        "height": 480,
        "plates": [
            {
                "status": "read",
                "text": "京A12345",
                "confidence": 0.9899,
                "characters": [{"text": "京", "confidence": 0.9999}, {"text": "A", "confidence": 1.0}],
                "candidates": [
                    {"text": "京A12345", "confidence": 0.9899, "format": "CN/blue"},
                    {"text": "京A1234S", "confidence": 0.01, "format": None},
                ],
                "country": "CN",
                "format": "CN/blue",
                "country_confidence": 1.0,
                "format_confidence": 0.8765,
                "lines": 1,
                "quad": [[10.0, 20.0], [110.5, 22.25], [110.0, 50.0], [10.0, 48.0]],
                "detection_confidence": 0.9876,
                "reason": None,
            }
        ],
        "engine": {"name": "openvino", "version": "2026.4.1", "device": "CPU", "precision": "bf16", "threads": 1},
        "milliseconds": {"decode": 1.23, "detect": 2.0, "rectify": 0.5, "read": 4.0},
    }


def test_json_can_be_written_and_read_back() -> None:
    entry = photo_as_json(photo(READ, UNREADABLE))
    assert json.loads(json.dumps(entry)) == entry


def test_unreadable_plate_keeps_its_quad_and_reason() -> None:
    (entry,) = photo_as_json(photo(UNREADABLE))["plates"]
    assert (entry["status"], entry["text"], entry["reason"]) == ("unreadable", None, "confidence 0.41, expected 0.8")
    assert entry["quad"][1] == [110.5, 22.25]
    assert entry["lines"] == 2
    assert (entry["country_confidence"], entry["format_confidence"]) == (None, None)


def test_photo_without_plates_has_an_empty_list() -> None:
    assert photo_as_json(photo())["plates"] == []


@pytest.mark.parametrize(("confidence", "printed"), [(0.99, 0.99), (0.98999, 0.9899), (0.29, 0.29), (1.0, 1.0), (0.0, 0.0), (0.57, 0.57)])
def test_confidence_is_cut_and_never_rounded_up(confidence: float, printed: float) -> None:
    plate = Plate("unreadable", None, None, Detection(QUAD, confidence), READ.reading)
    assert photo_as_json(photo(plate))["plates"][0]["detection_confidence"] == printed


def test_csv_gives_a_row_a_plate_in_the_order_of_the_header() -> None:
    first, second = photo_as_csv(photo(READ, UNREADABLE))
    assert len(first) == len(second) == len(CSV_HEADER)
    assert dict(zip(CSV_HEADER, first, strict=True)) == {
        "image": "in/photo.jpg",
        "status": "read",
        "text": "京A12345",
        "confidence": "0.9899",
        "country": "CN",
        "format": "CN/blue",
        "lines": "1",
        "detection_confidence": "0.9876",
        "x1": "10.0",
        "y1": "20.0",
        "x2": "110.5",
        "y2": "22.25",
        "x3": "110.0",
        "y3": "50.0",
        "x4": "10.0",
        "y4": "48.0",
        "reason": "",
        "country_confidence": str(photo_as_json(photo(READ))["plates"][0]["country_confidence"]),
    }
    assert second[CSV_HEADER.index("text")] == ""


def test_photo_without_plates_has_no_csv_row() -> None:
    assert photo_as_csv(photo()) == []


def test_table_lines_stand_under_the_header() -> None:
    header = table_header()
    (latin,) = photo_as_table(photo(Plate("read", "A123BC77", None, READ.detection, READ.reading)))
    assert header.split() == ["TEXT", "CONFIDENCE", "COUNTRY", "FORMAT", "IMAGE"]
    assert latin.index("98.9 %") == header.index("CONFIDENCE")
    assert latin.index("in/photo.jpg") == header.index("IMAGE")


def test_chinese_character_takes_two_places_in_the_table() -> None:
    (line,) = photo_as_table(photo(READ))
    assert line.index("98.9 %") == table_header().index("CONFIDENCE") - 1


def test_table_says_why_a_plate_is_unreadable_and_that_there_is_none() -> None:
    unreadable, empty = photo_as_table(photo(UNREADABLE, EMPTY))
    assert unreadable.startswith("A1? ")
    assert unreadable.endswith("in/photo.jpg  (confidence 0.41, expected 0.8)")
    assert empty.startswith("? ")
    (none,) = photo_as_table(photo())
    assert none.endswith("in/photo.jpg  (no plate found)")


@pytest.mark.parametrize(
    ("name", "shown"),
    [("a\nb.jpg", "a\\nb.jpg"), ("a\x1b[2Jb.jpg", "a\\x1b[2Jb.jpg"), ("a\u2028b.jpg", "a\\u2028b.jpg"), ("въезд 京.jpg", "въезд 京.jpg")],
)
def test_name_with_a_line_break_stays_one_line_of_the_table(name: str, shown: str) -> None:
    lines = photo_as_table(replace(photo(READ, UNREADABLE), source=name)) + photo_as_table(replace(photo(), source=name))
    assert len(lines) == 3
    assert [line.split(None, 5)[-1] for line in lines[:1]] == [shown]
    assert all(shown in line and len(line.splitlines()) == 1 for line in lines)


def test_documentation_names_the_version_and_every_key() -> None:
    page = (Path(__file__).parents[1] / "docs" / "results.md").read_text(encoding="utf8")
    entry = photo_as_json(photo(READ))
    assert f"## JSON, version {RESULT_VERSION}" in page
    for key in (*entry, *entry["plates"][0]):
        assert f"`{key}`" in page, key
    assert f"`{', '.join(CSV_HEADER)}`" in page
    example = json.loads(page.split("```json\n")[1].split("```")[0])
    assert list(example) == list(entry)
    assert list(example["plates"][0]) == list(entry["plates"][0])
    assert list(example["milliseconds"]) == list(entry["milliseconds"])
    assert list(example["engine"]) == list(entry["engine"])
