"""A picture of evidence in, the same picture without readable plates out: what `--privacy hash` keeps of frames."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from openplate.annotate import blur_plates
from openplate.read.decode import NOTHING
from openplate.sources import encode_image, read_image
from openplate.store import NewPicture
from openplate.store.model import Blur
from openplate.types import Detection, Image, Plate

_QUALITY = 90


def blur_detections(image: Image, detections: list[Detection]) -> Image:
    """A copy in which the plates of the detections cannot be read."""
    return blur_plates(image, [Plate("unreadable", None, None, detection, NOTHING) for detection in detections])


def evidence_blur(detect: Callable[[Image], list[Detection]]) -> Blur:
    """Makes frames keepable: the sighting's own plate and every other one that `detect` finds are blurred. Crops are not kept: a plate is all they show."""

    def blur(picture: NewPicture) -> NewPicture | None:
        if picture.quad is None:
            return None
        image = read_image(picture.data)[0].image
        blurred = blur_detections(image, [Detection(picture.quad, 1.0), *detect(image)])
        return replace(picture, data=encode_image(blurred, ".jpg", _QUALITY), media_type="image/jpeg")

    return blur
