from __future__ import annotations

import io
import os
import struct
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image as Pillow
from PIL import ImageSequence

from openplate.errors import SourceError
from openplate.sources import Limits, encode_image, expand, read_image, write_image
from openplate.types import Image

RED, GREEN, BLUE, BROWN = (255, 0, 0), (0, 255, 0), (0, 0, 255), (200, 100, 50)
KINDS = ["JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF"]


def quarters(width: int = 32, height: int = 16) -> Pillow.Image:
    """Red top left, green top right, blue bottom left, brown bottom right."""
    image = np.zeros((height, width, 3), np.uint8)
    image[: height // 2, : width // 2], image[: height // 2, width // 2 :] = RED, GREEN
    image[height // 2 :, : width // 2], image[height // 2 :, width // 2 :] = BLUE, BROWN
    return Pillow.fromarray(image)


def encoded(picture: Pillow.Image, kind: str, **settings: Any) -> bytes:
    exact = {"JPEG": {"quality": 95, "subsampling": 0}, "WEBP": {"lossless": True, "exact": True}}.get(kind, {})
    stream = io.BytesIO()
    picture.save(stream, kind, **{**exact, **settings})
    return stream.getvalue()


def corners(image: Image) -> list[tuple[int, ...]]:
    """The colours near the corners: top left, top right, bottom left, bottom right."""
    return [tuple(int(v) for v in image[y, x]) for y in (2, -3) for x in (2, -3)]


def assert_colours(image: Image, *expected: tuple[int, int, int], tolerance: int = 3) -> None:
    assert image.dtype == np.uint8
    assert image.flags.c_contiguous
    np.testing.assert_allclose(corners(image), expected, atol=tolerance)


def only_image(data: bytes) -> Image:
    frames = read_image(data)
    assert len(frames) == 1
    return frames[0].image


def fault(source: Path | str | bytes, limits: Limits | None = None) -> str:
    with pytest.raises(SourceError) as caught:
        read_image(source, limits) if limits else read_image(source)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_gives_rgb(kind: str) -> None:
    assert_colours(only_image(encoded(quarters(), kind)), RED, GREEN, BLUE, BROWN)


def test_file_path_gives_frame_with_its_path_and_index_0(tmp_path: Path) -> None:
    path = tmp_path / "фото 车.png"
    path.write_bytes(encoded(quarters(), "PNG"))
    frame = read_image(path)[0]
    assert (frame.source, frame.index, frame.time_s) == (str(path), 0, None)
    assert frame.image.shape == (16, 32, 3)


# What orientation n does to red, green, blue, brown in reading order.
TURNED = {
    1: (RED, GREEN, BLUE, BROWN),
    2: (GREEN, RED, BROWN, BLUE),
    3: (BROWN, BLUE, GREEN, RED),
    4: (BLUE, BROWN, RED, GREEN),
    5: (RED, BLUE, GREEN, BROWN),
    6: (BLUE, RED, BROWN, GREEN),
    7: (BROWN, GREEN, BLUE, RED),
    8: (GREEN, BROWN, RED, BLUE),
}


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", TURNED)
def test_exif_orientation_gives_upright_image(kind: str, orientation: int, mode: str) -> None:
    exif = Pillow.Exif()
    exif[0x0112] = orientation
    picture = quarters().convert("RGB" if kind == "JPEG" else mode)
    image = only_image(encoded(picture, kind, exif=exif))
    assert image.shape[:2] == ((16, 32) if orientation < 5 else (32, 16))
    assert_colours(image, *TURNED[orientation])


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_big_endian_exif_with_other_tags_is_understood(kind: str) -> None:
    entries = [(0x010F, 2, 4, b"Cam\0"), (0x0112, 3, 1, b"\0\x06\0\0"), (0x0128, 3, 1, b"\0\x02\0\0")]
    tiff = b"MM\0*" + struct.pack(">IH", 8, len(entries)) + b"".join(struct.pack(">HHI", *e[:3]) + e[3] for e in entries) + bytes(4)
    assert_colours(only_image(encoded(quarters(), kind, exif=b"Exif\0\0" + tiff)), *TURNED[6])


@pytest.mark.parametrize("exif", [b"Exif\0\0", b"Exif\0\0II*\0\0\0\0\0", b"Exif\0\0MM\0*\xff\xff\xff\xff", b"rubbish"])
def test_damaged_exif_leaves_the_picture_as_it_is(exif: bytes) -> None:
    assert_colours(only_image(encoded(quarters(), "WEBP", exif=exif)), RED, GREEN, BLUE, BROWN)


@pytest.mark.parametrize("kind", KINDS)
def test_grey_gives_three_equal_channels(kind: str) -> None:
    image = only_image(encoded(quarters().convert("L"), kind))
    assert_colours(image, (76,) * 3, (150,) * 3, (29,) * 3, (124,) * 3)


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "BMP", "GIF"])
def test_palette_gives_its_colours(kind: str) -> None:
    assert_colours(only_image(encoded(quarters().quantize(4), kind)), RED, GREEN, BLUE, BROWN)


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "BMP"])
def test_one_bit_gives_black_and_white(kind: str) -> None:
    picture = Pillow.new("1", (32, 16), 0)
    picture.paste(1, (0, 0, 16, 16))
    assert_colours(only_image(encoded(picture, kind)), (255,) * 3, (0,) * 3, (255,) * 3, (0,) * 3)


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_cmyk_gives_its_colours(kind: str) -> None:
    assert_colours(only_image(encoded(quarters().convert("CMYK"), kind)), RED, GREEN, BLUE, BROWN)


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
def test_half_transparent_colours_are_mixed_with_white(kind: str) -> None:
    picture = quarters()
    picture.putalpha(51)  # a fifth: 0 → 204, 255 → 255, 200 → 244, 100 → 224, 50 → 214
    image = only_image(encoded(picture, kind))
    assert_colours(image, (255, 204, 204), (204, 255, 204), (204, 204, 255), (244, 224, 214), tolerance=1)


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF", "GIF"])
def test_transparent_part_is_white_and_the_rest_is_kept(kind: str) -> None:
    picture = quarters()
    alpha = Pillow.new("L", picture.size, 255)
    alpha.paste(0, (0, 0, 16, 16))
    picture.putalpha(alpha)
    assert_colours(only_image(encoded(picture, kind)), (255,) * 3, GREEN, (255,) * 3, BROWN)


