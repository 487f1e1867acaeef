"""Picture files in, frames out, and images back into files; the only module where BGR exists.

A file's header is read here, not by the decoder, so that nothing is decoded that is too large, and that a cut file is an error:
decoders fill what is missing with grey. OpenCV 5 turns JPEG and TIFF pictures upright by itself, PNG and WebP pictures are turned here.
"""

from __future__ import annotations

import contextlib
import glob
import os
import re
import secrets
import stat
import sys
import tempfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from struct import error as StructError
from struct import unpack_from
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from openplate.errors import SourceError
from openplate.types import Frame, Image

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif")
"""What a picture's name ends with, in lower case; a folder's other files are passed over."""
_KINDS = "JPEG, PNG, WebP, BMP, TIFF or GIF"
_WRITABLE = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")

_JPEG_MARKER = re.compile(rb"\xff([^\x00\xff])")
_JPEG_SIZES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_BARE = frozenset({0x01, *range(0xD0, 0xD9)})
_JPEG_END, _JPEG_SCAN = 0xD9, 0xDA
_PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
_TIFF_WIDTH, _TIFF_HEIGHT, _TIFF_ORIENTATION, _TIFF_TILE_WIDTH, _TIFF_TILE_HEIGHT = 256, 257, 274, 322, 323
_MAX_TILE_PX, _MAX_TAGS = 8192, 4096
_STDERR = 2

Size = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Limits:
    """What a picture file may demand; the defaults pass every photo of a phone (108 Mpx) and keep an attacker's file under about 1 GB of memory."""

    max_pixels: int = 120_000_000
    """Over all frames of a file."""
    min_side_px: int = 8
    max_file_bytes: int = 256 * 2**20
    max_frames: int = 256


DEFAULT_LIMITS = Limits()


def read_image(source: Path | str | bytes, limits: Limits = DEFAULT_LIMITS, *, name: str | None = None) -> list[Frame]:
    """All frames of a picture file or of its bytes: upright, alpha on white, 16 bits scaled to 8.

    Args:
        source: a path, or the file's bytes.
        limits: what the file may demand.
        name: what errors and frames call the source; its path when not given.

    Returns:
        One frame a picture, at least one. The second frame's source ends in `#2`. Of a JPEG file only the first picture is read.

    Raises:
        SourceError: the file is missing, empty, cut off, no picture, or outside the limits.
    """
    label = name or ("picture" if isinstance(source, bytes) else str(source))
    try:
        data = source if isinstance(source, bytes) else _file_bytes(Path(source), limits)
        if not data:
            raise SourceError("expected a picture, got an empty file; copy it again")
        images = _decode(data, limits)
    except SourceError as error:
        raise SourceError(f"{label}: {error}") from None
    return [Frame(image, label if i == 0 else f"{label}#{i + 1}", i) for i, image in enumerate(images)]


def expand(paths: Sequence[str]) -> Iterator[Path | SourceError]:
    """The picture files that files, folders (with all below, sorted) and glob patterns stand for; an error in the place of what gives none.

    In folders, hidden files and names without a picture's suffix are passed over; a file that is named is always given. A pattern gives each file once,
    though it may stand for a folder and for files in it.
    """
    for path in paths:
        try:
            mode = os.stat(path).st_mode  # noqa: PTH116  Path("") would be the current folder
        except (OSError, ValueError) as error:
            matches = sorted(glob.glob(path, recursive=True)) if glob.has_magic(path) else []  # noqa: PTH207
            if not matches:
                yield SourceError(f"{path}: expected a file, a folder or a pattern of files, got nothing: {_reason(error)}; check the path")
            given: set[str] = set()
            for match in matches:
                for entry in _folder(Path(match)) if Path(match).is_dir() else [Path(match)]:
                    if str(entry) not in given:
                        given.add(str(entry))
                        yield entry
            continue
        yield from _folder(Path(path)) if stat.S_ISDIR(mode) else [Path(path)]


def encode_image(image: Image, suffix: str, quality: int = 92) -> bytes:
    """A picture file's bytes.

    Args:
        image: `(H, W, 3) uint8 RGB` or `(H, W) uint8` grey.
        suffix: `.jpg`, `.png`, `.webp`, `.bmp` or `.tif`.
        quality: 1 to 100, for JPEG and WebP.

    Raises:
        SourceError: no picture file can be written under this suffix.
    """
    suffix = suffix.lower()
    if suffix not in _WRITABLE:
        raise SourceError(f"expected a file name that ends in one of {' '.join(_WRITABLE)}, got {suffix!r}")
    settings = [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_WEBP_QUALITY, quality]
    wanted = {".jpg": settings[:2], ".jpeg": settings[:2], ".webp": settings[2:]}.get(suffix, [])
    done, data = cv2.imencode(suffix, image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2BGR), wanted)
    if not done:
        raise SourceError(f"an image of shape {image.shape} cannot be written as {suffix}")
    return data.tobytes()


