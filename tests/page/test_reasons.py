from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from openplate.page.reasons import plate_reason, row_reason, sighting_reasons
from openplate.page.texts import ENGLISH, RUSSIAN
from openplate.pipeline import Pipeline
from openplate.store import Store
from openplate.store.patterns import LONGEST
from openplate.types import Detection, Reading


def reason(text: str, confidence: float, height: float) -> str:
    """What the pipeline says of a plate of this height."""
    quad = np.array([[0, 0], [50, 0], [50, height], [0, height]], np.float32)
    plate = Pipeline._plate(
        SimpleNamespace(options=SimpleNamespace(min_confidence=0.5)),  # type: ignore[arg-type]
        Detection(quad, 0.9),
        Reading(text, confidence, (), (), None, None, 1),
    )
    assert plate.reason is not None
    return plate.reason


@pytest.mark.parametrize(
    ("given", "russian"),
    [
        (("A1", 0.45, 20), "уверенность 0.45 ниже 0.50"),
        (("A1", 0.45, 9), "уверенность 0.45 ниже 0.50; номер мал (50 × 9 пикс.)"),
        (("", 0.0, 20), "текст не найден"),
    ],
)
def test_what_the_pipeline_says_is_said_in_russian(given: tuple[str, float, float], russian: str) -> None:
    assert plate_reason(reason(*given), RUSSIAN) == russian
    assert plate_reason(reason(*given), ENGLISH) == reason(*given)


def test_a_reason_that_the_page_does_not_know_stays_as_it_is() -> None:
    assert plate_reason("the moon is full", RUSSIAN) == "the moon is full"
    assert sighting_reasons(("unsure", "moon"), RUSSIAN) == "уверенность слишком мала; moon"


def test_reasons_of_sightings_are_words_in_both_languages() -> None:
    words = ("no_format", "disagreeing", "unsure", "one_look", "static", "too_small", "blurred")
    assert "_" not in sighting_reasons(words, ENGLISH) + sighting_reasons(words, RUSSIAN)


@pytest.mark.parametrize(
    ("status", "russian"), [(422, "в присланном что-то неверно"), (418, "запрос не понят"), (502, "у него сбой; причина — в его журнале")]
)
def test_every_refusal_has_a_sentence(status: int, russian: str) -> None:
    assert RUSSIAN.refusal_of(status) == russian


def test_rows_that_are_not_imported_are_told_in_both_languages(tmp_path: Path) -> None:
    rows = {
        "A1;": "в первой строке ячеек: 3, в этой: 2",
        ";x;": "нет номера",
        "A123BC77;x;": None,
        "a123bc77;x;": "номер A123BC77 уже есть в строке 4",
        "A 12(;x;": "'(' — не буква и не цифра: 'A 12('",
        f"{'7' * 40};x;": f"в номере от 1 до {LONGEST} знаков, а здесь '{'7' * 40}'",
        "A12*;x;": "в номере не бывает подстановочных знаков: 'A12*'",
        "B1;x;tomorrow": "permit_until: дата пишется как 2027-03-31 или 31.03.2027, а здесь 'tomorrow'",
        "B2;x;2027-03-31T18:00": "permit_until: нет часового пояса, нужно как 2027-03-31T18:00+03:00, а здесь '2027-03-31T18:00'",
        f"B3;{'x' * 300};": "make: не больше 200 знаков, а здесь 300",
    }
    with Store(tmp_path) as store:
        done = store.register.import_csv("\n".join(["plate;make;permit_until", *rows]).encode())
    assert done.added == 1
    assert [row_reason(fault.reason, RUSSIAN) for fault in done.faults] == [told for told in rows.values() if told]
    assert all(row_reason(fault.reason, ENGLISH) != fault.reason for fault in done.faults if " is in line " not in fault.reason)
    assert row_reason("the moon is full", RUSSIAN) == "the moon is full"
