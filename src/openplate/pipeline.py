"""The whole flow on one screen: image → detections → crops → readings → plates."""

from __future__ import annotations

import copy
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import ROUND_FLOOR, Decimal
from numbers import Real
from os import PathLike
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from openplate.detect.detector import Detects, Seen
from openplate.detect.open import open_detector
from openplate.end_to_end import PARTS, joined_report, open_end_to_end, part_beside, sample_features
from openplate.engine import check_threads
from openplate.errors import ConfigError, SourceError
from openplate.formats import load_formats
from openplate.geometry import box_to_quad, grow_quad, quad_iou, quad_size
from openplate.read.decode import Decoder
from openplate.read.reader import Reader
from openplate.rectify import rectify
from openplate.sources import read_image
from openplate.straighten import Straightener
from openplate.types import MODELS, Crop, Detection, EngineReport, Frame, Image, Milliseconds, PhotoResult, Plate, Quad, Reading
from openplate.weights import as_shipped, detector_path, network_path, reader_path, straightener_path

SURE = 0.98
"""A reading at least this sure from one crop is not looked at again."""
HOPELESS = 0.03
"""A reading less sure than this after one look is not helped by others; most are no plates."""
LOOKS = ((0.03, 0.08), (-0.02, -0.06), (0.0, 0.0))
"""Margins by which the quad is changed for further looks at a plate that was not read surely; the last one is the detector's own quad."""
BELIEVED = 0.95
"""Least confidence of a reading that makes a plate of a faint detection."""
TEXTLESS = 0.5
"""A detection in which no text is seen is reported from this detection confidence on; most of the fainter ones are windows, lamps and signs."""
TEXTLESS_WIDE = 0.85
"""The same for detections wider than `WIDE`: in a plate of that size there would be something to read."""
WIDE = 0.3
"""As a part of the picture's longer side."""


View = tuple[NDArray[Any], ...]
"""What the reader's network takes of one plate."""


def _as_texts(name: str, value: object) -> tuple[str, ...]:
    """The codes "ru,kz" or ["ru", "kz"], a folder or several, as texts."""
    if isinstance(value, str) and name != "formats":
        return tuple(code.strip() for code in value.split(",") if code.strip())
    entries = [value] if isinstance(value, (str, PathLike)) else value
    if not isinstance(entries, Iterable) or not all(isinstance(entry, (str, PathLike)) for entry in entries):
        raise ConfigError(f"{name}: expected {'folders' if name == 'formats' else 'codes such as ru,kz'}, got {value!r}")
    return tuple(str(entry) for entry in entries)


@dataclass(frozen=True, slots=True)
class Options:
    """How to read.

    `country` is a soft hint, `only` a strict one (codes such as "ru"); plates under `min_confidence` are unreadable; `engine`, `device`, `precision`
    and `threads` as in `openplate.engine.open_network`; `detector` and `reader` replace the shipped weights; `formats` are folders with further
    format files. `model` is one of `MODELS`: "end-to-end" finds and reads with one network; `detector` then replaces it, and is its first file.
    `all_detections` reports faint and outsized detections without text too.

    Codes may come as one text too, "ru,kz", and `formats` as one folder; they are kept as tuples.

    Raises:
        ConfigError: the codes, a file or a folder are no texts, `min_confidence` is no number from 0 to 1, or `threads` no whole number from 1 on.
    """

    country: Sequence[str] = ()
    only: Sequence[str] = ()
    min_confidence: float = 0.5
    engine: str = "auto"
    device: str = "cpu"
    precision: str = "auto"
    threads: int = 1
    detector: Path | None = None
    reader: Path | None = None
    formats: Sequence[str] = ()
    model: str = MODELS[0]
    all_detections: bool = False

    def __post_init__(self) -> None:
        for name in ("country", "only", "formats"):
            object.__setattr__(self, name, _as_texts(name, getattr(self, name)))
        for name in ("detector", "reader"):
            path = getattr(self, name)
            if path is not None and not isinstance(path, (str, PathLike)):
                raise ConfigError(f"{name}: expected the path of an .onnx file, got {path!r}")
            object.__setattr__(self, name, None if path is None else Path(path))
        least = self.min_confidence
        if isinstance(least, bool) or not isinstance(least, Real) or not 0 <= least <= 1:
            raise ConfigError(f"min_confidence: expected 0 to 1, got {least!r}")
        check_threads(self.threads)