def write_image(path: Path, image: Image, quality: int = 92) -> None:
    """Write a picture file, whole or not at all; missing folders are made and an older file is replaced.

    Raises:
        SourceError: the suffix is unknown or the file cannot be written.
    """
    data = encode_image(image, path.suffix, quality)
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(data)
        part.replace(path)
    except OSError as error:
        raise SourceError(f"{path}: cannot be written: {_reason(error)}") from None
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)


_DAMAGE = re.compile(r"Corrupt JPEG data|Premature end of JPEG|Inconsistent progression sequence|Invalid SOS parameters")
_PADDING = re.compile(r"Corrupt JPEG data: \d{1,2} extraneous bytes before marker 0xd9")
"""Some cameras fill a picture up with a few bytes before its end; nothing of it is lost."""


@dataclass(slots=True)
class Heard:
    """What decoders wrote to stderr while `overhear_decoder` listened; complete once that has ended."""

    text: str = ""

    def damage(self, label: str) -> SourceError | None:
        """What is wrong with the JPEG picture `label` that was decoded all the same; None when nothing was said of damage.

        Decoders of other kinds give damaged pictures up, or talk of what does no harm.
        """
        said = [line.strip() for line in self.text.splitlines() if _DAMAGE.match(line) and not _PADDING.match(line)]
        if not said:
            return None
        return SourceError(f"{label}: expected a whole JPEG picture, got a damaged one ({said[0]}); parts of it may be wrong or grey, copy it again")


@contextlib.contextmanager
def overhear_decoder() -> Iterator[Heard]:
    """Keeps what decoders themselves write to stderr from it, in the whole process: for programs that read one picture at a time.

    The JPEG decoder says on stderr alone that it went on over damaged data, and not of which file.
    """
    heard = Heard()
    sys.stderr.flush()
    try:
        kept = os.dup(_STDERR)
    except OSError:  # a program without stderr
        yield heard
        return
    try:
        with tempfile.TemporaryFile() as file:
            os.dup2(file.fileno(), _STDERR)
            try:
                yield heard
            finally:
                sys.stderr.flush()
                os.dup2(kept, _STDERR)
                file.seek(0)
                heard.text = file.read().decode(errors="replace")
    finally:
        os.close(kept)


def silence_codecs() -> None:
    """Turn OpenCV's own messages about damaged files off, for the whole process: for programs that print the `SourceError` instead."""
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)


def _file_bytes(path: Path, limits: Limits) -> bytes:
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise SourceError("expected a picture file, got a folder; name a file in it")
        if not stat.S_ISREG(status.st_mode):
            raise SourceError("expected a picture file, got a device or a pipe; save the picture to a file first")
        if status.st_size > limits.max_file_bytes:
            raise SourceError(f"expected at most {limits.max_file_bytes:,} bytes, got {status.st_size:,}; save the picture smaller")
        return path.read_bytes()
    except (OSError, ValueError) as error:
        raise SourceError(f"expected a picture file, got none: {_reason(error)}; check the path and its permissions") from None


def _folder(folder: Path) -> Iterator[Path | SourceError]:
    faults: list[OSError] = []
    count = 0
    for parent, folders, files in os.walk(folder, onerror=faults.append):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if not name.startswith(".") and name.lower().endswith(SUFFIXES):
                count += 1
                yield Path(parent, name)
    for fault in faults:
        yield SourceError(f"{fault.filename}: expected a folder to look into: {_reason(fault)}; check its permissions")
    if not count and not faults:
        yield SourceError(f"{folder}: expected a folder with pictures ({' '.join(SUFFIXES)}), got none; check the path")


def _reason(error: OSError | ValueError) -> str:
    return (getattr(error, "strerror", None) or str(error)).lower()


def _decode(data: bytes, limits: Limits) -> list[Image]:
    if len(data) > limits.max_file_bytes:
        raise SourceError(f"expected at most {limits.max_file_bytes:,} bytes, got {len(data):,}; save the picture smaller")
    kind, header = _kind(data)
    try:
        sizes = _check(header(data), limits)
    except (StructError, IndexError):
        raise SourceError(f"expected a whole {kind} picture, got a cut or damaged one; copy it again") from None
    buffer = np.frombuffer(data, np.uint8)
    try:
        if kind == "JPEG":
            image = cv2.imdecode(buffer, cv2.IMREAD_COLOR_RGB)
            images: list[Image] = [] if image is None else [np.asarray(image, np.uint8)]
        else:
            orientation = _orientation(kind, data)
            pages = cv2.imdecodemulti(buffer, cv2.IMREAD_UNCHANGED)[1]
            images = [_upright(_rgb(page, associated=kind == "TIFF" and page.dtype == np.uint8), orientation) for page in pages]
    except cv2.error:
        images = []
    if not images or len(images) > len(sizes):
        raise SourceError(f"expected a whole {kind} picture, got one that cannot be decoded: it is cut or damaged; copy it again")
    return images