def test_png_palette_with_a_transparent_colour_is_white_there() -> None:
    picture = quarters().quantize(4)
    data = encoded(picture, "PNG", transparency=picture.getpixel((2, 2)))
    assert_colours(only_image(data), (255,) * 3, GREEN, BLUE, BROWN)


def test_png_grey_with_alpha_is_mixed_with_white() -> None:
    picture = Pillow.merge("LA", (Pillow.new("L", (32, 16), 100), Pillow.new("L", (32, 16), 51)))
    assert only_image(encoded(picture, "PNG"))[8, 8].tolist() == [224, 224, 224]


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_16_bit_is_scaled_and_not_clipped(suffix: str) -> None:
    grey = np.full((16, 32), 128 * 257, np.uint16)
    grey[:, 16:] = 300  # 300 / 257 = 1.17
    image = only_image(cv2.imencode(suffix, grey)[1].tobytes())
    assert image[8, 2].tolist() == [128, 128, 128]
    assert image[8, 30].tolist() == [1, 1, 1]


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_16_bit_colour_and_alpha_are_scaled_and_mixed_with_white(suffix: str) -> None:
    bgra = np.zeros((16, 32, 4), np.uint16)
    bgra[..., 0], bgra[..., 2], bgra[..., 3] = 100 * 257, 65535, 51 * 257
    image = only_image(cv2.imencode(suffix, bgra)[1].tobytes())
    np.testing.assert_allclose(image[8, 8], (255, 204, 224), atol=1)


def test_float_tiff_is_refused() -> None:
    data = encoded(Pillow.fromarray(np.ones((16, 32), np.float32)), "TIFF")
    assert "expected 8 or 16 bits a channel, got float32" in fault(data)


