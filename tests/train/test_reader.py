import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from openplate.charset import Charset
from openplate.engine import open_network
from openplate.errors import ConfigError, DatasetError
from openplate.synthesize.crops import LabelledCrop, Material
from openplate.train import reader
from openplate.train.config import LoopConfig, ReaderConfig
from openplate.train.networks.residual import ResidualReader
from openplate.train.networks.stn import Transformed
from openplate.train.reader import DrawReaderShard, ReaderTask, chosen_formats, greedy, more_often, pack, run, teaching_loss, text_loss
from openplate.weights import detector_path, reader_path
from tests.conftest import label
from tests.networks import constant_network

CHARSET = Charset()
SMALL = ReaderConfig(loop=LoopConfig(batch=4, mixed_precision=False), countries=("ru",), width=0.25, hidden=8, shard=6, validation_crops=3)


def log_probabilities(*steps: str) -> np.ndarray[Any, np.dtype[np.float32]]:
    """`(T, K)`: one sure character a step, "_" for the blank."""
    ids = [0 if step == "_" else CHARSET.encode(step)[0] for step in steps]
    rows = np.full((len(steps), len(CHARSET)), -20.0, np.float32)
    rows[np.arange(len(steps)), ids] = 0.0
    return rows


@pytest.mark.parametrize(
    ("steps", "text"),
    [("____", ""), ("AA_A", "AA"), ("AAAA", "A"), ("_B8_", "B8"), ("京___", "京"), ("7_77", "77"), ("ABAB", "ABAB")],
)
def test_greedy_merges_repeats_and_drops_blanks(steps: str, text: str) -> None:
    assert greedy(log_probabilities(*steps)[None], CHARSET) == [text]


def test_pairs_are_packed_with_padded_targets() -> None:
    crop = np.full((48, 192), 7, np.uint8)
    shard = pack(iter([LabelledCrop(crop, "A1", 1), LabelledCrop(crop, "", 0), LabelledCrop(crop, "ABCDEFGHIJKL", None)]), 3, CHARSET)
    assert shard["crops"].shape == (3, 48, 192) and (shard["crops"] == 7).all()
    assert shard["lengths"].tolist() == [2, 0, 12]
    assert shard["first_lines"].tolist() == [1, 0, -1]
    # Digits have the ids 1 to 10, letters go on from 11; 0 is the blank.
    assert shard["targets"][0].tolist() == [11, 2] + [0] * 10
    assert shard["targets"][2].tolist() == list(range(11, 23))


def test_text_of_more_than_twelve_characters_is_not_cut_to_be_learned() -> None:
    long = LabelledCrop(np.zeros((48, 192), np.uint8), "ABCDEFGHIJKLM", None)
    with pytest.raises(ValueError, match="expected a text of at most 12 characters, got 'ABCDEFGHIJKLM'"):
        pack(iter([long]), 1, CHARSET)


def test_each_line_must_be_written_by_its_own_row() -> None:
    # Two steps a row, three classes: blank, "a" (1), "b" (2), each step sure with probability 0.8.
    def steps(*ids: int) -> Tensor:
        rows = torch.full((1, 4, 3), 0.1)
        rows[0, range(4), list(ids)] = 0.8
        return rows.log()

    targets, lengths = torch.tensor([[1, 2]]), torch.tensor([2])

    def loss(ids: tuple[int, ...], first_line: int) -> float:
        return float(text_loss(steps(*ids), targets, lengths, torch.tensor([first_line])))

    sure = -4 * math.log(0.8)
    assert loss((1, 2, 0, 0), 2) == pytest.approx(sure)  # a b above, nothing below: one path
    # Above "a" may be written as a-, -a and aa, below likewise "b": the sum of three paths a row, 0.8 · 0.8 + 0.1 · 0.1 + 0.8 · 0.1.
    assert loss((1, 0, 2, 0), 1) == pytest.approx(-2 * math.log(0.73))
    assert loss((1, 0, 2, 0), 2) > 3  # the same text in two lines where one was wanted
    assert loss((1, 0, 2, 0), -1) < loss((1, 0, 2, 0), 1)  # nobody said: any split will do


