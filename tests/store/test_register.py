"""Importing vehicles, and finding a sighting's."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from openplate.errors import StoreError
from openplate.store import Fault, Store, Vehicle
from tests.store.conftest import sighting

HEADER = "plate,make,model,colour,owner,permit_until\n"


def test_rows_are_imported_and_faulty_ones_are_listed_by_line(store: Store) -> None:
    csv = HEADER + (
        "A123BC77,Lada,Vesta,white,flat 12,2027-03-31\n"
        ",Lada,,,,\n"
        "B456BC77,Kia,Rio,red,flat 13,31.02.2027\n"
        "C789BC77,Kia\n"
        "а 123 вс 77,Skoda,,,,\n"
        "\n"
        'E001KX77,"Opel ""Astra""",,"light\nblue",flat 14,2027-03-31T18:00+03:00\n'
        "E002KX77,,,,,2027-03-31T18:00\n"
        "E*02KX77,,,,,\n"
        "E003KX77,,,,,\n"
    )
    result = store.register.import_csv(csv.encode())
    assert (result.added, result.updated, result.unchanged) == (3, 0, 0)
    assert [(fault.line, fault.reason.split(":")[0].split(",")[0]) for fault in result.faults] == [
        (3, "the plate is empty"),
        (4, "permit_until"),
        (5, "expected 6 cells as in the first line"),
        (6, "plate A123BC77 is in line 2 already"),
        (10, "permit_until"),
        (11, "expected a plate without wildcards"),
    ]
    assert store.register.get("a123bc77") == Vehicle("A123BC77", "Lada", "Vesta", "white", "flat 12", datetime(2027, 4, 1, tzinfo=UTC))
    assert store.register.get("E001KX77") == Vehicle("E001KX77", 'Opel "Astra"', "", "light\nblue", "flat 14", datetime(2027, 3, 31, 15, tzinfo=UTC))
    assert [v.plate for v in store.register.page()] == ["A123BC77", "E001KX77", "E003KX77"]


def test_importing_again_updates_only_the_files_columns(store: Store) -> None:
    store.register.import_csv((HEADER + "A1,Lada,Vesta,white,flat 12,2027-03-31\nB2,Kia,Rio,red,flat 13,\n").encode())
    result = store.register.import_csv(b"plate;colour\nA1;black\nB2;red\nC3;blue\n")
    assert (result.added, result.updated, result.unchanged, result.faults) == (1, 1, 1, ())
    assert store.register.get("A1") == Vehicle("A1", "Lada", "Vesta", "black", "flat 12", datetime(2027, 4, 1, tzinfo=UTC))


def test_spreadsheets_habits_are_understood(store: Store) -> None:
    result = store.register.import_csv(
        "\ufeffPlate\tColor\tPermit until\tOwner reference\tParking\r\nA1\tчёрный\t31.03.2027\tкв. 12\tP4\r\n".encode()
    )
    assert (result.added, result.ignored_columns) == (1, ("parking",))
    assert store.register.get("A1") == Vehicle("A1", colour="чёрный", owner="кв. 12", permit_until=datetime(2027, 4, 1, tzinfo=UTC))


def test_apostrophe_before_a_formula_is_taken_off(store: Store) -> None:
    store.register.import_csv(b"plate,make,owner\nA1,'=cmd,'+79991234567\nB2,''=cmd,'s-Hertogenbosch\nC3,=cmd,-\n")
    assert [(one.make, one.owner) for one in store.register.page()] == [("=cmd", "+79991234567"), ("'=cmd", "'s-Hertogenbosch"), ("=cmd", "-")]


def test_spaces_around_a_value_are_not_kept(store: Store) -> None:
    assert store.register.put(Vehicle("A1", " Lada ", owner="flat 12\t")) == Vehicle("A1", "Lada", owner="flat 12")


def test_file_with_plates_alone_can_be_imported_twice(store: Store) -> None:
    assert store.register.import_csv(b"plate\nA1\nB2\n").added == 2
    assert store.register.import_csv(b"plate\nA1\nB2\n").unchanged == 2


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "expected a first line with the columns plate, make"),
        (b"make,model\nLada,Vesta\n", "got: make, model"),
        (b"plate,colour,color\nA1,red,blue\n", "none twice"),
        ("plate,make\nA1,Лада\n".encode("cp1251"), "expected a CSV file in UTF-8, byte 14 is not"),
    ],
)
def test_file_that_is_no_register_is_refused(data: bytes, message: str, store: Store) -> None:
    with pytest.raises(StoreError, match=message):
        store.register.import_csv(data)
    assert store.register.page() == []


def test_value_that_is_too_long_is_a_fault(store: Store) -> None:
    result = store.register.import_csv(f"plate,make\nA1,{'x' * 201}\nB2,Kia\n".encode())
    assert result.faults == (Fault(2, "make: expected at most 200 characters without NUL, got 201"),)
    assert result.added == 1


def test_thousand_rows_are_imported(store: Store) -> None:
    rows = [f"A{n:04},Lada" for n in range(1200)]
    assert store.register.import_csv(("plate,make\n" + "\n".join(rows)).encode()).added == 1200
    assert [v.plate for v in store.register.page(after="A0500", size=2)] == ["A0501", "A0502"]


def test_sighting_comes_with_its_vehicle(store: Store) -> None:
    store.register.put(Vehicle("A123BC77", "Lada", permit_until=datetime(2027, 4, 1, tzinfo=UTC)))
    match = store.add(sighting(1, "A123BC77", 0.9)).sighting.vehicle
    assert match is not None
    assert (match.vehicle.make, match.probability) == ("Lada", 0.9)
    assert store.add(sighting(2, "B123BC77", 0.9)).sighting.vehicle is None


def test_register_speaks_for_earlier_sightings_too(store: Store) -> None:
    store.add(sighting(1, "A123BC77"))
    store.register.put(Vehicle("A123BC77", "Lada"))
    store.register.put(Vehicle("A123BC77", "Kia"))
    found = store.search().hits[0].sighting.vehicle
    assert found is not None
    assert found.vehicle.make == "Kia"
    store.register.remove("A123BC77")
    assert store.search().hits[0].sighting.vehicle is None


def test_vehicle_is_found_through_a_look_alike_and_through_a_candidate(store: Store) -> None:
    store.register.put(Vehicle("8"))
    store.register.put(Vehicle("A1"))
    # a character that is surely wrong is half the time its look-alike: 0.9 · 0.5 is under one half
    unsure = store.add(sighting(1, "B", 0.0)).sighting.vehicle
    assert unsure is None
    second = store.add(sighting(2, "A7", 0.3, candidates=(("A7", 0.3), ("A1", 0.6)))).sighting.vehicle
    assert second is not None
    assert (second.vehicle.plate, second.probability) == ("A1", 0.6)


def test_vehicle_that_is_not_there(store: Store) -> None:
    assert store.register.get("A1") is None
    with pytest.raises(StoreError, match="plate A1 is not in the register"):
        store.register.remove("A1")
    with pytest.raises(StoreError, match="time zone"):
        store.register.put(Vehicle("A1", permit_until=datetime(2027, 1, 1)))
