"""CCPD (Chinese City Parking Dataset) in, rows out: everything stands in the file name.

Layout: `025-95_113-154&383_386&473-386&473_177&454_154&383_363&402-0_0_22_27_27_33_16-37-15.jpg` is, between hyphens: area, tilt, the box, the four
corners beginning with the lower right one and going on to the lower left, upper left and upper right, the text as indices into three lists (province,
letter, letter or digit; `O` stands for no character), brightness, blur. Eight indices are a plate of CCPD-Green. Sub-folders are `ccpd_base`, `ccpd_blur`
and so on, `ccpd_green/train`, `/val` and `/test`; pictures of `ccpd_np` show no plate and have plain names. `splits/train.txt`, `val.txt` and `test.txt`
name the sides of the split; the repository's `split/ccpd_blur.txt`, `ccpd_db.txt`, `ccpd_fn.txt`, `ccpd_rotate.txt` and `ccpd_tilt.txt` (and
`ccpd_challenge.txt`) name what is tested on.
Sources: Xu et al., Towards End-to-End License Plate Detection and Recognition, ECCV 2018; github.com/detectRecog/CCPD, README.md.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from openplate.data.rows import Hints, Mark, Points, Row, part_of, pictures
from openplate.dataset import Fault

PROVINCES = "皖沪津渝冀晋蒙辽吉黑苏浙京闽赣鲁豫鄂湘粤桂琼川贵云藏陕甘青宁新警学O"
LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZO"
LETTERS_AND_DIGITS = "ABCDEFGHJKLMNPQRSTUVWXYZ0123456789O"
_NO_CHARACTER = "O"
_NO_PLATE = "ccpd_np"
_NAME = re.compile(r"\d+-\d+_\d+-(?P<box>[\d&_]+)-(?P<corners>[\d&_]+)-(?P<text>\d+(?:_\d+){6,7})-\d+-\d+")


def read(source: Path, hints: Hints) -> Iterator[Row | Fault]:
    """One row a picture.

    Raises:
        DatasetError: there is no picture.

    """
    sides = _sides(source)
    for path in pictures(source):
        if isinstance(path, Fault):
            yield path
            continue
        relative = path.relative_to(source)
        part = part_of(relative) or sides.get(f"{path.parent.name}/{path.name}", "")
        if path.parent.name == _NO_PLATE:
            yield Row(part, path, str(relative), ())
            continue
        try:
            text, corners = parse_name(path.stem)
        except ValueError as error:
            yield Fault(str(relative), str(error))
        else:
            yield Row(part, path, str(relative), (Mark(text, "CN", corners, ordered=True),))


def parse_name(stem: str) -> tuple[str, Points]:
    """The text and the corners, TL TR BR BL in px, of a file name without its suffix.

    Raises:
        ValueError: the name does not have the form, or an index stands for no character.

    """
    match = _NAME.fullmatch(stem)
    corners = [pair.split("&") for pair in match["corners"].split("_")] if match else []
    if match is None or len(corners) != 4 or any(len(pair) != 2 or not all(pair) for pair in corners):
        raise ValueError("expected a file name of area-tilt-box-corners-text-brightness-blur")
    lower_right, lower_left, upper_left, upper_right = ((float(x), float(y)) for x, y in corners)
    indices = [int(index) for index in match["text"].split("_")]
    alphabets = [PROVINCES, LETTERS, *[LETTERS_AND_DIGITS] * (len(indices) - 2)]
    text = "".join(alphabet[index] if index < len(alphabet) else _NO_CHARACTER for alphabet, index in zip(alphabets, indices, strict=True))
    if _NO_CHARACTER in text:
        raise ValueError(f"expected indices of characters, got {match['text']}")
    return text, (upper_left, upper_right, lower_right, lower_left)


def _sides(source: Path) -> dict[str, str]:
    """`folder/name` of a picture → its side. Where lists disagree, train.txt, val.txt and test.txt know better than those of a sub-folder."""
    sides: dict[str, str] = {}
    for part, name in (("test", "ccpd_*"), ("train", "train"), ("val", "val"), ("test", "test")):
        for folder in ("splits", "split", "*/splits", "*/split"):
            for file in sorted(source.glob(f"{folder}/{name}.txt")):
                for line in file.read_text(encoding="utf8", errors="replace").splitlines():
                    sides["/".join(line.strip().split("/")[-2:])] = part
    return sides