def test_shards_depend_on_their_number_and_seed_alone() -> None:
    first, again, other = (DrawReaderShard(SMALL)(number) for number in (0, 0, 1))
    assert all(np.array_equal(first[key], again[key]) for key in first)
    assert not np.array_equal(first["crops"], other["crops"])
    assert first["crops"].shape == (6, 48, 192)


def test_countries_named_in_often_are_drawn_with_twice_their_weight() -> None:
    formats = more_often(chosen_formats(("ru", "kz", "us")), ("kz",))
    assert [(f.code, f.weight) for f in formats] == [("RU", 12.0), ("KZ", 4.0), ("US", 8.0)]
    shard, other = (DrawReaderShard(replace(SMALL, countries=("ru", "kz"), shard=60, often=often))(0) for often in ((), ("kz",)))
    assert not np.array_equal(shard["targets"], other["targets"])


@pytest.mark.parametrize("tell_countries", [False, True])
def test_country_of_often_that_is_not_among_countries_gives_error_that_says_so(tell_countries: bool) -> None:
    config = replace(SMALL, countries=("RU", "DE", "US"), often=("us", "kz"), tell_countries=tell_countries)
    with pytest.raises(ConfigError, match="^often: KZ is not among countries; these are RU DE US$"):
        ReaderTask(config)


def test_difficulty_rises_with_the_shard_s_first_step(monkeypatch: pytest.MonkeyPatch) -> None:
    difficulties = []

    def mix(formats: object, material: object, seed: int, difficulty: float, *_: float, **__: float) -> Iterator[tuple[np.ndarray, str]]:
        difficulties.append(difficulty)
        return iter([])

    monkeypatch.setattr(reader, "mix_crops", mix)
    # A shard of 160 crops, used twice in batches of 16, lasts 20 steps; the full difficulty is reached after 40.
    config = ReaderConfig(loop=LoopConfig(batch=16), countries=("ru",), shard=160, passes=2, easy_steps=40, start_difficulty=0.2, difficulty=0.8)
    for number in range(4):
        DrawReaderShard(config)(number)
    assert difficulties == pytest.approx([0.2, 0.5, 0.8, 0.8])


class Says(nn.Module):
    """Reads the same in every crop."""

    def __init__(self, *steps: str) -> None:
        super().__init__()
        self.rows = nn.Parameter(torch.from_numpy(log_probabilities(*steps)))

    def forward(self, crops: Tensor) -> Tensor:
        return torch.log_softmax(self.rows, dim=-1)[None].expand(len(crops), -1, -1)


def batch(*texts: str) -> dict[str, Tensor]:
    shard = pack((LabelledCrop(np.zeros((48, 192), np.uint8), text, None) for text in texts), len(texts), CHARSET)
    return {key: torch.from_numpy(value) for key, value in shard.items()}


def test_loss_is_small_for_the_right_text_and_large_for_another() -> None:
    task = ReaderTask(SMALL)
    right, _ = task.loss(Says("A", "_", "1", "_"), batch("A1", "A1"))
    wrong, _ = task.loss(Says("A", "_", "1", "_"), batch("A7", "A7"))
    assert float(right.detach()) == pytest.approx(0, abs=1e-5)
    assert float(wrong.detach()) == pytest.approx(20 / 8, rel=0.05)  # one step says e^-20; an eighth keeps losses of all tasks alike


class Tells(Says):
    """Reads the same in every crop and says the same of its country."""

    def __init__(self, *steps: str, countries: Sequence[float]) -> None:
        super().__init__(*steps)
        self.countries = nn.Parameter(torch.log(torch.tensor(countries)))

    def forward(self, crops: Tensor) -> Tensor:
        said = super().forward(crops)
        row = nn.functional.pad(self.countries, (0, said.shape[2] - len(self.countries)), value=-20.0)
        return torch.cat([said, row[None, None].expand(len(crops), 1, -1)], dim=1)


TELLING = replace(SMALL, tell_countries=True, countries=("ru", "kz"))


def test_loss_counts_the_country_against_how_often_it_is_drawn() -> None:
    task = ReaderTask(TELLING)
    assert task.settings["origins"] == ["RU", "KZ"]  # drawn 12 : 2
    even, known = Tells("A", "_", "1", "_", countries=[0.5, 0.5]), batch("A1", "A1")
    for place, share in ((0, 12 / 14), (1, 2 / 14)):
        loss, figures = task.loss(even, known | {"origins": torch.tensor([place, -1])})
        assert figures["origin_loss"] == pytest.approx(-math.log(share), abs=1e-5)
        assert float(loss.detach()) == pytest.approx(0.05 * figures["origin_loss"], abs=1e-5)
    loss, figures = task.loss(even, known)  # nobody said of which country they are
    assert (float(loss.detach()), figures) == (pytest.approx(0, abs=1e-5), {"origin_loss": 0.0})


