from pathlib import Path

import pytest

from openplate.data.kinds.ccpd import parse_name
from tests.data.conftest import ReadKind, picture, written

README_NAME = "025-95_113-154&383_386&473-386&473_177&454_154&383_363&402-0_0_22_27_27_33_16-37-15"
"""The example of the data set's README, whose plate it shows as 皖AY339S."""
GREEN_NAME = "00373372395833333-90_267-207&445_282&471-282&471_208&471_207&446_281&445-0_0_3_25_30_24_24_32-77-17"


def test_name_of_the_readme_gives_text_and_corners_from_the_upper_left() -> None:
    assert parse_name(README_NAME) == ("皖AY339S", ((154, 383), (363, 402), (386, 473), (177, 454)))


def test_name_with_eight_indices_gives_a_new_energy_plate() -> None:
    assert parse_name(GREEN_NAME) == ("皖AD16008", ((207, 446), (281, 445), (282, 471), (208, 471)))


@pytest.mark.parametrize(
    ("situation", "name", "message"),
    [
        ("another name", "IMG_0001", "area-tilt-box-corners-text"),
        ("six indices", README_NAME.replace("0_0_22_27_27_33_16", "0_0_22_27_27_33"), "area-tilt-box-corners-text"),
        ("three corners", README_NAME.replace("386&473_177&454_154&383_363&402", "386&473_177&454_154&383"), "area-tilt"),
        ("corner without y", README_NAME.replace("177&454", "177&"), "area-tilt"),
        ("index of no character", README_NAME.replace("0_0_22", "33_0_22"), "indices of characters"),
        ("index beyond the list", README_NAME.replace("33_16", "33_99"), "indices of characters"),
    ],
)
def test_name_of_another_form_gives_error(situation: str, name: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_name(name)


def test_published_folders_give_rows_with_their_side(tmp_path: Path, read_kind: ReadKind) -> None:
    base = picture(tmp_path / "ccpd_base" / f"{README_NAME}.jpg")
    picture(tmp_path / "ccpd_blur" / f"{README_NAME.replace('-37-15', '-37-16')}.jpg")
    picture(tmp_path / "ccpd_np" / "1005.jpg")
    picture(tmp_path / "ccpd_green" / "test" / f"{GREEN_NAME}.jpg")
    picture(tmp_path / "ccpd_base" / "note.jpg")
    picture(tmp_path / "ccpd_tilt" / f"{README_NAME.replace('-37-15', '-37-17')}.jpg")
    written(tmp_path / "splits" / "train.txt", f"ccpd_base/{README_NAME}.jpg\n")
    written(tmp_path / "split" / "ccpd_blur.txt", f"ccpd_blur/{README_NAME.replace('-37-15', '-37-16')}.jpg\n")
    written(tmp_path / "split" / "ccpd_challenge.txt", f"ccpd_base/{README_NAME}.jpg\n")  # which train.txt knows better
    rows, faults = read_kind("ccpd", tmp_path)
    assert [(row.path.parent.name, row.part, [mark.text for mark in row.marks]) for row in rows] == [
        ("ccpd_base", "train", ["皖AY339S"]),
        ("ccpd_blur", "test", ["皖AY339S"]),
        ("test", "test", ["皖AD16008"]),
        ("ccpd_np", "", []),
        ("ccpd_tilt", "", ["皖AY339S"]),
    ]
    assert rows[0].path == base
    assert (rows[0].marks[0].country, rows[0].marks[0].ordered) == ("CN", True)
    assert [fault.where for fault in faults] == ["ccpd_base/note.jpg"]
