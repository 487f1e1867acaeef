"""The end-to-end network's training task: windows of scenes with their texts; detection, corner and CTC losses together; recall and exact match.

The reading branch first sees true quads with a detector's errors; later a growing share of plates is seen through the network's own detections, whose
gradient stops there.
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from openplate.charset import Charset, normalise
from openplate.detect.decode import decode_detections
from openplate.errors import ConfigError
from openplate.formats.model import LONGEST_TEXT
from openplate.geometry import box_iou, quad_size, quad_to_box
from openplate.straighten import look
from openplate.synthesize.crops import Material, draw_crops, jitter_quad, mix_crops
from openplate.synthesize.photos import Patch
from openplate.synthesize.scenes import ScenePlate, draw_window
from openplate.train.config import EndToEndConfig, ReaderConfig
from openplate.train.detector import EXACT, MOST_PLATES, NONE, UPRIGHT, anchor_loss, generalised_iou, hull_boxes, pack_plates, window_photos
from openplate.train.loop import Batch
from openplate.train.networks.end_to_end import Choice, EndToEnd, Light
from openplate.train.reader import ORIGIN_WEIGHT, chosen_formats, greedy, more_often, origin_loss, origins, photo_counts, reader_charset, text_loss
from openplate.train.shards import SETTLING, Shard, in_order, shard_batches
from openplate.train.start import start_from
from openplate.types import Image
from openplate.weights import network_path

Array = NDArray[np.generic]
STRAIGHT_WEIGHT = 2.0
"""How much the corrected corners count in the loss."""


def task_charset(config: EndToEndConfig) -> Charset:
    """The charset of all readers, and after it the characters that the chosen formats declare."""
    return reader_charset(ReaderConfig(countries=config.countries, formats=config.formats))


def pack_texts(
    image: Image, plates: Sequence[ScenePlate], states: Array, charset: Charset, least_height_px: float, countries: Iterable[str] = ()
) -> Shard:
    """What the reading branch learns of a window: "targets" `(8, 12)` padded with 0, "lengths" `(8,)`, "first_lines" `(8,)`, and "origins" `(8,)`,
    places in `countries`, -1 for others.

    The length is 0 where there is nothing to learn: no text in the charset, no true corners, or lower than `least_height_px`.
    """
    places = {code: i for i, code in enumerate(countries)}
    targets, lengths = np.zeros((MOST_PLATES, LONGEST_TEXT), np.int64), np.zeros(MOST_PLATES, np.int64)
    first_lines, origins_of_plates = np.full(MOST_PLATES, -1, np.int64), np.full(MOST_PLATES, -1, np.int64)
    for i, plate in enumerate(plates[:MOST_PLATES]):
        text = normalise(plate.text or "")
        if states[i] != EXACT or not 0 < len(text) <= LONGEST_TEXT or not charset.covers(text) or quad_size(plate.quad)[1] < least_height_px:
            continue
        targets[i, : len(text)] = charset.encode(text)
        lengths[i] = len(text)
        first_line = Patch(image, plate.quad, text).first_line if plate.first_line is None else plate.first_line
        first_lines[i] = -1 if first_line is None else min(first_line, len(text))
        origins_of_plates[i] = places.get(plate.country or "", -1)
    return {"targets": targets, "lengths": lengths, "first_lines": first_lines, "origins": origins_of_plates}


@dataclass(frozen=True, slots=True)
class DrawEndToEndShard:
    """Draws shard `number`: the detector's arrays, and with `S` in front those that `pack_texts` gives."""

    config: EndToEndConfig
    held_out: bool = False

    def __call__(self, number: int) -> Shard:
        cv2.setNumThreads(1)
        config = self.config
        rng = random.Random(f"end-to-end {config.loop.seed} {number} {self.held_out}")
        formats = more_often(chosen_formats(config.countries, config.formats), config.often)
        photos, countries = window_photos(config.photos, self.held_out), origins(config)
        charset = task_charset(config)
        count = config.validation_windows if self.held_out else config.shard
        images = np.zeros((count, config.window, config.window, 3), np.uint8)
        quads, states = np.zeros((count, MOST_PLATES, 4, 2), np.float32), np.full((count, MOST_PLATES), NONE, np.int64)
        texts = []
        for i in range(count):
            images[i], plates = draw_window(photos, formats, rng, config.window, config.keep_share, config.lean_share)
            quads[i], states[i] = pack_plates(plates)
            texts.append(pack_texts(images[i], plates, states[i], charset, config.least_height_px, countries))
        return {"images": images, "quads": quads, "states": states, **{key: np.stack([text[key] for text in texts]) for key in texts[0]}}