def _check(sizes: Iterator[Size], limits: Limits) -> list[Size]:
    """The frames' sizes when they are inside the limits; stops at the first that is not, so that a forged header costs nothing."""
    seen: list[Size] = []
    pixels = 0
    for width, height in sizes:
        seen.append((width, height))
        pixels += width * height
        if min(width, height) < limits.min_side_px:
            raise SourceError(f"expected at least {limits.min_side_px} px on each side, got {width}×{height}; take a larger picture")
        if pixels > limits.max_pixels:
            frames = f" in frame {len(seen)}" if len(seen) > 1 else ""
            raise SourceError(f"expected at most {limits.max_pixels:,} pixels over all frames, got {width}×{height}{frames}; save it smaller")
        if len(seen) > limits.max_frames:
            raise SourceError(f"expected at most {limits.max_frames} frames, got more; split the file")
    if not seen:
        raise IndexError
    return seen


def _rgb(decoded: NDArray[Any], *, associated: bool) -> Image:
    """What OpenCV decoded (grey, BGR or BGRA; 8 or 16 bits) as RGB; `associated`: colours are multiplied by alpha already."""
    if decoded.dtype == np.uint16:
        decoded = cv2.convertScaleAbs(decoded, alpha=1 / 257)
    if decoded.dtype != np.uint8:
        raise SourceError(f"expected 8 or 16 bits a channel, got {decoded.dtype}; save the picture with 8 bits")
    if decoded.ndim == 2:
        return np.asarray(cv2.cvtColor(decoded, cv2.COLOR_GRAY2RGB), np.uint8)
    if decoded.shape[2] == 3:
        return np.asarray(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB, dst=decoded), np.uint8)
    rgb = cv2.cvtColor(decoded, cv2.COLOR_BGRA2RGB)
    alpha = decoded[..., 3]
    if alpha.min() < 255:
        opacity = cv2.cvtColor(alpha, cv2.COLOR_GRAY2RGB)
        if not associated:
            cv2.multiply(rgb, opacity, dst=rgb, scale=1 / 255)
        cv2.add(rgb, cv2.bitwise_not(opacity, dst=opacity), dst=rgb)
    return np.asarray(rgb, np.uint8)


def _upright(image: Image, orientation: int) -> Image:
    """The image turned as EXIF's orientation 1-8 says; 1 and unknown values leave it as it is."""
    if orientation in (5, 6, 7, 8):
        image = np.asarray(cv2.transpose(image), np.uint8)
    flip = {2: 1, 3: -1, 4: 0, 6: 1, 7: -1, 8: 0}.get(orientation)
    return image if flip is None else np.asarray(cv2.flip(image, flip), np.uint8)


def _kind(data: bytes) -> tuple[str, Callable[[bytes], Iterator[Size]]]:
    """The picture's kind and what reads the sizes of its frames from its header."""
    if data.startswith(b"\xff\xd8\xff"):
        return "JPEG", _jpeg_sizes
    if data.startswith(_PNG_MAGIC):
        return "PNG", _png_sizes
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "WebP", _webp_sizes
    if data.startswith(b"BM"):
        return "BMP", _bmp_sizes
    if data.startswith((b"II*\0", b"MM\0*")):
        return "TIFF", _tiff_sizes
    if data.startswith((b"GIF87a", b"GIF89a")):
        return "GIF", _gif_sizes
    raise SourceError(f"expected a {_KINDS} picture, got a file that starts with {data[:8]!r}; save it as one of these")


def _orientation(kind: str, data: bytes) -> int:
    """EXIF's orientation in a PNG or WebP picture, 1 where none is given."""
    chunks = {"PNG": _png_chunks, "WebP": _webp_chunks}.get(kind)
    for name, start, length in chunks(data) if chunks else ():
        if name in (b"eXIf", b"EXIF"):
            exif = data[start : start + length].removeprefix(b"Exif\0\0")
            with contextlib.suppress(StructError, SourceError):
                return next(_tiff_pages(exif), {}).get(_TIFF_ORIENTATION, 1)
    return 1