def test_validation_says_how_many_countries_are_right() -> None:
    task = ReaderTask(TELLING)
    shard = {k: v.numpy() for k, v in batch("A1", "A7").items()}
    task._validation = {"drawn": shard | {"origins": np.array([0, 1])}}
    assert task.validate(Tells("A", "A", "_", "1", countries=[0.9, 0.1])) == {"drawn": 0.5, "score": 0.5, "country": 0.5}


def test_drawn_crops_say_their_country_and_places_without_a_plate_none() -> None:
    shard = DrawReaderShard(replace(TELLING, shard=60, empty_share=0.3))(0)
    assert set(shard["origins"].tolist()) == {-1, 0, 1}
    assert ((shard["origins"] == -1) == (shard["lengths"] == 0)).all()
    assert (DrawReaderShard(SMALL)(0)["origins"] == -1).all()


def test_text_longer_than_the_steps_does_not_spoil_the_loss() -> None:
    loss, _ = ReaderTask(SMALL).loss(Says("A", "_"), batch("ABC", ""))
    assert torch.isfinite(loss)


def test_validation_scores_exact_texts_of_each_set() -> None:
    task = ReaderTask(SMALL)
    task._validation = {name: {k: v.numpy() for k, v in batch(*texts).items()} for name, texts in (("drawn", ["A1", "A7"]), ("real", ["A1"]))}
    assert task.validate(Says("A", "A", "_", "1")) == {"drawn": 0.5, "real": 1.0, "score": 0.75}


def test_validation_draws_its_crops_once() -> None:
    task = ReaderTask(SMALL)
    figures = task.validate(Says("_"))
    drawn = task._validation["drawn"]["crops"]
    assert figures == {"drawn": 0.0, "score": 0.0}
    assert drawn.shape == (3, 48, 192)
    task.validate(Says("_"))
    assert task._validation["drawn"]["crops"] is drawn


def test_reading_in_parts_gives_the_same_texts() -> None:
    crops = np.random.default_rng(0).integers(0, 256, (5, 48, 192), np.uint8)
    network = ReaderTask(SMALL).network
    assert greedy(run(network, crops, 2), CHARSET) == greedy(run(network, crops, 5), CHARSET)


def test_seed_decides_the_start_weights() -> None:
    first, again = (ReaderTask(SMALL).network.state_dict()["classify.weight"] for _ in range(2))
    other = ReaderTask(ReaderConfig(loop=LoopConfig(seed=2), width=0.25, hidden=8)).network.state_dict()["classify.weight"]
    assert torch.equal(first, again) and not torch.equal(first, other)


ATLANTIS = """
country = "aq"
name = "Atlantis"
characters = "あい"

[classes]
kana = "あい"

[[types]]
id = "car"
size_mm = [520, 110]
rows = [{ baseline_mm = 92, fields = [{ text = "{kana}{d*2}", height_mm = 75, width_mm = 44, pitch_mm = 50 }] }]
"""


@pytest.fixture
def atlantis(tmp_path: Path) -> ReaderConfig:
    (tmp_path / "aq.toml").write_text(ATLANTIS, encoding="utf8")
    return replace(SMALL, countries=("aq",), formats=(str(tmp_path),), network="residual")


def test_characters_of_a_further_format_are_added_to_the_charset_drawn_and_validated(atlantis: ReaderConfig) -> None:
    task = ReaderTask(atlantis)
    assert task.settings["characters"] == CHARSET.characters + "あい"
    assert task.network(torch.zeros(1, 1, 48, 192)).shape == (1, 96, len(CHARSET) + 2)
    shard = DrawReaderShard(replace(atlantis, empty_share=0.0))(0)
    assert set(shard["targets"][:, 0].tolist()) <= {len(CHARSET), len(CHARSET) + 1}
    assert task.validate(task.network)["score"] == 0.0
    assert ReaderTask(SMALL).settings["characters"] == CHARSET.characters


