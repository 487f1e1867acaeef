"""The register over HTTP: imported, looked up with a sighting, changed, exported, deleted."""

from __future__ import annotations

from dataclasses import replace

import httpx

from tests.serve.running import Running
from tests.store.conftest import sighting


def test_imported_vehicle_comes_with_its_sighting(depot: Running, clerk: httpx.Client) -> None:
    data = "plate;make;owner;permit until\nк001кк01;Lada;flat 1;31.03.2027\n;Kia;flat 2;\nK003KK03;Kia;flat 3;soon\n".encode()
    done = clerk.post("/v1/register/import", content=data, headers={"content-type": "text/csv"}).json()
    assert (done["added"], done["updated"], [fault["line"] for fault in done["faults"]]) == (1, 0, [3, 4])
    depot.service.store.add(replace(sighting(1, "K001KK01", camera="register"), id="register-1"))
    vehicle = clerk.get("/v1/sightings/register-1").json()["vehicle"]
    assert (vehicle["make"], vehicle["owner"], vehicle["permit_until"]) == ("Lada", "flat 1", "2027-04-01T00:00:00Z")
    assert vehicle["probability"] >= 0.9


def test_vehicle_is_put_found_exported_and_deleted(clerk: httpx.Client) -> None:
    made = clerk.put("/v1/register/к005кк05", json={"make": "=Kia", "owner": "flat 5", "permit_until": "2027-01-01T00:00:00+03:00"})
    assert made.json() == {
        "plate": "K005KK05", "make": "=Kia", "model": "", "colour": "", "owner": "flat 5", "permit_until": "2026-12-31T21:00:00Z",
    }  # fmt: skip
    assert clerk.get("/v1/register/K005KK05").json() == made.json()
    assert "K005KK05,'=Kia,,,flat 5,2026-12-31T21:00:00+00:00\r\n" in clerk.get("/v1/register.csv").text
    assert clerk.delete("/v1/register/K005KK05").status_code == 204
    assert clerk.delete("/v1/register/K005KK05").status_code == 404
    assert clerk.get("/v1/register/K005KK05").status_code == 404


def test_exported_file_is_imported_exactly_as_it_was(clerk: httpx.Client) -> None:
    owners = ["=cmd", "+79991234567", "@name", "-", "'=cmd", "''@", "'s-Hertogenbosch", 'a "b", c;\nd']
    for number, owner in enumerate(owners):
        clerk.put(f"/v1/register/R00{number}RR99", json={"owner": owner, "make": owner})
    exported = clerk.get("/v1/register.csv").content
    done = clerk.post("/v1/register/import", content=exported).json()
    assert (done["added"], done["updated"], done["faults"]) == (0, 0, [])
    for number in range(len(owners)):
        clerk.delete(f"/v1/register/R00{number}RR99")
    assert clerk.post("/v1/register/import", content=exported).json()["added"] == len(owners)
    kept = [clerk.get(f"/v1/register/R00{number}RR99").json() for number in range(len(owners))]
    assert [one["owner"] for one in kept] == owners
    assert [one["make"] for one in kept] == owners


def test_pages_go_through_all_vehicles_by_plate(clerk: httpx.Client) -> None:
    for number in range(3):
        clerk.put(f"/v1/register/P00{number}PP99", json={})
    first = clerk.get("/v1/register", params={"after": "P000", "size": 2}).json()
    assert ([one["plate"] for one in first["vehicles"]], first["next"]) == (["P000PP99", "P001PP99"], "P001PP99")
    second = clerk.get("/v1/register", params={"after": first["next"], "size": 2}).json()
    assert second["vehicles"][0]["plate"] == "P002PP99"


def test_file_that_is_no_csv_of_vehicles_is_refused(clerk: httpx.Client) -> None:
    assert clerk.post("/v1/register/import", content=b"\xff\xfe").status_code == 422
    assert "plate" in clerk.post("/v1/register/import", content=b"name,phone\nx,y\n").json()["detail"]
    assert clerk.post("/v1/register/import", files={"file": b"plate\nA1\n"}).status_code == 415