@pytest.mark.parametrize("kind", ["TIFF", "GIF", "WEBP", "PNG"])
def test_multi_frame_file_gives_every_frame_with_its_number(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "many"
    path.write_bytes(
        encoded(quarters(), kind, save_all=True, append_images=[quarters().rotate(180), quarters().transpose(Pillow.Transpose.FLIP_LEFT_RIGHT)])
    )
    frames = read_image(path)
    assert [(f.source, f.index) for f in frames] == [(str(path), 0), (f"{path}#2", 1), (f"{path}#3", 2)]
    assert_colours(frames[0].image, RED, GREEN, BLUE, BROWN)
    assert_colours(frames[1].image, BROWN, BLUE, GREEN, RED)
    assert_colours(frames[2].image, GREEN, RED, BROWN, BLUE)


def test_animated_gif_with_partial_frames_is_composed_as_pillow_composes_it() -> None:
    patches = [quarters(64, 48)]
    for i, colour in enumerate([BROWN, BLUE]):
        patches.append(patches[-1].copy())
        patches[-1].paste(colour, (10 * i, 5, 10 * i + 12, 20))
    data = encoded(patches[0], "GIF", save_all=True, append_images=patches[1:], duration=50)
    expected = [np.asarray(frame.convert("RGB")) for frame in ImageSequence.Iterator(Pillow.open(io.BytesIO(data)))]
    frames = read_image(data)
    assert len(frames) == len(expected) == 3
    for frame, picture in zip(frames, expected, strict=True):
        np.testing.assert_array_equal(frame.image, picture)


def test_tiff_pages_of_different_sizes_and_kinds_are_read() -> None:
    data = encoded(quarters(), "TIFF", save_all=True, append_images=[quarters(64, 20).convert("L"), quarters(20, 64).convert("CMYK")])
    frames = read_image(data)
    assert [frame.image.shape for frame in frames] == [(16, 32, 3), (20, 64, 3), (64, 20, 3)]
    assert_colours(frames[2].image, RED, GREEN, BLUE, BROWN)


def test_jpeg_with_further_pictures_behind_it_gives_the_first() -> None:
    data = encoded(quarters(), "MPO", save_all=True, append_images=[quarters().rotate(180)], quality=95, subsampling=0)
    assert_colours(only_image(data), RED, GREEN, BLUE, BROWN)


def noisy() -> Pillow.Image:
    return Pillow.fromarray(np.random.default_rng(1).integers(0, 256, (60, 80, 3), dtype=np.uint8))


CUTTABLE = {kind: encoded(noisy(), kind) for kind in KINDS} | {
    "progressive JPEG": encoded(noisy(), "JPEG", progressive=True),
    "JPEG with a thumbnail": encoded(noisy(), "JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\0\0\0\0\0\0" + encoded(quarters(), "JPEG")),
    "LZW TIFF": encoded(noisy(), "TIFF", compression="tiff_lzw"),
    "animated GIF": encoded(noisy(), "GIF", save_all=True, append_images=[quarters(80, 60)]),
    "animated WebP": encoded(noisy(), "WEBP", save_all=True, append_images=[quarters(80, 60)]),
    "two-page TIFF": encoded(noisy(), "TIFF", save_all=True, append_images=[quarters(80, 60)]),
}


@pytest.mark.parametrize("kind", CUTTABLE)
def test_cut_file_gives_source_error_wherever_it_is_cut(kind: str) -> None:
    data = CUTTABLE[kind]
    last = len(data) - (16 if "TIFF" in kind else 1)  # a TIFF may end in padding
    for kept in (*range(1, 64, 7), *range(64, last, max(1, len(data) // 25)), last):
        assert "picture" in fault(data[:kept]), f"cut after {kept} of {len(data)} bytes"


@pytest.mark.parametrize("kind", KINDS)
def test_bytes_after_the_end_are_allowed(kind: str) -> None:
    assert_colours(only_image(encoded(quarters(), kind) + b"\0" * 100 + b"appended by some tool"), RED, GREEN, BLUE, BROWN)


def test_jpeg_whose_end_is_filled_with_zeros_gives_source_error() -> None:
    data = CUTTABLE["JPEG"]
    assert "cut" in fault(data[: len(data) // 2] + bytes(len(data) // 2))


def test_png_with_a_changed_byte_gives_source_error() -> None:
    data = bytearray(CUTTABLE["PNG"])
    data[len(data) // 2] ^= 1
    assert "wrong checksum" in fault(bytes(data))


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


SIDE = 60_000
BOMBS = {
    "PNG": b"\x89PNG\r\n\x1a\n"
    + chunk(b"IHDR", struct.pack(">IIBBBBB", SIDE, SIDE, 8, 2, 0, 0, 0))
    + chunk(b"IDAT", zlib.compress(bytes(1000)))
    + chunk(b"IEND", b""),
    "JPEG": b"\xff\xd8\xff\xc0\0\x11\x08" + struct.pack(">HH", SIDE, SIDE) + b"\3\1\x22\0\2\x11\1\3\x11\1\xff\xda\0\2\xff\xd9",
    "GIF": b"GIF89a" + struct.pack("<HH", SIDE, SIDE) + b"\0\0\0,\0\0\0\0\1\0\1\0\0\2\2D\1\0;",
    "BMP": b"BM" + struct.pack("<IIIIiiHHIIiiII", 100, 0, 54, 40, SIDE, -SIDE, 1, 24, 0, 0, 0, 0, 0, 0),
    "old BMP": b"BM" + struct.pack("<IIIIHHHH", 100, 0, 26, 12, SIDE, SIDE, 1, 24),
    "TIFF": b"MM\0*" + struct.pack(">IH", 8, 2) + struct.pack(">HHIIHHIII", 256, 4, 1, SIDE, 257, 4, 1, SIDE, 0),
    "WebP VP8X": b"RIFF" + struct.pack("<I", 22) + b"WEBPVP8X\x0a\0\0\0\0\0\0\0" + (SIDE - 1).to_bytes(3, "little") * 2,
    "WebP VP8": b"RIFF" + struct.pack("<I", 22) + b"WEBPVP8 \x0a\0\0\0\0\0\0\x9d\1\x2a" + struct.pack("<HH", 16383, 16383),
    "WebP VP8L": b"RIFF" + struct.pack("<I", 18) + b"WEBPVP8L\5\0\0\0/" + struct.pack("<I", 16382 | 16382 << 14) + b"\0",
}


@pytest.mark.parametrize("kind", BOMBS)
def test_forged_size_is_refused_before_decoding(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("decoded"))
    monkeypatch.setattr(cv2, "imdecodemulti", lambda *_: pytest.fail("decoded"))
    side = 16383 if kind in ("WebP VP8", "WebP VP8L") else SIDE
    assert f"expected at most 120,000,000 pixels over all frames, got {side}×{side}" in fault(BOMBS[kind])


def test_many_frames_count_together(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encoded(quarters(), "GIF", save_all=True, append_images=[quarters().rotate(180), quarters()])
    monkeypatch.setattr(cv2, "imdecodemulti", lambda *_: pytest.fail("decoded"))
    assert "got 32×16 in frame 3" in fault(data, Limits(max_pixels=3 * 512 - 1))


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF"])
def test_too_many_frames_are_refused(kind: str) -> None:
    data = encoded(quarters(), kind, save_all=True, append_images=[quarters().rotate(180), quarters()])
    assert "expected at most 2 frames, got more" in fault(data, Limits(max_frames=2))
    assert len(read_image(data, Limits(max_frames=3))) == 3


def test_tiff_whose_pages_form_a_ring_is_refused() -> None:
    ring = b"II*\0" + struct.pack("<IH", 8, 2) + struct.pack("<HHIIHHIII", 256, 4, 1, 64, 257, 4, 1, 64, 8)
    assert "expected at most 256 frames" in fault(ring)


def test_tiff_with_huge_tiles_is_refused() -> None:
    tags = [(256, 64), (257, 64), (322, 30_000), (323, 30_000)]
    data = b"II*\0" + struct.pack("<IH", 8, 4) + b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags) + bytes(4)
    assert "tiles of at most 8192 px" in fault(data)


def test_long_run_of_fill_bytes_in_a_jpeg_is_refused_quickly() -> None:
    assert "cut or damaged" in fault(b"\xff\xd8" + b"\xff" * 1_000_000 + b"\0")


@pytest.mark.parametrize("size", [(1, 1), (400, 7), (7, 400)])
def test_side_under_8_px_gives_source_error(size: tuple[int, int]) -> None:
    assert f"expected at least 8 px on each side, got {size[0]}×{size[1]}" in fault(encoded(Pillow.new("RGB", size), "PNG"))


def test_smallest_size_is_read() -> None:
    assert only_image(encoded(Pillow.new("RGB", (8, 8)), "PNG")).shape == (8, 8, 3)


def test_text_named_jpg_gives_source_error(tmp_path: Path) -> None:
    path = tmp_path / "notes.jpg"
    path.write_text("hello world")
    assert (
        fault(path)
        == f"{path}: expected a JPEG, PNG, WebP, BMP, TIFF or GIF picture, got a file that starts with b'hello wo'; save it as one of these"
    )


def test_picture_with_a_wrong_suffix_is_read(tmp_path: Path) -> None:
    path = tmp_path / "really_png.jpg"
    path.write_bytes(encoded(quarters(), "PNG"))
    assert_colours(read_image(str(path))[0].image, RED, GREEN, BLUE, BROWN)


def test_empty_file_gives_source_error(tmp_path: Path) -> None:
    path = tmp_path / "empty.jpg"
    path.touch()
    assert fault(path) == f"{path}: expected a picture, got an empty file; copy it again"


def test_missing_file_gives_source_error(tmp_path: Path) -> None:
    assert "no such file" in fault(tmp_path / "missing.jpg")


def test_folder_gives_source_error(tmp_path: Path) -> None:
    assert "got a folder" in fault(tmp_path)


def test_pipe_gives_source_error_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert "got a device or a pipe" in fault(tmp_path / "pipe")


def test_file_that_may_not_be_read_gives_source_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "secret.jpg"
    path.write_bytes(b"x")

    def denied(_: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", denied)
    assert fault(path) == f"{path}: expected a picture file, got none: permission denied; check the path and its permissions"


def test_large_file_is_refused_before_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "large.jpg"
    path.write_bytes(bytes(1001))
    monkeypatch.setattr(Path, "read_bytes", lambda _: pytest.fail("read"))
    assert "expected at most 1,000 bytes, got 1,001" in fault(path, Limits(max_file_bytes=1000))


def test_bytes_have_the_name_that_is_given() -> None:
    assert read_image(encoded(quarters(), "PNG"), name="upload.png")[0].source == "upload.png"
    with pytest.raises(SourceError, match=r"^upload\.png: "):
        read_image(b"nothing", name="upload.png")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in ("b.JPG", "a.png", "notes.txt", ".hidden.jpg", "sub/c.webp", "sub/deep/d.tif", ".cache/e.jpg", "empty/readme.md", "odd[1].jpg"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path


def found(*paths: Path | str) -> list[str]:
    return [str(entry) for entry in expand([str(path) for path in paths])]


def test_folder_gives_its_pictures_sorted_and_all_below(tree: Path) -> None:
    names = ["a.png", "b.JPG", "odd[1].jpg", "sub/c.webp", "sub/deep/d.tif"]
    assert found(tree) == [str(tree / name) for name in names]


def test_pattern_gives_sorted_matches_and_two_stars_go_deeper(tree: Path) -> None:
    assert found(tree / "*.[pJ]*") == [str(tree / "a.png"), str(tree / "b.JPG")]
    assert found(tree / "**" / "*.tif") == [str(tree / "sub/deep/d.tif")]


def test_pattern_gives_a_file_once_though_it_names_its_folders_too(tree: Path) -> None:
    (tree / "sub/empty").mkdir()
    given = found(tree / "sub" / "**")
    assert [line for line in given if "expected" not in line] == [str(tree / "sub/c.webp"), str(tree / "sub/deep/d.tif")]
    assert [line.partition(":")[0] for line in given if "expected" in line] == [str(tree / "sub/empty")]
    assert found(tree / "a.*", tree / "a.png") == [str(tree / "a.png")] * 2  # named by two PATHs


def test_file_with_brackets_in_its_name_is_no_pattern(tree: Path) -> None:
    assert found(tree / "odd[1].jpg") == [str(tree / "odd[1].jpg")]


def test_named_file_is_given_whatever_its_suffix(tree: Path) -> None:
    assert found(tree / "notes.txt") == [str(tree / "notes.txt")]


def test_missing_path_gives_error_in_its_place_and_the_rest_follows(tree: Path) -> None:
    first, second, third = expand([str(tree / "nothing.jpg"), str(tree / "a.png"), str(tree / "*.bmp")])
    assert isinstance(first, SourceError)
    assert "nothing.jpg: expected a file, a folder or a pattern of files" in str(first)
    assert second == tree / "a.png"
    assert isinstance(third, SourceError)


def test_empty_path_gives_error_and_not_the_current_folder() -> None:
    (entry,) = expand([""])
    assert isinstance(entry, SourceError)


def test_folder_without_pictures_gives_error(tree: Path) -> None:
    (entry,) = expand([str(tree / "empty")])
    assert isinstance(entry, SourceError)
    assert "expected a folder with pictures" in str(entry)


def test_folder_that_may_not_be_opened_gives_error_and_the_rest_follows(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    look = os.scandir

    def guarded(path: str) -> Any:
        if Path(path).name == "sub":
            raise PermissionError(13, "Permission denied", path)
        return look(path)

    monkeypatch.setattr(os, "scandir", guarded)
    *pictures, error = expand([str(tree)])
    assert pictures == [tree / name for name in ("a.png", "b.JPG", "odd[1].jpg")]
    assert str(error) == f"{tree / 'sub'}: expected a folder to look into: permission denied; check its permissions"


@pytest.mark.parametrize("suffix", [".jpg", ".JPEG", ".png", ".webp", ".bmp", ".tif"])
def test_encoded_image_is_read_back(suffix: str) -> None:
    assert_colours(only_image(encode_image(np.asarray(quarters(64, 64)), suffix, quality=100)), RED, GREEN, BLUE, BROWN, tolerance=6)


def test_encoded_grey_image_is_read_back() -> None:
    assert only_image(encode_image(np.full((16, 32), 77, np.uint8), ".png"))[0, 0].tolist() == [77, 77, 77]


def test_lower_quality_gives_a_smaller_file() -> None:
    image = np.asarray(noisy())
    assert len(encode_image(image, ".jpg", quality=30)) < len(encode_image(image, ".jpg"))


def test_unknown_suffix_gives_source_error() -> None:
    with pytest.raises(SourceError, match=r"expected a file name that ends in one of \.jpg .* got '\.heic'"):
        encode_image(np.zeros((16, 16, 3), np.uint8), ".heic")


def test_written_image_leaves_the_argument_and_no_other_file(tmp_path: Path) -> None:
    image = np.asarray(quarters()).copy()
    path = tmp_path / "made" / "out.png"
    write_image(path, image)
    write_image(path, image)
    assert [p.name for p in path.parent.iterdir()] == ["out.png"]
    np.testing.assert_array_equal(image, np.asarray(quarters()))
    np.testing.assert_array_equal(read_image(path)[0].image, image)


def test_failed_write_keeps_the_old_file_and_leaves_no_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "out.png"
    path.write_bytes(b"old")

    def full(_: Path, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(SourceError, match="cannot be written: no space left on device"):
        write_image(path, np.asarray(quarters()))
    assert [p.name for p in tmp_path.iterdir()] == ["out.png"]
    assert path.read_bytes() == b"old"
