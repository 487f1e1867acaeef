from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import numpy as np
import pytest

from openplate.page.reasons import plate_reason, refusal_reason, row_reason, sighting_reasons
from openplate.page.texts import ENGLISH, RUSSIAN
from openplate.pipeline import Pipeline
from openplate.sources import encode_image
from openplate.store import Store
from openplate.store.patterns import LONGEST
from openplate.types import Detection, Reading
from tests.serve.running import Running, photo


def reason(text: str, confidence: float, height: float, least: float = 0.5, only: tuple[str, ...] = ()) -> str:
    """What the pipeline says of a plate of this height."""
    quad = np.array([[0, 0], [50, 0], [50, height], [0, height]], np.float32)
    plate = Pipeline._plate(
        SimpleNamespace(options=SimpleNamespace(min_confidence=least, only=only)),  # type: ignore[arg-type]
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
        (("A1", 0.8476, 20, 0.848), "уверенность 0.847 ниже 0.848"),
        (("", 0.0, 20), "текст не найден"),
        (("", 0.0, 20, 0.5, ("RU", "kz")), "не найден текст, допустимый при выборе только ru,kz"),
    ],
)
def test_what_the_pipeline_says_is_said_in_russian(given: tuple[Any, ...], russian: str) -> None:
    assert plate_reason(reason(*given), RUSSIAN) == russian
    assert plate_reason(reason(*given), ENGLISH) == reason(*given)


def test_a_reason_that_the_page_does_not_know_stays_as_it_is() -> None:
    assert plate_reason("the moon is full", RUSSIAN) == "the moon is full"
    assert sighting_reasons(("unsure", "moon"), RUSSIAN) == "уверенность слишком мала; moon"


def test_reasons_of_sightings_are_words_in_both_languages() -> None:
    words = ("no_format", "disagreeing", "unsure", "one_look", "static", "unexpected", "too_small", "blurred")
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


def refused_by_the_service(service: Running, path: str, body: Any) -> str:
    """What the service says of a refused call, as the page gets it: of a picture without the name that the client gives it."""
    if isinstance(body, bytes):
        answer = httpx.post(service.url + path, **({"files": {"file": ("picture", body)}} if path == "/v1/read" else {"content": body}))
    else:
        answer = httpx.get(service.url + path) if body is None else httpx.post(service.url + path, json=body)
    assert answer.status_code in (409, 422), answer.text
    return str(answer.json()["detail"]).removeprefix("picture: ")


def refusals() -> dict[str, tuple[str, Any, str]]:
    """Name → path, body, what the page says in Russian."""
    jpeg, png = photo(), photo(".png")
    tiny = encode_image(np.zeros((4, 4, 3), np.uint8), ".png")
    entries = "/v1/lists/residents/entries"
    letters = "можно буквы, цифры, пробелы, _ и -, первой — буква или цифра; а здесь"
    return {
        "cut": ("/v1/read", jpeg[:2000], "снимок JPEG обрезан, конца нет; скопируйте его заново"),
        "cut PNG": ("/v1/read", png[:2000], "снимок PNG обрезан или повреждён; скопируйте его заново"),
        "text": ("/v1/read", b"Dear Sir", "это не снимок; сохраните его как JPEG, PNG, WebP, BMP, TIFF или GIF"),
        "tiny": ("/v1/read", tiny, "у снимка не меньше 8 пикс. по каждой стороне, а здесь 4 × 4; возьмите снимок побольше"),
        "country": ("/v1/read?country=xx", jpeg, "страна 'XX' неизвестна; коды — RU, DE и подобные"),
        "short": (
            "/v1/sightings?plate=H3&how=fuzzy",
            None,
            "для поиска похожих в номере нужно не меньше 4 знаков, а здесь 'H3'; ищите часть номера",
        ),
        "fuzzy wildcard": (
            "/v1/sightings?plate=A123*&how=fuzzy",
            None,
            "в 'A123*' есть подстановочные знаки; ищите его как шаблон",
        ),
        "character": ("/v1/sightings?plate=A(1", None, "'(' — не буква и не цифра: 'A(1'"),
        "long plate": (f"/v1/sightings?plate={'7' * 40}", None, f"в номере от 1 до {LONGEST} знаков, а здесь '{'7' * 40}'"),
        "longer plate": (f"/v1/sightings?plate={'7' * 65}", None, "в номере не больше 64 знаков, а здесь 65"),
        "entry": (
            entries,
            [{"pattern": "A*77"}],
            "в 'A*77' есть подстановочные знаки, в номере их не бывает; выберите вид «шаблон»",
        ),
        "expression": (
            entries,
            [{"pattern": "A(", "kind": "regex"}],
            "регулярное выражение 'A(' не годится: missing ): A(",
        ),
        "validity": (
            entries,
            [{"pattern": "A1", "valid_from": "2027-01-02T00:00:00Z", "valid_until": "2027-01-01T00:00:00Z"}],
            "'A1': конец раньше начала",
        ),
        "list": ("/v1/lists", {"name": "residents", "kind": "allow"}, "список 'residents' уже есть; возьмите другое имя"),
        "list's name": ("/v1/lists", {"name": "(a", "kind": "allow"}, f"{letters} '(a'"),
        "list's kind": ("/v1/lists", {"name": "a", "kind": "!"}, f"{letters} '!'"),
        "camera": (
            "/v1/cameras",
            {"name": "Въезд 1", "source": "0"},
            "в имени камеры латинские буквы, цифры, - и _, первой — буква или цифра; а здесь 'Въезд 1'",
        ),
        "camera's long name": ("/v1/cameras", {"name": "a" * 33, "source": "0"}, "в имени не больше 32 знаков, а здесь 33"),
        "table": ("/v1/register/import", b"number,make\nA1,Lada\n", "в первой строке нужен столбец plate и ни одного дважды; а здесь: number, make"),
        "encoding": ("/v1/register/import", "plate\nА1\n".encode("cp1251"), "файл не в UTF-8; сохраните его как CSV UTF-8"),
    }


@pytest.mark.parametrize("name", refusals())
def test_frequent_refusals_are_told_in_both_languages(service: Running, name: str) -> None:
    path, body, russian = refusals()[name]
    words = refused_by_the_service(service, path, body)
    assert refusal_reason(words, RUSSIAN) == russian
    assert refusal_reason(words, ENGLISH) not in (words, russian)


def test_a_refusal_that_the_page_does_not_know_stays_as_it_is() -> None:
    assert refusal_reason("the moon is full", RUSSIAN) == "the moon is full"