def test_network_and_transformer_of_the_config_are_built_and_named_in_the_checkpoint(atlantis: ReaderConfig) -> None:
    task = ReaderTask(replace(atlantis, transformer=True))
    assert isinstance(task.network, Transformed) and isinstance(task.network.reader, ResidualReader)
    assert task.settings == {"characters": CHARSET.characters + "あい", "network": "residual", "transformer": True, "width": 0.25, "hidden": 8}


TILTED = [[50, 40], [130, 42], [130, 60], [50, 58]]


def tilted(text: str) -> dict[str, Any]:
    return {**label(text), "quad": TILTED}


def test_start_says_how_many_texts_are_trained_on_and_why_others_are_not(make_dataset: Callable[..., Path]) -> None:
    held_out = [tilted("A0")]
    folder = make_dataset(
        held_out, [tilted("A1"), tilted("жд7"), label("A2")], [tilted("д3")], [tilted("ABCDEFGHIJKLM"), tilted("-")], [label("A4", None)]
    )
    task = ReaderTask(replace(SMALL, photos=(str(folder),)))
    # Seven plates outside the first image, one of them without a text. Д is on two of them, Ж on one.
    assert task.describe_data() == (
        "photos: 2 of 6 plates with a text are trained on; left out: 2 with characters outside the charset (Д Ж), "
        "1 with an upright box instead of corners, 1 with more than 12 characters; every fifth image is held out"
    )


def test_start_says_nothing_more_where_every_text_is_used_and_nothing_without_data_sets(make_dataset: Callable[..., Path]) -> None:
    folder = make_dataset(*[[tilted(f"A{i}")] for i in range(6)])
    config = replace(SMALL, photos=(str(folder),))
    assert ReaderTask(config).describe_data() == "photos: 4 of 4 plates with a text are trained on; every fifth image is held out"
    assert ReaderTask(replace(config, real_share=0.0)).describe_data() == ""
    assert ReaderTask(SMALL).describe_data() == ""


def test_only_the_most_frequent_characters_outside_the_charset_are_named(make_dataset: Callable[..., Path]) -> None:
    folder = make_dataset([], [tilted("A1"), tilted("あいうえおかきくけこ"), tilted("いういう"), tilted("い")])
    assert (
        "left out: 3 with characters outside the charset (い う あ え お か き く …)"
        in ReaderTask(replace(SMALL, photos=(str(folder),))).describe_data()
    )


def test_data_sets_of_which_no_text_can_be_used_give_error_that_says_what_to_do(make_dataset: Callable[..., Path]) -> None:
    folder = make_dataset([], [label("A1")], [tilted("あ7")], [label("A2")])
    task = ReaderTask(replace(SMALL, photos=(str(folder),)))
    with pytest.raises(DatasetError) as caught:
        task.describe_data()
    assert str(caught.value) == (
        f"photos: none of 3 plates with a text in {folder} can be trained on: 1 with characters outside the charset (あ), "
        "2 with an upright box instead of corners; declare the characters in a format file with `characters` and name its folder in formats "
        "(docs/formats.md), label the four corners of plates (docs/datasets.md), or set real_share = 0 to take nothing but places without a plate "
        "from these photos"
    )


def test_declared_characters_make_their_texts_usable(make_dataset: Callable[..., Path], atlantis: ReaderConfig) -> None:
    folder = make_dataset([], [tilted("あ7")], [tilted("う7")])
    said = ReaderTask(replace(atlantis, photos=(str(folder),))).describe_data()
    assert said.startswith("photos: 1 of 2 plates with a text are trained on; left out: 1 with characters outside the charset (う);")


@pytest.fixture
def two_sides(make_dataset: Callable[..., Path]) -> ReaderConfig:
    """Six images to train on, two to validate on."""
    train = make_dataset(*[[tilted(f"A{i}")] for i in range(6)], name="train")
    side = make_dataset([tilted("B1")], [label("B2"), tilted("B3")], name="val")
    return replace(SMALL, photos=(str(train),), validation=(str(side),))


