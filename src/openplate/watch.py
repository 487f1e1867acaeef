"""The flow of video on one screen: frame → followed quads → detections (now and then) → looks (where they tell something) → sightings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import cache, partial
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from openplate.annotate import cut_plate
from openplate.geometry import quad_size
from openplate.read.decode import NOTHING, Decoder
from openplate.rectify import rectify
from openplate.sources import encode_image
from openplate.track.follow import Picture, inside
from openplate.track.looks import PlateLook, look_weight, sharpness
from openplate.track.settings import DEFAULT_SETTINGS, WatchSettings, contains
from openplate.track.stir import Stir
from openplate.track.tracker import Tracker
from openplate.types import Crop, Detection, Frame, Image, Plate, Quad, SightingEvent, Track, WatchCounts

DEFAULT_FPS = 25.0
"""Of frames that carry no times."""
_TICK_S = 1e-3
_PATIENCE, _LONGEST = 1.25, 4
"""By how much the detector waits longer after each look at a picture in which nothing moves and no plate is, and at most, in `idle_s`."""
_JPEG_QUALITY = 90


class PlateReader(Protocol):
    """What watching needs of `openplate.pipeline.Pipeline`."""

    @property
    def decoder(self) -> Decoder:
        """Decodes what the reader says."""
        ...

    def detect(self, image: Image) -> list[Detection]:
        """The detections of an image."""
        ...

    def straighten(self, image: Image, quad: Quad) -> Quad:
        """A detection's quad with its corners corrected."""
        ...

    def log_probabilities(self, crop: Crop) -> NDArray[np.float32]:
        """What the reader says of a crop."""
        ...