def spoil_quads(rows: Shard, rng: random.Random, jitter: float, share: float) -> Shard:
    """How each plate is looked at: quads with a detector's errors, "looks" `(B, 8, 4, 2)`, and whether an own detection is to be taken, "own" `(B,
    8)`."""
    looks = np.array(rows["quads"], np.float32)
    own = np.zeros(looks.shape[:2], bool)
    for place in zip(*np.nonzero(rows["lengths"]), strict=True):
        looks[place] = jitter_quad(looks[place], rng, jitter)
        own[place] = rng.random() < share
    return {"looks": looks, "own": own}


def choose_quads(detections: Tensor, batch: Batch, places: Tensor) -> Choice:
    """The quads through which plates are read: "looks", or the surest detection that overlaps the plate by half where "own" says so and there is one.

    Args:
        detections: `(N, A, 9)`.
        batch: with "quads", "looks" and "own".
        places: `(Q, 2)` window and number of each plate that is read, in the order of the windows.
    """
    window, number = places.unbind(dim=1)
    quads = batch["looks"][window, number].clone()
    own = batch["own"][window, number].nonzero()[:, 0]
    if len(own):
        found = detections.detach()[window[own]].float()  # own A 9
        boxes = hull_boxes(found[..., 1:].reshape(*found.shape[:2], 4, 2))
        iou, _ = generalised_iou(hull_boxes(batch["quads"][window[own], number[own]])[:, None], boxes)
        score, best = torch.where(iou >= 0.5, found[..., 0].sigmoid(), torch.zeros_like(iou)).max(dim=1)
        taken = found[torch.arange(len(own), device=found.device), best, 1:].reshape(-1, 4, 2)
        quads[own] = torch.where((score > 0)[:, None, None], taken, quads[own])
    return Choice(quads, window)


def _weights(name: str, given: str) -> Path:
    """The file that a config names; "package" is the package's own network."""
    return network_path(name) if given == "package" else Path(given)


def straightening_loss(quads: Tensor, truths: Tensor) -> Tensor:
    """Mean smooth L1 distance of corrected quads `(Q, 4, 2)` from the true ones, in heights of the plate, as the straightener's own training has it."""
    sides = truths.roll(-1, dims=1) - truths  # top, right, bottom, left
    heights = (0.5 * (sides[:, 1].norm(dim=-1) + sides[:, 3].norm(dim=-1))).clamp(min=4.0)
    return nn.functional.smooth_l1_loss(quads.float() / heights[:, None, None], truths / heights[:, None, None], beta=0.05)