def test_data_sets_named_to_validate_on_are_taken_whole_and_all_photos_trained_on(two_sides: ReaderConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[str]] = []

    def mix(formats: object, material: Material, *_: float, **__: float) -> Iterator[LabelledCrop]:
        seen.append([patch.text for patch in material.patches])
        return iter([])

    task = ReaderTask(two_sides)
    task.validate(Says("_"))
    real = task._validation["real"]
    assert [CHARSET.decode(int(i) for i in row) for row in real["targets"]] == ["B1", "B3"]
    monkeypatch.setattr(reader, "mix_crops", mix)
    for config in (two_sides, replace(two_sides, validation=())):
        DrawReaderShard(config)(0)
    assert seen == [["A0", "A1", "A2", "A3", "A4", "A5"], ["A1", "A2", "A3", "A4"]]
    assert task.describe_data() == (
        "photos: 6 of 6 plates with a text are trained on\n"
        "validation: 2 of 3 plates with a text are validated on; left out: 1 with an upright box instead of corners"
    )


def test_every_fifth_image_is_validated_on_where_no_data_sets_are_named_for_it(two_sides: ReaderConfig) -> None:
    task = ReaderTask(replace(two_sides, validation=()))
    task.validate(Says("_"))
    assert [CHARSET.decode(int(i) for i in row) for row in task._validation["real"]["targets"]] == ["A0", "A5"]


@pytest.mark.parametrize(
    ("plates", "said"),
    [
        ([label("A1")], "found 1 in {}: 1 with an upright box instead of corners; label the four corners of plates"),
        ([label(None)], "found 0 in {}; label some, or leave validation out"),
    ],
)
def test_validation_without_a_text_that_can_be_read_gives_error(make_dataset: Callable[..., Path], plates: list[dict[str, Any]], said: str) -> None:
    folder = make_dataset(plates)
    with pytest.raises(DatasetError) as caught:
        ReaderTask(replace(SMALL, validation=(str(folder),))).describe_data()
    assert str(caught.value).startswith("validation: expected plates with a text to validate on, " + said.format(folder))


def test_data_set_without_anything_to_train_on_gives_error(make_dataset: Callable[..., Path]) -> None:
    cut_out = make_dataset([label("A1", None)], name="one")  # the first image of five is held out
    unreadable = make_dataset([label("A1", None)], [label(None, None)], [label("あ7", None)], name="unreadable")
    for folder in (cut_out, unreadable):
        with pytest.raises(DatasetError, match=f"photos: expected photos, or plates with true corners .* none to train on in {folder}"):
            DrawReaderShard(replace(SMALL, photos=(str(folder),)))(0)


def test_reader_learns_what_its_teacher_says_of_the_same_crops() -> None:
    task = ReaderTask(replace(SMALL, teacher="package"))
    (batch,) = task.batches(0, 1)
    network = open_network(reader_path(), engine="onnxruntime", precision="fp32")
    expected = network(batch["crops"].numpy())[0][:, :-1]  # the last row tells countries
    assert batch["taught"].shape == (4, 96, len(CHARSET))
    assert np.abs(np.exp(batch["taught"].numpy()) - np.exp(expected)).mean() < 1e-3
    loss, figures = task.loss(task.network.train(), batch)
    alone, others = ReaderTask(SMALL).loss(task.network, {key: value for key, value in batch.items() if key != "taught"})
    assert figures["teaching_loss"] > 1 and others == {}
    assert float((loss - alone).detach()) == pytest.approx(figures["teaching_loss"], rel=1e-4)
    # The divergence of a distribution from itself is nothing; from one that is sure of another class, as far as its logarithms are apart.
    assert teaching_loss(batch["taught"], batch["taught"]).abs().max() < 1e-5
    apart = teaching_loss(torch.tensor([[[-3.0, -0.05107]]]), torch.tensor([[[-0.05107, -3.0]]]))
    assert apart.item() == pytest.approx((math.exp(-0.05107) - math.exp(-3)) * (3 - 0.05107), rel=1e-4)


def test_teacher_must_be_a_reader_of_the_same_charset(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="teacher: expected the exported file of a reader, .* is of kind 'detector'"):
        ReaderTask(replace(SMALL, teacher=str(detector_path())))
    path = constant_network(tmp_path / "r.onnx", ("n", 48, 192), np.zeros((1, 96, 3)), {"openplate.kind": "reader", "openplate.characters": "AB"})
    with pytest.raises(ConfigError, match="teacher: expected a reader of the charset 0123.*has AB"):
        ReaderTask(replace(SMALL, teacher=str(path)))
