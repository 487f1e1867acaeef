"""Image and plates in; an image with the plates marked, the plates cut out, or an image with the plates made unreadable out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import cv2
import numpy as np

from openplate.geometry import grow_quad, quad_size, quad_to_box
from openplate.rectify import MARGIN_X, MARGIN_Y
from openplate.types import Image, Plate, Quad

READ_COLOUR = (0, 130, 60)
UNREADABLE_COLOUR = (190, 70, 0)
_TEXT_COLOUR = (255, 255, 255)
_FONT = "sans"
"""Built into OpenCV 5; it has every character of the charset, provinces too, and its 0 is slashed."""
_FONT_WEIGHT = 600
_LABEL_FRACTION = 1 / 32
"""Height of a label's letters as a fraction of the image's shorter side."""
_SMALLEST_LABEL_PX = 12

_BLUR_MARGIN = (0.12, 0.25)
_BLUR_BLOCKS = (3, 1)
_BLUR_LEVELS = 8

_Box = tuple[int, int, int, int]


def annotate(image: Image, plates: Sequence[Plate]) -> Image:
    """A copy with each plate's quad and a label of text and confidence.

    What was read is green; what is unreadable is orange, its best candidate followed by a question mark. Lines and labels grow with the image,
    and a label never leaves it; in an image too small for its label there is none.
    """
    marked = image.copy()
    height, width = image.shape[:2]
    line_px = max(2, round(min(height, width) / 400))
    for plate in plates:
        cv2.polylines(marked, [np.round(plate.detection.quad).astype(np.int32)], True, _colour(plate), line_px, cv2.LINE_AA)
    font = cv2.FontFace(_FONT)
    taken: list[_Box] = []
    for plate in plates:
        text = _label(plate)
        fitted = _fit(font, text, width, height)
        if fitted is None:
            continue
        size, rect, padding = fitted
        box = _place(plate.detection.quad, (rect[2] + 2 * padding, rect[3] + 2 * padding), (width, height), line_px, taken)
        taken.append(box)
        cv2.rectangle(marked, (box[0], box[1]), (box[2] - 1, box[3] - 1), _colour(plate), cv2.FILLED)
        cv2.putText(marked, text, (box[0] + padding - rect[0], box[1] + padding - rect[1]), _TEXT_COLOUR, font, size, _FONT_WEIGHT)
    return marked


def cut_plate(image: Image, plate: Plate) -> Image:
    """A plate in colour, seen from straight ahead in about its size in the image, with a small margin; `(h, w, 3) uint8 RGB`."""
    quad = grow_quad(plate.detection.quad, MARGIN_X, MARGIN_Y)
    width, height = (max(1, round(side)) for side in quad_size(quad))
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    homography = cv2.getPerspectiveTransform((quad - 0.5).astype(np.float32), corners - 0.5)
    crop = cv2.warpPerspective(image, homography, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(crop, np.uint8)


def blur_plates(image: Image, plates: Sequence[Plate]) -> Image:
    """A copy in which every plate, read or not, cannot be read again by anyone.

    Of each plate, margin included, only three coarse colours side by side are kept, smoothly joined: too little to find a text in.
    """
    blurred = image.copy()
    height, width = image.shape[:2]
    for plate in plates:
        quad = grow_quad(plate.detection.quad, *_BLUR_MARGIN)
        x0, y0, x1, y1 = quad_to_box(quad)
        left, top, right, bottom = max(0, int(x0)), max(0, int(y0)), min(width, int(x1) + 2), min(height, int(y1) + 2)
        if right <= left or bottom <= top:
            continue
        region = blurred[top:bottom, left:right]
        step = 256 // _BLUR_LEVELS
        blocks = cv2.resize(region, _BLUR_BLOCKS, interpolation=cv2.INTER_AREA) // step * step + step // 2
        smooth = cv2.resize(blocks, (right - left, bottom - top), interpolation=cv2.INTER_LINEAR)
        mask = np.zeros(region.shape[:2], np.uint8)
        hull = cv2.convexHull(np.round(quad - (left, top)).astype(np.int32))
        cv2.fillConvexPoly(mask, hull, 255)
        cv2.copyTo(smooth, mask, region)
    return blurred


def _colour(plate: Plate) -> tuple[int, int, int]:
    return READ_COLOUR if plate.status == "read" else UNREADABLE_COLOUR


def _label(plate: Plate) -> str:
    text = plate.text or f"{plate.reading.text}?"
    return f"{text} {int(100 * plate.reading.confidence + 1e-6)}%" if plate.reading.text else text


def _fit(font: cv2.FontFace, text: str, width: int, height: int) -> tuple[int, _Box, int] | None:
    """The font size, at most the image's own, at which the label fits into the image, the text's box `(x, y, width, height)` at the origin and the
    padding, in px; None when it fits at no size."""
    for size in range(max(_SMALLEST_LABEL_PX, round(min(height, width) * _LABEL_FRACTION)), 3, -1):
        padding = max(1, size // 4)
        x, y, w, h = cv2.getTextSize((0, 0), text, (0, 0), font, size, _FONT_WEIGHT)
        if w + 2 * padding <= width and h + 2 * padding <= height:
            return size, (x, y, w, h), padding
    return None


def _place(quad: Quad, label: tuple[int, int], image: tuple[int, int], gap_px: int, taken: Sequence[_Box]) -> _Box:
    """Where a label goes: above the quad, else below, else the first free place further up or down; always inside the image."""
    boxes = list(_places(quad, label, image, gap_px))
    return next((box for box in boxes if not any(_overlap(box, other) for other in taken)), boxes[0])


def _places(quad: Quad, label: tuple[int, int], image: tuple[int, int], gap_px: int) -> Iterator[_Box]:
    x0, y0, _, y1 = quad_to_box(quad)
    left = int(np.clip(round(x0), 0, max(0, image[0] - label[0])))
    lowest = max(0, image[1] - label[1])
    above, below = round(y0) - gap_px - label[1], round(y1) + gap_px + 1
    tops = [top for step in range(4) for top in (above - step * label[1], below + step * label[1]) if 0 <= top <= lowest]
    for top in tops or [int(np.clip(above, 0, lowest))]:
        yield left, top, left + label[0], top + label[1]


def _overlap(first: _Box, second: _Box) -> bool:
    return first[0] < second[2] and second[0] < first[2] and first[1] < second[3] and second[1] < first[3]
