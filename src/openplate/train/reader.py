"""The reader's training task: drawn and photographed crops, CTC loss, exact match."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from openplate.charset import CHARACTERS, Charset
from openplate.engine import open_network
from openplate.errors import ConfigError, DatasetError
from openplate.formats import load_formats, select
from openplate.formats.model import LONGEST_TEXT, Format
from openplate.rectify import CROP_HEIGHT, CROP_WIDTH, rectify
from openplate.synthesize.crops import LabelledCrop, Material, mix_crops
from openplate.synthesize.photos import TextCounts, count_texts, open_patches, open_photos, spread
from openplate.train.config import EndToEndConfig, ReaderConfig
from openplate.train.loop import Batch
from openplate.train.networks.readers import build_reader
from openplate.train.shards import SETTLING, Shard, in_order, shard_batches
from openplate.weights import reader_path

ORIGIN_WEIGHT = 0.05
"""How much the loss of the countries counts beside that of the texts."""


@lru_cache(maxsize=2)
def load_material(photos: tuple[str, ...], held_out: bool | None, characters: str = CHARACTERS) -> Material:
    """The real material of data sets, its labels read once a process; `held_out` is that of `open_photos`.

    Raises:
        DatasetError: there are data sets, and nothing in them can be trained on.
    """
    folders = [Path(p) for p in photos]
    patches, texts = open_patches(folders, held_out, characters=characters)
    material = Material(patches, open_photos(folders, held_out, 960), texts)
    if photos and not held_out and not material.patches and not material.photos:
        raise DatasetError(
            f"photos: expected photos, or plates with true corners and a text in the charset, found none to train on in {', '.join(photos)}"
            f"{'' if held_out is None else ' (every fifth image is held out)'}; label some, or leave photos out"
        )
    return material


def training_part(config: ReaderConfig) -> bool | None:
    """Which images of `photos` are trained on, as `open_photos` has it: all where there are other data sets to validate on."""
    return None if config.validation else False


def text_counts(config: ReaderConfig, characters: str) -> str:
    """How many of the plates with a text are trained on (and validated on, where data sets are named for it), and why the others are not: a line
    each, "" for a config that uses none.

    Raises:
        DatasetError: the data sets have texts and none of them can be used, or there is nothing to validate on.
    """
    lines = []
    if config.photos and config.real_share:
        otherwise = "set real_share = 0 to take nothing but places without a plate from these photos"
        line = photo_counts(config.photos, training_part(config), characters, otherwise)
        lines += [line] if line else []
    if config.validation:
        counts = count_texts([Path(p) for p in config.validation], None, characters)
        if not counts.used:
            raise DatasetError(
                f"validation: expected plates with a text to validate on, found {counts.total} in {', '.join(config.validation)}"
                + (f": {_left_out(counts)}; {_remedy(counts)}" if counts.total else "; label some, or leave validation out")
            )
        lines.append("validation: " + _used(counts, "validated on"))
    return "\n".join(lines)


def photo_counts(photos: Sequence[str], part: bool | None, characters: str, otherwise: str) -> str:
    """How many of the plates with a text in `photos` are trained on, and why the others are not: a line, "" where there are no texts.

    Raises:
        DatasetError: there are texts and none of them can be used; `otherwise` is what else there is to do.
    """
    counts = count_texts([Path(p) for p in photos], part, characters)
    if counts.total and not counts.used:
        raise DatasetError(
            f"photos: none of {counts.total} plates with a text in {', '.join(photos)} can be trained on: {_left_out(counts)}; "
            f"{_remedy(counts)}, or {otherwise}"
        )
    return ("photos: " + _used(counts, "trained on") + ("" if part is None else "; every fifth image is held out")) if counts.total else ""


def _used(counts: TextCounts, what_for: str) -> str:
    left_out = f"; left out: {_left_out(counts)}" if counts.used < counts.total else ""
    return f"{counts.used:,} of {counts.total:,} plates with a text are {what_for}{left_out}"


def _left_out(counts: TextCounts) -> str:
    shown = " ".join(counts.characters[:8]) + (" …" if len(counts.characters) > 8 else "")
    reasons = (
        (counts.outside, f"with characters outside the charset ({shown})"),
        (counts.upright, "with an upright box instead of corners"),
        (counts.long, f"with more than {LONGEST_TEXT} characters"),
    )
    return ", ".join(f"{count:,} {reason}" for count, reason in reasons if count)


def _remedy(counts: TextCounts) -> str:
    """What makes plates usable that are left out."""
    remedies = (
        (counts.outside, "declare the characters in a format file with `characters` and name its folder in formats (docs/formats.md)"),
        (counts.upright, "label the four corners of plates (docs/datasets.md)"),
        (counts.long, "correct the texts, or take them out of the labels"),
    )
    return ", ".join(remedy for count, remedy in remedies if count)


def chosen_formats(countries: Sequence[str], folders: Sequence[str] = ()) -> tuple[Format, ...]:
    """The formats to draw, those of further folders among them; all when `countries` is empty."""
    known = load_formats(*folders)
    return select(known, countries) if countries else known


def more_often(formats: Sequence[Format], countries: Sequence[str]) -> tuple[Format, ...]:
    """The formats, those of `countries` with twice their weight.

    Raises:
        ConfigError: a country is not among the formats.
    """
    chosen, codes = {code.upper() for code in countries}, [f.code for f in formats]
    if chosen - set(codes):
        raise ConfigError(f"often: {' '.join(sorted(chosen - set(codes)))} is not among countries; these are {' '.join(codes)}")
    return tuple(dataclasses.replace(f, weight=f.weight * 2) if f.code in chosen else f for f in formats)


def reader_charset(config: ReaderConfig) -> Charset:
    """The charset of all readers, and after it the characters that the chosen formats declare."""
    declared = "".join(f.characters for f in chosen_formats(config.countries, config.formats))
    return Charset("".join(dict.fromkeys(CHARACTERS + declared)))


@dataclass(frozen=True, slots=True)
class DrawReaderShard:
    """Draws shard `number` of a config: crops `(S, 48, 192) uint8`, targets `(S, 12)` padded with 0, lengths, first_lines and origins `(S,)`."""

    config: ReaderConfig

    def __call__(self, number: int) -> Shard:
        config = self.config
        first = number * config.shard * config.passes / config.loop.batch
        difficulty = config.start_difficulty + (config.difficulty - config.start_difficulty) * min(1.0, first / max(1, config.easy_steps))
        charset = reader_charset(config)
        material = load_material(config.photos, training_part(config), charset.characters)
        formats = more_often(chosen_formats(config.countries, config.formats), config.often)
        seed = config.loop.seed * 1_000_003 + number
        mixed = mix_crops(
            formats,
            material,
            seed,
            difficulty,
            views=config.views,
            real_share=config.real_share,
            empty_share=config.empty_share,
            upright_share=config.upright_share,
            lean_share=config.lean_share,
            filmed_share=config.filmed_share,
            rare_share=config.rare_share,
        )
        return pack(islice(mixed, config.shard), config.shard, charset, origins(config))


def origins(config: ReaderConfig | EndToEndConfig) -> dict[str, float]:
    """The countries that a reader tells apart, by their codes, and the share of drawn plates that are theirs; none where it tells no countries.

    Raises:
        ConfigError: a country of `often` is not among `countries`.
    """
    formats = more_often(chosen_formats(config.countries, config.formats), config.often)
    if not config.tell_countries:
        return {}
    drawn = [f for f in formats if any(t.drawn for t in f.types)]
    total = sum(f.weight for f in drawn)
    return {f.code: f.weight / total for f in drawn}


def pack(crops: Iterator[LabelledCrop], count: int, charset: Charset, countries: Iterable[str] = ()) -> Shard:
    """Labelled crops as arrays; "origins" holds places in `countries`, -1 for others.

    Raises:
        ValueError: a text is longer than 12 characters, or has one outside the charset.
    """
    places = {code: i for i, code in enumerate(countries)}
    images = np.zeros((count, CROP_HEIGHT, CROP_WIDTH), np.uint8)
    targets = np.zeros((count, LONGEST_TEXT), np.int64)
    lengths = np.zeros(count, np.int64)
    first_lines = np.full(count, -1, np.int64)
    places_of_crops = np.full(count, -1, np.int64)
    for i, entry in enumerate(crops):
        if len(entry.text) > LONGEST_TEXT:
            raise ValueError(
                f"expected a text of at most {LONGEST_TEXT} characters, got {entry.text!r}; one that is cut would be learned as the truth"
            )
        images[i] = entry.crop
        ids = charset.encode(entry.text)
        targets[i, : len(ids)] = ids
        lengths[i] = len(ids)
        if entry.first_line is not None:
            first_lines[i] = min(entry.first_line, len(ids))
        places_of_crops[i] = places.get(entry.country or "", -1)
    return {"crops": images, "targets": targets, "lengths": lengths, "first_lines": first_lines, "origins": places_of_crops}


def text_loss(log_probabilities: Tensor, targets: Tensor, lengths: Tensor, first_lines: Tensor) -> Tensor:
    """CTC loss (Graves et al. 2006) of each crop, `(N,)`.

    The upper half of the steps must write the first line and the lower half the second, which is empty on one-line plates; where `first_lines` is -1
    both halves together write the whole text. Left free, the network learns to write plates of one line in two, and cannot tell them apart.

    Args:
        log_probabilities: `(N, T, K)`, the upper row's steps before the lower row's.
        targets: `(N, L)` class ids, padded with 0.
        lengths: `(N,)`.
        first_lines: `(N,)` characters of the first line, or -1.
    """
    n, steps = log_probabilities.shape[:2]
    by_step = log_probabilities.float().transpose(0, 1)
    free = first_lines < 0
    upper = torch.where(free, lengths, first_lines)
    places = (upper[:, None] + torch.arange(targets.shape[1], device=targets.device)).clamp(max=targets.shape[1] - 1)

    def ctc(rows: Tensor, wanted: Tensor, long: Tensor) -> Tensor:
        time = torch.full((n,), rows.shape[0], dtype=torch.long, device=rows.device)
        return nn.functional.ctc_loss(rows, wanted, time, long, reduction="none", zero_infinity=True)

    by_row = ctc(by_step[: steps // 2], targets, upper) + ctc(by_step[steps // 2 :], targets.gather(1, places), lengths - upper)
    if not free.any():
        return by_row
    return torch.where(free, ctc(by_step, targets, lengths), by_row)


class Teacher:
    """A trained reader: what it says of each crop, step by step, is a nearer aim than the text alone (Hinton et al., "Distilling the Knowledge in a Neural
    Network", 2015). All readers write the same steps, so that a new one need not find out by itself where characters stand.

    Raises:
        ConfigError: the file is no reader, or one of another charset.
        WeightsError: the file is missing or damaged.
    """

    def __init__(self, path: Path, characters: str, threads: int) -> None:
        self._network = open_network(path, threads=threads)
        metadata = self._network.metadata
        if metadata.get("openplate.kind") != "reader":
            raise ConfigError(
                f'teacher: expected the exported file of a reader, {path} is of kind {metadata.get("openplate.kind")!r}; name one that openplate export gave, or "package"'
            )
        if metadata["openplate.characters"] != characters:
            raise ConfigError(
                f"teacher: expected a reader of the charset {characters}, {path} has {metadata['openplate.characters']}; leave teacher out, or train on its countries"
            )
        self._tells_countries = "openplate.origins" in metadata

    def __call__(self, crops: np.ndarray[Any, Any]) -> np.ndarray[Any, np.dtype[np.float32]]:
        """`(N, T, K)` log-probabilities of crops `(N, 48, 192)`."""
        said = self._network(crops)[0]
        return said[:, :-1] if self._tells_countries else said


def teaching_loss(said: Tensor, taught: Tensor) -> Tensor:
    """How far log-probabilities `(N, T, K)` are from those of a teacher: the divergence (Kullback-Leibler) of each crop's steps, summed over them, `(N,)`."""
    return nn.functional.kl_div(said.float(), taught.float(), reduction="none", log_target=True).sum(dim=(1, 2))


def origin_loss(said: Tensor, origins: Tensor, shares: Sequence[float]) -> Tensor:
    """Cross entropy of the countries, with logits adjusted by how often each is drawn (see `crnn.py`); 0 where no plate's country is known.

    Args:
        said: `(N, T + 1, K)`, the row of countries last.
        origins: `(N,)` places of the countries, -1 where nobody said.
        shares: how often each country is drawn.
    """
    if not (origins >= 0).any():
        return 0.0 * said[:, -1].float().sum()  # every part takes part in every step, as processes that train together expect
    drawn = torch.tensor(shares, device=said.device).log()
    return nn.functional.cross_entropy(said[:, -1, : len(drawn)].float() + drawn, origins, ignore_index=-1)


def greedy(log_probabilities: np.ndarray[Any, np.dtype[np.float32]], charset: Charset) -> list[str]:
    """Best-path texts of `(N, T, K)` log-probabilities: the likeliest class a step, repeats merged, blanks dropped."""
    texts = []
    for row in log_probabilities.argmax(axis=-1):
        kept = row[np.flatnonzero(np.diff(row, prepend=-1))]
        texts.append(charset.decode(int(i) for i in kept))
    return texts


class ReaderTask:
    """See the module."""

    kind = "reader"

    def __init__(self, config: ReaderConfig) -> None:
        self.config = config
        self.charset = reader_charset(config)
        self.settings: dict[str, Any] = {
            "characters": self.charset.characters,
            "network": config.network,
            "transformer": config.transformer,
            "width": config.width,
            "hidden": config.hidden,
        }
        self._origins = origins(config)
        if self._origins:
            self.settings["origins"] = list(self._origins)
        torch.manual_seed(config.loop.seed)
        self.network: nn.Module = build_reader(self.settings)
        self._validation: dict[str, Shard] = {}
        self._settling: Shard | None = None
        path = reader_path() if config.teacher == "package" else Path(config.teacher)
        self._teacher = Teacher(path, self.charset.characters, config.loop.threads) if config.teacher else None

    def batches(self, first_step: int, steps: int) -> Iterator[Batch]:
        config, loop = self.config, self.config.loop
        draw = DrawReaderShard(config)
        for rows in shard_batches(draw, config.shard, config.passes, loop.batch, first_step, steps, loop.seed, loop.drawers):
            taught = {} if self._teacher is None else {"taught": self._teacher(rows["crops"])}
            yield {key: torch.from_numpy(value) for key, value in (rows | taught).items()}

    def settling(self) -> Iterator[Batch]:
        batch = self.config.loop.batch
        if self._settling is None:
            rows_drawn = min(self.config.shard, max(2048, batch))
            self._settling = DrawReaderShard(dataclasses.replace(self.config, shard=rows_drawn))(SETTLING)
        for rows in in_order(self._settling, batch):
            yield {key: torch.from_numpy(value) for key, value in rows.items()}

    def describe_data(self) -> str:
        return text_counts(self.config, self.charset.characters)

    def inputs(self, batch: Batch) -> Tensor:
        return batch["crops"][:, None].float()

    def loss(self, network: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        said = network(self.inputs(batch))
        steps = said[:, :-1] if self._origins else said
        loss = text_loss(steps, batch["targets"], batch["lengths"], batch["first_lines"]).mean() / 8
        figures = {}
        if "taught" in batch:
            teaching = teaching_loss(steps, batch["taught"]).mean() / 8
            loss, figures["teaching_loss"] = loss + teaching, float(teaching.detach())
        if self._origins:
            origin = origin_loss(said, batch["origins"], list(self._origins.values()))
            loss, figures["origin_loss"] = loss + ORIGIN_WEIGHT * origin, float(origin.detach())
        return loss, figures

    def validate(self, network: nn.Module) -> dict[str, float]:
        if not self._validation:
            self._validation = self._draw_validation()
        figures, countries = {}, 0.0
        for name, shard in self._validation.items():
            said = run(network, shard["crops"])
            texts = greedy(said[:, :-1] if self._origins else said, self.charset)
            truths = [self.charset.decode(int(i) for i in row) for row in shard["targets"]]
            figures[name] = sum(a == b for a, b in zip(texts, truths, strict=True)) / len(truths)
            if self._origins and name == "drawn":
                countries = float((said[:, -1, : len(self._origins)].argmax(axis=-1) == shard["origins"]).mean())
        figures["score"] = sum(figures.values()) / len(figures)
        return figures | ({"country": countries} if self._origins else {})

    def _draw_validation(self) -> dict[str, Shard]:
        config = self.config
        formats = chosen_formats(config.countries, config.formats)
        drawn = mix_crops(formats, Material(), 987_654_321, 0.8, 1, 0.0, 0.0)
        sets = {"drawn": pack(islice(drawn, config.validation_crops), config.validation_crops, self.charset, self._origins)}
        folders = [Path(p) for p in config.validation or config.photos]
        patches, _ = open_patches(folders, None if config.validation else True, characters=self.charset.characters)
        if patches:
            chosen = spread(len(patches), config.validation_crops)
            some = (patches[place] for place in chosen)
            real = (LabelledCrop(rectify(patch.image, patch.quad), patch.text, patch.first_line) for patch in some)
            sets["real"] = pack(real, len(chosen), self.charset)
        return sets


def run(network: nn.Module, crops: np.ndarray[Any, Any], batch: int = 128) -> np.ndarray[Any, np.dtype[np.float32]]:
    """What a reader says of `(N, 48, 192) uint8` crops."""
    network.eval()
    device = next(network.parameters()).device
    with torch.inference_mode():
        parts = (torch.from_numpy(crops[start : start + batch])[:, None].float().to(device) for start in range(0, len(crops), batch))
        return np.concatenate([network(part).float().cpu().numpy() for part in parts])