class Pipeline:
    """Reads plates in images, as `options` say; the keyword arguments change single options: `Pipeline(country="ru,kz", threads=2)`.

    Raises:
        ConfigError: an option is out of range, or there is no such model.
        FormatError: a country code or a format file is wrong.
        WeightsError: a weights file is missing or of another kind, or one of the package is damaged.
        EngineError: the engine, device or precision is not available.
    """

    def __init__(
        self,
        options: Options = Options(),
        *,
        country: str | Sequence[str] | None = None,
        only: str | Sequence[str] | None = None,
        min_confidence: float | None = None,
        engine: str | None = None,
        precision: str | None = None,
        threads: int | None = None,
        model: str | None = None,
    ) -> None:
        given = {"min_confidence": min_confidence, "engine": engine, "precision": precision, "threads": threads, "model": model}
        changes: dict[str, Any] = {name: value for name, value in (given | {"country": country, "only": only}).items() if value is not None}
        options = replace(options, **changes)
        if options.model not in MODELS:
            raise ConfigError(f"model: expected one of {', '.join(MODELS)}, got {options.model!r}")
        self.options = options
        self._formats = formats = load_formats(*options.formats)
        run = (options.engine, options.device, options.precision, options.threads)
        self._detector: Detects
        if options.model == "end-to-end":
            if options.reader is not None:
                raise ConfigError("reader: one network for all reads by itself; leave reader out, or give the network's first file as detector")
            path = options.detector or as_shipped(network_path("end-to-end"))
            if options.detector is None:
                for part in PARTS:
                    as_shipped(part_beside(path, part))
            self._detector, self._straightener, self._reader = open_end_to_end(path, formats, options.country, options.only, *run)
            self.engine: EngineReport = joined_report((self._detector.report, self._reader.report))
        else:
            self._detector = open_detector(options.detector or as_shipped(detector_path()), *run)
            self._straightener = Straightener(as_shipped(straightener_path()), *run)
            self._reader = Reader(options.reader or as_shipped(reader_path()), formats, options.country, options.only, *run)
            self.engine = self._reader.report

    def hinting(self, country: Sequence[str] = (), only: Sequence[str] = (), min_confidence: float = 0.5) -> Pipeline:
        """A pipeline with other hints, which shares this one's networks: made in a tenth of a second.

        Raises:
            ConfigError: `min_confidence` is not within 0-1.
            FormatError: a country code is wrong.
        """
        other = copy.copy(self)
        other.options = options = replace(self.options, country=country, only=only, min_confidence=min_confidence)
        if options.country != self.options.country or options.only != self.options.only:
            other._reader = self._reader.hinting(self._formats, options.country, options.only)
        return other

    def read(self, source: Image | Path | str | bytes) -> list[Plate]:
        """The plates of an image `(H, W, 3) uint8 RGB`, of a file, or of a file's content as bytes (its first frame).

        Raises:
            SourceError: the file cannot be read, the array is not an image, or the source is something else.
        """
        if isinstance(source, np.ndarray):
            if source.ndim != 3 or source.shape[2] != 3 or source.dtype != np.uint8 or min(source.shape[:2]) < 8:
                raise SourceError(f"expected an image as (H, W, 3) uint8 RGB of at least 8 px, got {source.shape} {source.dtype}")
            frame = Frame(source, "")
        elif isinstance(source, (str, PathLike, bytes)):
            frame = read_image(source)[0]
        else:
            raise SourceError(f"expected a path or an image (H, W, 3) uint8 RGB, got {type(source).__name__}; read several pictures one by one")
        return list(self.read_frame(frame).plates)

    def read_frame(self, frame: Frame, decode_ms: float = 0.0) -> PhotoResult:
        """Everything that one frame gives; `decode_ms` is passed on into the times."""
        cv2.setNumThreads(self.options.threads)
        started = time.perf_counter()
        seen = self._detector.see(frame.image)
        detections = self._apart(seen.candidates)
        detected = time.perf_counter()
        refined = [self.straighten(frame.image, d.quad) for d in detections]
        views = [_view(frame.image, seen, quad) for quad in refined]
        rectified = time.perf_counter()
        plates = [
            self._plate(Detection(quad, d.confidence), self._read(frame.image, seen, quad, d.quad, view))
            for d, quad, view in zip(detections, refined, views, strict=True)
        ]
        plates = self._worth_reporting([p for p in plates if self._is_believed(p)], frame.image)
        times = Milliseconds(decode_ms, *(1000 * (b - a) for a, b in ((started, detected), (detected, rectified), (rectified, time.perf_counter()))))
        return PhotoResult(frame.source, frame.image.shape[1], frame.image.shape[0], tuple(plates), self.engine, times)

    def read_frames(self, frames: Sequence[Frame]) -> list[PhotoResult]:
        """As `read_frame` for each; a frame's result does not depend on the others."""
        return [self.read_frame(frame) for frame in frames]

    def read_cropped(self, frame: Frame, decode_ms: float = 0.0) -> PhotoResult:
        """Reads a picture that is a plate already, with little or nothing around it; its quad is the picture's corners.

        Whether the picture is cut close or has a margin to be straightened away is not known: it is read both ways, and the surer reading counts.
        """
        cv2.setNumThreads(self.options.threads)
        started = time.perf_counter()
        height, width = frame.image.shape[:2]
        corners = box_to_quad(0, 0, width, height)
        seen = self._seen(frame.image)
        detected = time.perf_counter() if seen.features else started
        straight = self.straighten(frame.image, corners)
        quads = (corners,) if np.array_equal(straight, corners) else (corners, straight)
        views = [_view(frame.image, seen, quad) for quad in quads]
        rectified = time.perf_counter()
        readings = [self._read(frame.image, seen, quad, corners, view) for quad, view in zip(quads, views, strict=True)]
        reading = max(readings, key=lambda r: r.confidence)
        times = Milliseconds(decode_ms, *(1000 * (b - a) for a, b in ((started, detected), (detected, rectified), (rectified, time.perf_counter()))))
        return PhotoResult(frame.source, width, height, (self._plate(Detection(corners, 1.0), reading),), self.engine, times)

    def read_quads(self, image: Image, quads: Sequence[Quad]) -> list[Reading]:
        """The readings of given quads, which are straightened and read as detections are."""
        seen = self._seen(image)
        readings = []
        for coarse in quads:
            quad = self.straighten(image, coarse)
            readings.append(self._read(image, seen, quad, coarse, _view(image, seen, quad)))
        return readings

    def detect(self, image: Image) -> list[Detection]:
        """The detections of an image, the most confident first."""
        return self._detector(image)

    @property
    def decoder(self) -> Decoder:
        """Decodes the reader's log-probabilities over the formats: of one look, or of several looks together."""
        return self._reader.decoder

    def log_probabilities(self, crop: Crop) -> NDArray[np.float32]:
        """What the reader says of one crop, `(T, K)` log-probabilities.

        Raises:
            ConfigError: one network does it all, which reads in an image's features and not in crops alone.
        """
        if self.options.model == "end-to-end":
            raise ConfigError('model: "end-to-end" reads whole images and no crops, so it follows no plates through video; take "two-stage"')
        return self._reader.log_probabilities(crop)

    def straighten(self, image: Image, quad: Quad) -> Quad:
        """A detection's quad with its corners corrected; the quad itself where the correction is no plausible plate."""
        refined = self._straightener(image, quad)
        return refined if _plausible(refined, quad) else quad

    def _seen(self, image: Image) -> Seen:
        """What the detector sees where the reader needs it; where it reads crops alone, an image whose places are known needs no look."""
        return self._detector.see(image) if self.options.model == "end-to-end" else Seen([])

    def _read(self, image: Image, seen: Seen, quad: Quad, coarse: Quad, view: View) -> Reading:
        """One look; where it is not sure, further looks through slightly different quads, all decoded together."""
        first = self._reader.log_probabilities(*view)
        reading = self._reader.decoder.decode([first])
        if not _is_unsure(reading):
            return reading
        others = [_view(image, seen, grow_quad(q, *margin)) for q, margin in zip((quad, quad, coarse), LOOKS, strict=True)]
        return self._reader.decoder.decode([first, *(self._reader.log_probabilities(*other) for other in others)])

    def _apart(self, candidates: Sequence[Detection]) -> list[Detection]:
        """The detections, and the fainter ones that lie on none of them."""
        sure = [d for d in candidates if d.confidence >= self._detector.threshold]
        return sure + [d for d in candidates[len(sure) :] if not any(quad_iou(d.quad, other.quad) > 0 for other in sure)]

    def _is_believed(self, plate: Plate) -> bool:
        """Whether a plate was detected, or faintly detected and surely read as digits and letters in a tight format: so are plates among large
        lettering."""
        if plate.detection.confidence >= self._detector.threshold:
            return True
        text, confidence = plate.reading.text, plate.reading.confidence
        has_both = any(c.isdigit() for c in text) and any(c.isalpha() for c in text)
        return confidence >= BELIEVED and has_both and self.decoder.is_tight(text, plate.reading.lines)

    def _worth_reporting(self, plates: Sequence[Plate], image: Image) -> list[Plate]:
        """The plates with a text, and of those without one the sure detections."""

        def least(plate: Plate) -> float:
            return TEXTLESS_WIDE if quad_size(plate.detection.quad)[0] > WIDE * max(image.shape[:2]) else TEXTLESS

        return [p for p in plates if self.options.all_detections or p.reading.text or p.detection.confidence >= least(p)]

    def _plate(self, detection: Detection, reading: Reading) -> Plate:
        if not reading.text:
            # With a strict choice the reader is asked for nothing else: what stands there may well be a text of another country.
            only = ",".join(self.options.only).lower()
            reason = f"no text that only {only} allows was found" if only else "no text was found"
            return Plate("unreadable", None, reason, detection, reading)
        if reading.confidence < self.options.min_confidence:
            width, height = quad_size(detection.quad)
            reason = _unsure(reading.confidence, self.options.min_confidence)
            if height < 12:
                reason += f"; the plate is small ({width:.0f} × {height:.0f} px)"
            return Plate("unreadable", None, reason, detection, reading)
        return Plate("read", reading.text, None, detection, reading)