class EndToEndTask:
    """See the module.

    Raises:
        ConfigError: the backbone is not known, or the window is no multiple of 64 px.
    """

    kind = "end-to-end"

    def __init__(self, config: EndToEndConfig) -> None:
        if config.window < 64 or config.window % 64:
            raise ConfigError(f"window: expected a multiple of 64 px, got {config.window}")
        self.config = config
        self.charset = task_charset(config)
        self._origins = origins(config)
        self.settings: dict[str, Any] = {
            "characters": self.charset.characters,
            "backbone": config.backbone,
            "width": config.width,
            "hidden": config.hidden,
            "channels": list(config.channels),
            "longest_px": config.longest_px,
            "origins": list(self._origins),
        }
        torch.manual_seed(config.loop.seed)
        self._network = EndToEnd(len(self.charset), config.backbone, config.width, config.hidden, config.channels, len(self._origins))
        self.network: nn.Module = self._network
        self._validation: Shard | None = None
        self._settling: Shard | None = None

    def describe_data(self) -> str:
        return photo_counts(self.config.photos, False, self.charset.characters, "train a detector, which needs no texts")

    def start_parts(self) -> str:
        """Fills the parts for which the config names files, in place; what was taken, in words, a line each.

        Raises:
            ConfigError: a file is that of another network, or the backbone has no detector.
            WeightsError: a file is missing or damaged.
        """
        config, said = self.config, []
        device = next(self._network.parameters()).device
        if config.detector:
            if not isinstance(self._network.backbone, Light):
                raise ConfigError(f'detector: only backbone = "light" holds a detector, got {config.backbone!r}; take it out')

            def windows() -> Tensor:
                drawn = DrawEndToEndShard(dataclasses.replace(config, shard=16))(SETTLING)
                return torch.from_numpy(drawn["images"]).permute(0, 3, 1, 2).float().to(device)

            said.append("detector: " + start_from(self._network.backbone.detector, _weights("detector", config.detector), "", windows))
        if config.straightener:

            def looks() -> Tensor:
                formats, rng = chosen_formats(config.countries, config.formats), random.Random(config.loop.seed)
                drawn = islice(draw_crops(formats, config.loop.seed, 0.5), 128)
                return torch.from_numpy(np.stack([look(e.photo, jitter_quad(e.quad, rng, 0.06)) for e in drawn]))[:, None].float().to(device)

            path = _weights("straightener", config.straightener)
            said.append("straightener: " + start_from(self._network.reading.straightener, path, "", looks))
        if config.reader:

            def crops() -> Tensor:
                formats = chosen_formats(config.countries, config.formats)
                drawn = [entry.crop for entry in islice(mix_crops(formats, Material(), config.loop.seed, 0.5), 128)]
                return torch.from_numpy(np.stack(drawn))[:, None].float().to(device)

            path = _weights("reader", config.reader)
            said.append("reader: " + start_from(self._network.reading.reader, path, self.charset.characters, crops))
        return "\n".join(said)

    def batches(self, first_step: int, steps: int) -> Iterator[Batch]:
        config, loop = self.config, self.config.loop
        draw = DrawEndToEndShard(config)
        drawn = shard_batches(draw, config.shard, config.passes, loop.batch, first_step, steps, loop.seed, loop.drawers)
        for step, rows in enumerate(drawn, first_step):
            progress = (step - config.own_from_step) / max(1, steps - config.own_from_step)
            spoilt = spoil_quads(rows, random.Random(f"looks {loop.seed} {step}"), config.jitter, config.own_share * min(1.0, max(0.0, progress)))
            yield {key: torch.from_numpy(value) for key, value in (rows | spoilt).items()}

    def settling(self) -> Iterator[Batch]:
        batch = self.config.loop.batch
        if self._settling is None:
            rows_drawn = min(self.config.shard, max(480, batch))
            self._settling = DrawEndToEndShard(dataclasses.replace(self.config, shard=rows_drawn))(SETTLING)
        for rows in in_order(self._settling, batch):
            spoilt = spoil_quads(rows, random.Random("settling"), self.config.jitter, 0.0)
            yield {key: torch.from_numpy(value) for key, value in (rows | spoilt).items()}

    def inputs(self, batch: Batch) -> Tensor:
        # Whole numbers up to 255 are exact in bfloat16, and half the memory traffic.
        precision = torch.bfloat16 if self.config.loop.mixed_precision else torch.float32
        return batch["images"].permute(0, 3, 1, 2).to(precision)

    def loss(self, network: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        images = self.inputs(batch)
        places = batch["lengths"].nonzero()
        weight = 1.0
        if not len(places):  # every part of the network takes part in every step, as processes that train together expect
            places, weight = torch.zeros((1, 2), dtype=torch.long, device=images.device), 0.0
        detections, texts, seen_through = network(images, lambda found: choose_quads(found, batch, places))
        window, number = places.unbind(dim=1)
        with torch.autocast(images.device.type, enabled=False):
            points, strides = self._network.anchors(images.shape[2], images.shape[3])
            detected, figures = anchor_loss(detections.float(), batch["quads"], batch["states"], points, strides)
            wanted = (batch[key][window, number] for key in ("targets", "lengths", "first_lines"))
            written = weight * text_loss(texts[:, :-1].float() if self._origins else texts.float(), *wanted).mean()
            corrected = weight * straightening_loss(seen_through, batch["quads"][window, number])
            loss = detected + self.config.text_weight / 8 * written + STRAIGHT_WEIGHT * corrected
            figures |= {"text_loss": float(written.detach()), "straight_loss": float(corrected.detach())}
            if self._origins:
                origin = weight * origin_loss(texts, batch["origins"][window, number], list(self._origins.values()))
                loss, figures = loss + self.config.text_weight * ORIGIN_WEIGHT * origin, {**figures, "origin_loss": float(origin.detach())}
        return loss, figures

    def validate(self, network: nn.Module) -> dict[str, float]:
        assert isinstance(network, EndToEnd)
        if self._validation is None:
            self._validation = DrawEndToEndShard(self.config, held_out=True)(0)
        network.eval()
        counts = dict.fromkeys(("wanted", "found", "false", "readable", "exact_true", "exact", "read", "wrong_length"), 0)
        for number in range(len(self._validation["images"])):
            for key, value in self._check({name: array[number] for name, array in self._validation.items()}, network).items():
                counts[key] += value
        recall = counts["found"] / max(1, counts["wanted"])
        figures = {
            "recall": recall,
            "precision": counts["found"] / max(1, counts["found"] + counts["false"]),
            "exact_true": counts["exact_true"] / max(1, counts["readable"]),
            "exact": counts["exact"] / max(1, counts["readable"]),
            "length_errors": counts["wrong_length"] / max(1, counts["read"]),
        }
        return {**figures, "score": figures["exact"] + 0.5 * figures["exact_true"] + 0.5 * (recall + figures["precision"])}

    def _check(self, window: Shard, network: EndToEnd) -> dict[str, int]:
        """What one window adds to the counts."""
        device = next(network.parameters()).device
        quads, states, lengths = np.asarray(window["quads"], np.float32), np.asarray(window["states"], np.int64), window["lengths"]
        with torch.inference_mode():
            seen = network.look(torch.from_numpy(window["images"]).permute(2, 0, 1)[None].float().to(device))
            detections = decode_detections(seen.detections[0].float().cpu().numpy(), threshold=0.4)
            looked_at = np.stack([*quads, *(d.quad for d in detections)])
            choice = Choice(torch.from_numpy(looked_at).to(device), torch.zeros(len(looked_at), dtype=torch.long, device=device))
            said = network.read(seen.maps, choice)[0].float().cpu().numpy()
            texts = greedy(said[:, :-1] if self._origins else said, self.charset)
        boxes = np.array([quad_to_box(q) for q in looked_at], np.float32)
        overlaps = box_iou(boxes[:MOST_PLATES], boxes[MOST_PLATES:])
        counts = dict.fromkeys(("wanted", "found", "readable", "exact_true", "exact", "read", "wrong_length"), 0)
        for i in np.flatnonzero(states <= UPRIGHT):
            found = bool(overlaps[i].max(initial=0) >= 0.5)
            counts["wanted"] += 1
            counts["found"] += found
            if not lengths[i]:
                continue
            truth = self.charset.decode(int(c) for c in window["targets"][i])
            counts["readable"] += 1
            counts["exact_true"] += texts[i] == truth
            if found:
                text = texts[MOST_PLATES + int(overlaps[i].argmax())]
                counts["read"] += 1
                counts["exact"] += text == truth
                counts["wrong_length"] += len(text) != len(truth)
        counts["false"] = int((overlaps[states < NONE].max(axis=0, initial=0) < 0.3).sum())
        return counts
