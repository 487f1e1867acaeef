"""`POST /v1/read`: the library's results by HTTP."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from openplate.pipeline import Pipeline
from openplate.results import photo_as_json
from openplate.sources import read_image
from tests.serve.running import photo, plate_text


def texts(answer: httpx.Response) -> list[list[str]]:
    assert answer.status_code == 200, answer.text
    return [[plate["text"] for plate in one["plates"] if plate["status"] == "read"] for one in answer.json()]


def without_times(result: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in result.items() if key != "milliseconds"}


def test_picture_as_body_gives_what_the_library_gives(client: httpx.Client) -> None:
    answer = client.post("/v1/read", content=photo(), headers={"Content-Type": "image/jpeg"})
    (expected,) = [Pipeline().read_frame(frame) for frame in read_image(photo(), name="upload")]
    assert [without_times(one) for one in answer.json()] == [without_times(photo_as_json(expected))]
    assert texts(answer) == [[plate_text()]]


@pytest.mark.parametrize("kind", ["application/octet-stream", "application/x-www-form-urlencoded", ""])
def test_picture_as_body_is_read_whatever_its_type_is_called(client: httpx.Client, kind: str) -> None:
    assert texts(client.post("/v1/read", content=photo(), headers={"Content-Type": kind})) == [[plate_text()]]


def test_several_files_give_an_object_each_in_their_order(client: httpx.Client) -> None:
    files = [("file", ("b.png", photo(".png"))), ("file", ("a.jpg", photo()))]
    answer = client.post("/v1/read", files=files)
    assert [one["image"] for one in answer.json()] == ["b.png", "a.jpg"]
    assert texts(answer) == [[plate_text()], [plate_text()]]


def test_damaged_file_among_others_gives_its_error_beside_their_results(client: httpx.Client) -> None:
    first, second = client.post("/v1/read", files=[("file", ("cut.jpg", photo()[:900])), ("file", ("whole.jpg", photo()))]).json()
    assert first["image"] == "cut.jpg" and first["error"].startswith("cut.jpg: expected a whole JPEG picture")
    assert [plate["text"] for plate in second["plates"] if plate["status"] == "read"] == [plate_text()]


def test_only_damaged_files_are_an_error(client: httpx.Client) -> None:
    answer = client.post("/v1/read", files=[("file", ("cut.jpg", photo()[:900])), ("file", ("empty.jpg", b""))])
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith("cut.jpg: expected a whole JPEG picture")


def test_annotate_gives_the_picture_with_the_plate_marked(client: httpx.Client) -> None:
    answer = client.post("/v1/read?annotate=1", content=photo(), headers={"Content-Type": "image/jpeg"})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/jpeg")
    before, after = read_image(photo())[0].image, read_image(answer.content)[0].image
    assert before.shape == after.shape
    assert 0 < (abs(before.astype(int) - after).max(axis=2) > 60).mean() < 0.1


def test_annotate_takes_one_picture(client: httpx.Client) -> None:
    answer = client.post("/v1/read?annotate=1", files=[("file", ("a.jpg", photo())), ("file", ("b.jpg", photo()))])
    assert (answer.status_code, answer.json()["detail"]) == (422, "annotate gives one picture, got 2 files; send them one by one")


@pytest.mark.parametrize("where", ["params", "data"])
@pytest.mark.parametrize(("only", "read"), [("ru", True), ("kz", False)])
def test_strict_country_is_kept_to_in_the_address_and_in_the_form(client: httpx.Client, where: str, only: str, read: bool) -> None:
    options: Any = {where: {"only": only}}
    answer = client.post("/v1/read", files={"file": ("a.jpg", photo())}, **options)
    assert texts(answer) == [[plate_text()] if read else []]


def test_clients_with_other_hints_do_not_change_each_others_results(client: httpx.Client) -> None:
    for _ in range(2):
        client.post("/v1/read?only=kz&min_confidence=0", content=photo())
        assert texts(client.post("/v1/read", content=photo())) == [[plate_text()]]


def test_threshold_makes_plates_unreadable(client: httpx.Client) -> None:
    (result,) = client.post("/v1/read?min_confidence=1", content=photo()).json()
    assert {plate["status"] for plate in result["plates"]} == {"unreadable"}
    assert plate_text() in [candidate["text"] for plate in result["plates"] for candidate in plate["candidates"]]


def test_cropped_picture_is_one_plate(client: httpx.Client) -> None:
    (result,) = client.post("/v1/read?cropped=true", content=photo()).json()
    assert [plate["quad"] for plate in result["plates"]] == [[[0, 0], [960, 0], [960, 540], [0, 540]]]


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("country=xx", "country 'XX' is not known"),
        ("only=ru&country=kz", "country hint KZ contradicts the strict choice RU"),
        ("min_confidence=1.5", "expected at most 1"),
        ("min_confidence=nan", "min_confidence"),
        ("colour=red", "there is no such parameter"),
        ("cropped=perhaps", "expected true or false"),
    ],
)
def test_wrong_option_is_told(client: httpx.Client, query: str, told: str) -> None:
    answer = client.post(f"/v1/read?{query}", content=photo())
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert told in answer.json()["detail"]


def test_unknown_field_of_the_form_is_told(client: httpx.Client) -> None:
    answer = client.post("/v1/read", files={"file": ("a.jpg", photo())}, data={"contry": "ru"})
    assert (answer.status_code, answer.json()["detail"]) == (
        422,
        "fields of the form: contry: there is no such parameter; expected some of annotate, country, cropped, min_confidence, only, url; did you mean country?",
    )


@pytest.mark.parametrize("name", ["../../etc/passwd", "C:\\boot.ini", "/tmp/passwd", "a\r\nb/passwd"])
def test_client_file_name_is_shown_without_folders(client: httpx.Client, name: str) -> None:
    (result,) = client.post("/v1/read", files={"file": (name, photo())}).json()
    assert result["image"] in ("passwd", "boot.ini")


def test_address_is_not_fetched_unless_the_service_allows_it(client: httpx.Client) -> None:
    answer = client.post("/v1/read", params={"url": "http://127.0.0.1:9/a.jpg"})
    assert answer.status_code == 403
    assert "--allow-url" in answer.json()["detail"]