class Watcher:
    """Makes sightings of the frames of one stream, given in order; `name` begins their ids (`name-1`, `name-2`, ...); `joined` is called with the id of
    what turned out to be part of an earlier sighting, and that one's."""

    def __init__(
        self, pipeline: PlateReader, settings: WatchSettings = DEFAULT_SETTINGS, name: str = "", joined: Callable[[str, str], None] | None = None
    ) -> None:
        self.settings = settings
        self._pipeline = pipeline
        self._tracker = Tracker(pipeline.decoder, settings, f"{name}-" if name else "", joined)
        self._stir = Stir()
        self._time_s = -_TICK_S
        self._detected_s: float | None = None
        self._idle_s = settings.idle_s
        self._frames = self._detector_runs = self._straightener_runs = self._reader_runs = 0
        self._left_out: Counter[str] = Counter()
        self._picture: bytes | None = None

    def feed(self, frame: Frame) -> list[SightingEvent]:
        """Take the next frame in; what is new, most often nothing.

        Frames without times are taken for 25 a second; a time that goes back counts as no time passed.
        """
        cv2.setNumThreads(1)
        given_s = frame.index / DEFAULT_FPS if frame.time_s is None else frame.time_s
        self._time_s = max(given_s, self._time_s + _TICK_S)
        picture = frame.picture
        self._frames += 1
        self._picture = None
        self._tracker.follow(picture, self._time_s)
        look = partial(self._look, frame)
        self._stir.add(picture, self._time_s)
        if self._is_detection_due():
            self._detector_runs += 1
            self._detected_s = self._time_s
            moves = self._stir.something
            self._stir.clear()
            detections = [d for d in self._pipeline.detect(frame.image) if self._is_wanted(d, picture)]
            self._tracker.detect(detections, self._time_s, picture, look)
            is_empty = not (moves or self._tracker.live)
            self._idle_s = min(_PATIENCE * self._idle_s, _LONGEST * self.settings.idle_s) if is_empty else self.settings.idle_s
        for visit in self._tracker.live:
            path = visit.path
            if path.seen and visit.last_look_s != self._time_s and _is_whole(path.quad, picture):
                expected = cache(partial(_weigh, picture, path.quad))
                if visit.wants_look(self._time_s, expected):
                    seen = look(Detection(path.quad, path.detection_confidence))
                    if seen is not None:
                        self._tracker.look(visit, seen, expected())
        return self._tracker.settle(self._time_s)

    def close(self) -> list[SightingEvent]:
        """End: the last sightings, all closed."""
        return self._tracker.close(max(0.0, self._time_s))

    @property
    def tracks(self) -> tuple[Track, ...]:
        """Where each plate is in the newest frame, lost ones left out."""
        return self._tracker.tracks()

    @property
    def followed(self) -> tuple[Track, ...]:
        """The tracks, and what may become a sighting though it does not seem to be a plate so far."""
        return self._tracker.tracks(believed=False)

    @property
    def plates(self) -> list[Plate]:
        """The tracks as plates of the newest frame, for `openplate.annotate`; only those in sight."""
        plates = []
        for track in self.tracks:
            if track.seen:
                reading = track.reading or NOTHING
                text = reading.text if track.status == "read" else None
                reason = None if text else "not sure yet"
                plates.append(Plate(track.status, text, reason, Detection(track.quad, track.detection_confidence), reading))
        return plates

    @property
    def counts(self) -> WatchCounts:
        """What it cost and gave so far."""
        tracker = self._tracker
        return WatchCounts(
            frames=self._frames,
            detector_runs=self._detector_runs,
            straightener_runs=self._straightener_runs,
            reader_runs=self._reader_runs,
            read=tracker.read,
            unreadable=tracker.unreadable,
            crossed_in=tracker.crossed_in,
            crossed_out=tracker.crossed_out,
            rejected=tuple(sorted((self._left_out + tracker.rejected).items())),
        )

    def _is_detection_due(self) -> bool:
        """Whether the detector should look at the current frame."""
        if self._detected_s is None:
            return True
        wait_s, settings = self._idle_s, self.settings
        if self._stir.something:
            wait_s = min(settings.idle_s, settings.trigger_s if self._stir.something_new else settings.detect_s)
        return self._time_s - self._detected_s >= wait_s - _TICK_S

    def _is_wanted(self, detection: Detection, picture: Picture) -> bool:
        """Whether a detection may count as a plate; if not, it is counted."""
        x, y = detection.quad.mean(axis=0)
        middle = float(x) / picture.shape[1], float(y) / picture.shape[0]
        width, _ = quad_size(detection.quad)
        settings = self.settings
        reason = None
        if any(contains(mask, middle) for mask in settings.masks):
            reason = "masked"
        elif settings.zones and not any(contains(zone, middle) for zone in settings.zones):
            reason = "outside"
        elif not settings.min_width_px <= width <= settings.max_width_px:
            reason = "size"
        if reason is None:
            return True
        self._left_out[reason] += 1
        return False

    def _look(self, frame: Frame, detection: Detection) -> PlateLook | None:
        """Read a plate; everything of the look is of this frame. None where the picture's edge cuts the plate."""
        if not _is_whole(detection.quad, frame.picture):
            return None
        self._straightener_runs += 1
        quad = self._pipeline.straighten(frame.image, detection.quad)
        crop = rectify(frame.image, quad)
        self._reader_runs += 1
        decoder = self._pipeline.decoder
        texts = decoder.look(self._pipeline.log_probabilities(crop))
        reading = decoder.fuse([texts])
        width, height = quad_size(quad)
        clear = sharpness(crop)
        plate = Plate("unreadable", None, None, Detection(quad, detection.confidence), reading)
        return PlateLook(
            frame=frame.index,
            time_s=self._time_s,
            quad=quad,
            detection_confidence=detection.confidence,
            width_px=width,
            height_px=height,
            sharpness=clear,
            weight=look_weight(quad, clear),
            texts=texts,
            reading=reading,
            crop=cut_plate(frame.image, plate),
            picture=self._frame_picture(frame) if self.settings.keep_frames else None,
        )

    def _frame_picture(self, frame: Frame) -> bytes:
        if self._picture is None:
            self._picture = encode_image(frame.image, ".jpg", _JPEG_QUALITY)
        return self._picture


def _weigh(picture: Picture, quad: Quad) -> float:
    """How telling a look at a plate would be. The clear crop costs little beside the networks, and says whether they are worth it."""
    return look_weight(quad, sharpness(rectify(picture, quad)))


def _is_whole(quad: Quad, picture: Picture) -> bool:
    """Whether the picture's edge does not cut a plate."""
    width, _ = quad_size(quad)
    return inside(quad, picture.shape[1], picture.shape[0], slack_px=max(1.0, 0.02 * width))