def _view(image: Image, seen: Seen, quad: Quad) -> View:
    """What a reader sees through a quad: the plate's crop, and the features that the detector saw there, if it gives any."""
    return rectify(image, quad), *sample_features(seen, quad)


def _is_unsure(reading: Reading) -> bool:
    """Whether further looks at a plate may help its reading."""
    return HOPELESS <= reading.confidence < SURE


def _unsure(confidence: float, least: float) -> str:
    """`least` whole, with two digits or all it has; the confidence cut to as many digits and never rounded up: it always reads as the lower one."""
    whole = max(f"{least:.2f}", f"{Decimal(str(float(least))):f}", key=len)
    return f"confidence {Decimal(str(float(confidence))).quantize(Decimal(whole), ROUND_FLOOR):f} is under {whole}"


def _plausible(refined: Quad, coarse: Quad) -> bool:
    """Whether a corrected quad is convex and has between 0.4 and 2.5 times the area of the coarse one."""
    if not np.isfinite(refined).all() or not cv2.isContourConvex(refined.reshape(4, 1, 2).astype(np.float32)):
        return False
    ratio = float(cv2.contourArea(refined)) / max(1.0, float(cv2.contourArea(np.ascontiguousarray(coarse, dtype=np.float32))))
    return 0.4 < ratio < 2.5