def _jpeg_sizes(data: bytes) -> Iterator[Size]:
    position, marker = 2, 0
    while marker != _JPEG_SCAN:
        found = _JPEG_MARKER.search(data, position)
        if not found or found[1][0] == _JPEG_END:
            raise IndexError
        marker, position = found[1][0], found.end()
        if marker in _JPEG_BARE:
            continue
        if marker in _JPEG_SIZES:
            height, width = unpack_from(">HH", data, position + 3)
            yield width, height
        position += unpack_from(">H", data, position)[0]
    # In coded data 0xFF is followed by 0 or a restart marker, so the first end marker after the header is the picture's own.
    if data.find(b"\xff\xd9", position) < 0:
        raise SourceError("expected a whole JPEG picture, got one without its end: it is cut; copy it again")


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Name, start and length of each chunk up to the last; a damaged chunk that pictures need is an error."""
    position, name = 8, b""
    view = memoryview(data)
    while name != b"IEND":
        length, name = unpack_from(">I4s", data, position)
        start, position = position + 8, position + 12 + length
        checksum = unpack_from(">I", data, position - 4)[0]
        if name[:1].isupper() and zlib.crc32(view[start - 4 : start + length]) != checksum:
            raise SourceError("expected a whole PNG picture, got a wrong checksum: it is damaged; copy it again")
        yield name, start, length


def _png_sizes(data: bytes) -> Iterator[Size]:
    if data[12:16] != b"IHDR":
        raise IndexError
    size: Size = unpack_from(">II", data, 16)
    yield size
    frames = 0
    for name, _, _ in _png_chunks(data):
        frames += name == b"fcTL"
        if name == b"fcTL" and frames > 1:
            yield size


def _webp_chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    position, end = 12, min(len(data), 8 + unpack_from("<I", data, 4)[0])
    while position + 8 <= end:
        name, length = unpack_from("<4sI", data, position)
        yield name, position + 8, length
        position += 8 + length + length % 2


def _webp_sizes(data: bytes) -> Iterator[Size]:
    name, start, _ = next(_webp_chunks(data), (b"", 0, 0))
    if name == b"VP8X":
        width, height = (1 + int.from_bytes(data[start + i : start + i + 3], "little") for i in (4, 7))
    elif name == b"VP8 " and data[start + 3 : start + 6] == b"\x9d\x01\x2a":
        width, height = (side & 0x3FFF for side in unpack_from("<HH", data, start + 6))
    elif name == b"VP8L":
        bits = unpack_from("<I", data, start + 1)[0]
        width, height = 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    else:
        raise IndexError
    yield width, height
    frames = 0
    for name, _, _ in _webp_chunks(data):
        frames += name == b"ANMF"
        if name == b"ANMF" and frames > 1:
            yield width, height


def _bmp_sizes(data: bytes) -> Iterator[Size]:
    old = unpack_from("<I", data, 14)[0] == 12
    width, height = unpack_from("<HH" if old else "<ii", data, 18)
    yield abs(width), abs(height)


def _gif_sizes(data: bytes) -> Iterator[Size]:
    width, height, flags = unpack_from("<HHB", data, 6)
    position = 13 + _gif_palette(flags)
    while data[position] != 0x3B:
        block = data[position]
        if block == 0x2C:
            yield width, height
            position += 11 + _gif_palette(data[position + 9])
        elif block == 0x21:
            position += 2
        else:
            raise IndexError
        while data[position]:
            position += 1 + data[position]
        position += 1


def _gif_palette(flags: int) -> int:
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _tiff_pages(data: bytes) -> Iterator[dict[int, int]]:
    """Of each page the tags that are one whole number; the largest where a tag stands twice."""
    order = "<" if data.startswith(b"II") else ">"
    start = unpack_from(order + "I", data, 4)[0]
    while start:
        count = unpack_from(order + "H", data, start)[0]
        if count > _MAX_TAGS:
            raise IndexError
        tags: dict[int, int] = {}
        for position in range(start + 2, start + 2 + 12 * count, 12):
            tag, kind, values = unpack_from(order + "HHI", data, position)
            if values == 1 and kind in (3, 4):
                value = unpack_from(order + ("H" if kind == 3 else "I"), data, position + 8)[0]
                tags[tag] = max(value, tags.get(tag, 0))
        yield tags
        start = unpack_from(order + "I", data, start + 2 + 12 * count)[0]


def _tiff_sizes(data: bytes) -> Iterator[Size]:
    for tags in _tiff_pages(data):
        if _TIFF_WIDTH not in tags or _TIFF_HEIGHT not in tags:
            raise IndexError
        if max(tags.get(_TIFF_TILE_WIDTH, 0), tags.get(_TIFF_TILE_HEIGHT, 0)) > _MAX_TILE_PX:
            raise SourceError(f"expected TIFF tiles of at most {_MAX_TILE_PX} px, got larger ones; save the picture without tiles")
        yield tags[_TIFF_WIDTH], tags[_TIFF_HEIGHT]
