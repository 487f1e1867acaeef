"""Two hundred malformed uploads: each is answered with 4xx and a problem, and the next good request works."""

from __future__ import annotations

import json
import socket
import struct
import time
import zlib
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

import cv2
import httpx
import numpy as np
import pytest

from openplate.sources import encode_image
from tests.serve.running import Running


class Bad(NamedTuple):
    """A request that is wrong."""

    name: str
    body: bytes
    content_type: str = "image/jpeg"
    path: str = "/v1/read"


@cache
def small(suffix: str = ".jpg") -> bytes:
    """A good picture that is read in no time."""
    pixels = np.random.default_rng(1).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    if suffix == ".gif":
        return bytes(cv2.imencode(".gif", pixels)[1])
    return encode_image(pixels, suffix)


def png(width: int, height: int, data: bytes = b"", frames: int = 1) -> bytes:
    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    animation = b"".join(chunk(b"fcTL", bytes(26)) for _ in range(frames)) if frames > 1 else b""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + animation + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")


def jpeg_of_size(width: int, height: int) -> bytes:
    data = bytearray(small(".jpg"))
    start = data.index(b"\xff\xc0") + 5
    data[start : start + 4] = struct.pack(">HH", height, width)
    return bytes(data)


def gif_of_frames(count: int) -> bytes:
    frame = b"\x2c" + struct.pack("<HHHHB", 0, 0, 16, 16, 0) + b"\x02\x02\x44\x01\x00"
    return b"GIF89a" + struct.pack("<HHBBB", 16, 16, 0x80, 0, 0) + bytes(6) + frame * count + b"\x3b"


def bad_pictures() -> Iterator[Bad]:
    for suffix in (".jpg", ".png", ".webp", ".tif", ".gif"):
        whole = small(suffix)
        for part in (0.02, 0.1, 0.3, 0.5, 0.7, 0.9):
            yield Bad(f"{suffix} cut at {part}", whole[: max(1, int(len(whole) * part))])
    for part in (0.001, 0.002, 0.004):
        yield Bad(f".bmp cut at {part}", small(".bmp")[: int(len(small(".bmp")) * part)])
    for suffix in (".jpg", ".png", ".webp", ".bmp", ".tif", ".gif"):
        yield Bad(f"{suffix} magic and zeros", small(suffix)[:12] + bytes(500))
        yield Bad(f"{suffix} magic and noise", small(suffix)[:12] + np.random.default_rng(7).bytes(500))
        yield Bad(f"{suffix} without its first byte", small(suffix)[1:])
        yield Bad(f"{suffix} behind a blank", b" " + small(suffix))
    for width, height in ((0, 0), (0, 100), (1, 1), (7, 100), (100, 7), (3000, 3000), (65535, 65535), (2**31 - 1, 2**31 - 1), (2**32 - 1, 1)):
        yield Bad(f"PNG that says {width}×{height}", png(width, height))
    for width, height in ((0, 0), (0, 100), (4, 4), (3000, 3000), (65535, 65535)):
        yield Bad(f"JPEG that says {width}×{height}", jpeg_of_size(width, height))
    damaged = bytearray(small(".png"))
    damaged[60] ^= 0xFF
    yield Bad("PNG with a wrong checksum", bytes(damaged))
    yield Bad("PNG without pixels", png(64, 64))
    yield Bad("PNG with too few pixels", png(64, 64, bytes(100)))
    yield Bad("PNG that says it has 5 frames", png(64, 64, bytes(64 * 193), frames=5))
    yield Bad("GIF with 5 frames", gif_of_frames(5))
    yield Bad("GIF without frames", gif_of_frames(0))
    yield Bad("TIFF whose pages go in a circle", b"II*\0" + struct.pack("<I", 8) + struct.pack("<H", 0) + struct.pack("<I", 8))
    yield Bad("TIFF with a page far outside", b"II*\0" + struct.pack("<I", 2**31))
    for name, data in (
        ("nothing", b""),
        ("one byte", b"\xff"),
        ("zeros", bytes(4096)),
        ("text", b"hello, this is no picture"),
        ("HTML", b"<!DOCTYPE html><html></html>"),
        ("SVG", b"<svg xmlns='http://www.w3.org/2000/svg' width='100' height='100'/>"),
        ("PDF", b"%PDF-1.7\n1 0 obj"),
        ("ZIP", b"PK\x03\x04" + bytes(64)),
        ("program", b"\x7fELF" + bytes(64)),
        ("MP4", b"\0\0\0\x18ftypmp42" + bytes(64)),
        ("AVIF", b"\0\0\0\x1cftypavif" + bytes(64)),
        ("JSON", b'{"file": "street.jpg"}'),
        ("script", b"#!/bin/sh\nrm -rf /\n"),
        ("path", b"/etc/passwd"),
        ("address", b"http://169.254.169.254/latest/meta-data/"),
    ):
        yield Bad(f"{name} as a picture", data)
    yield Bad("body over the limit", bytes(2_000_001))


def part(disposition: bytes = b'form-data; name="file"; filename="a.jpg"', data: bytes = b"", more: bytes = b"") -> bytes:
    return b"Content-Disposition: " + disposition + b"\r\n" + more + b"\r\n" + data + b"\r\n"


def form(*parts: bytes, boundary: bytes = b"XX") -> bytes:
    return b"".join(b"--" + boundary + b"\r\n" + one for one in parts) + b"--" + boundary + b"--\r\n"


def bad_forms() -> Iterator[Bad]:
    multipart = "multipart/form-data; boundary=XX"
    good = part(data=small())
    for name, kind in (
        ("without a boundary", "multipart/form-data"),
        ("with an empty boundary", "multipart/form-data; boundary="),
        ("with an empty quoted boundary", 'multipart/form-data; boundary=""'),
        ("with another boundary", "multipart/form-data; boundary=YY"),
        ("with a longer boundary", "multipart/form-data; boundary=XXX"),
        ("with a huge boundary", f"multipart/form-data; boundary={'X' * 5000}"),
        ("with an unfinished boundary", 'multipart/form-data; boundary="XX'),
        ("with blanks for a boundary", "multipart/form-data; boundary=%20"),
        ("that is mixed", "multipart/mixed; boundary=XX"),
    ):
        yield Bad(f"form {name}", form(good), kind)
    for name, body in {
        "without anything": b"",
        "without parts": form(),
        "with its end alone": b"--XX--",
        "with line breaks alone": b"\r\n\r\n\r\n",
        "with a beginning alone": b"--XX\r\n",
        "that is a picture": small(),
        "with one dash too few": form(good).replace(b"--XX", b"-XX"),
        "with line feeds alone": form(good).replace(b"\r\n", b"\n"),
        "without its end": form(good)[: -len(b"\r\n--XX--\r\n")],
        "cut in its file": form(good)[:400],
        "cut in its headers": form(good)[:30],
        "cut behind its headers": form(good)[: form(good).index(b"\r\n\r\n") + 4],
        "with a part without headers": form(b"\r\n" + small() + b"\r\n"),
        "with a part without a disposition": form(b"Content-Type: image/jpeg\r\n\r\n" + small() + b"\r\n"),
        "with a part without a name": form(part(b'form-data; filename="a.jpg"', small())),
        "with a disposition without anything": form(part(b"", small())),
        "with a header without a colon": form(b"Content-Disposition\r\n\r\n" + small() + b"\r\n"),
        "with a header that is not ASCII": form("Contént: x\r\n\r\n".encode() + small() + b"\r\n"),
        "with a zero in a header": form(b"Content\0-Disposition: form-data\r\n\r\n" + small() + b"\r\n"),
        "with a blank in a header's name": form(b"Content Disposition: form-data\r\n\r\n" + small() + b"\r\n"),
        "with a huge header": form(part(data=small(), more=b"X-Long: " + b"x" * 200_000 + b"\r\n")),
        "with very many headers": form(part(data=small(), more=b"".join(b"X-%d: x\r\n" % i for i in range(5000)))),
        "with a file in another field": form(part(b'form-data; name="picture"; filename="a.jpg"', small())),
        "with a file in a field without a name": form(part(b'form-data; name=""; filename="a.jpg"', small())),
        "with the picture as text": form(part(b'form-data; name="file"', b"street.jpg")),
        "with an empty file": form(part()),
        "with an empty file and an empty name": form(part(b'form-data; name="file"; filename=""')),
        "with five files": form(*[good] * 5),
        "with a hundred files": form(*[part()] * 100),
        "with 65 fields": form(*[part(b'form-data; name="country"', b"ru")] * 65),
        "with ten thousand fields": form(*[part(b'form-data; name="country"', b"ru")] * 10_000),
        "with a field of 1.9 MB": form(part(b'form-data; name="country"', b"r" * 1_900_000), good),
        "with an unknown field": form(part(b'form-data; name="colour"', b"red"), good),
        "with a wrong number": form(part(b'form-data; name="min_confidence"', b"high"), good),
        "with a number out of range": form(part(b'form-data; name="min_confidence"', b"-0.1"), good),
        "with no number": form(part(b'form-data; name="min_confidence"', b"NaN"), good),
        "with a country that there is not": form(part(b'form-data; name="country"', b"atlantis"), good),
        "with a zero for a country": form(part(b'form-data; name="country"', b"\0"), good),
        "with bytes that are no text": form(part(b'form-data; name="only"', b"\xff\xfe\xff"), good),
        "with an address": form(part(b'form-data; name="url"', b"file:///etc/passwd")),
        "with an address inside": form(part(b'form-data; name="url"', b"http://127.0.0.1/a.jpg")),
        "with a form in the form": form(part(data=form(good), more=b"Content-Type: multipart/mixed; boundary=XX\r\n")),
        "with a damaged file": form(part(data=small()[:100])),
        "with a file name of zeros": form(part(b'form-data; name="file"; filename="\0\0"', b"no picture")),
        "with a file name of 60,000 letters": form(part(b'form-data; name="file"; filename="' + b"a" * 60_000 + b'"', b"no picture")),
        "with a file name that climbs": form(part(b'form-data; name="file"; filename="../../../../etc/cron.d/x"', b"* * * * * root true")),
        "with the picture in Base64": form(part(data=b"/9j/4AAQSkZJRg==", more=b"Content-Transfer-Encoding: base64\r\n")),
    }.items():
        yield Bad(f"form {name}", body, multipart)
    yield Bad("form in a charset that there is not", form(part(b'form-data; name="country"', b"\xff"), good), f"{multipart}; charset=klingon")
    yield Bad("form in UTF-16", form(part(b'form-data; name="country"', b"\xff"), good), f"{multipart}; charset=utf-16")


def bad_options() -> Iterator[Bad]:
    for query in (
        "min_confidence=2", "min_confidence=-1", "min_confidence=", "min_confidence=inf", "min_confidence=1e400", "min_confidence=0x1",
        "country=zz", "country=ru;kz", "country=../ru", "country=%00", "country=%F0%9F%9A%97", "only=zz", "only=ru,zz", "only=ru&country=kz",
        "cropped=2", "annotate=maybe", "unknown=1", "country=" + "ru," * 400, "url=http://localhost/a.jpg", "url=//x", "url=%0d%0aHost:x",
    ):  # fmt: skip
        yield Bad(f"?{query[:40]}", small(), path=f"/v1/read?{query}")


def bad_bridges() -> Iterator[Bad]:
    multipart = "multipart/form-data; boundary=XX"
    for path in ("/v1/plate-reader/", "/v1/vision/alpr"):
        for name, body, kind in (
            ("nothing", b"", multipart),
            ("no picture", form(part(b'form-data; name="regions"', b"ru")), multipart),
            ("a cut picture", form(part(b'form-data; name="upload"; filename="a.jpg"', small()[:200])), multipart),
            ("text", form(part(b'form-data; name="upload"', b"not Base64!")), multipart),
            ("Base64 of text", form(part(b'form-data; name="upload"', b"bm8gcGljdHVyZQ==")), multipart),
            ("an address", form(part(b'form-data; name="upload_url"', b"http://10.0.0.1/a.jpg")), multipart),
            ("a file in another field", form(part(b'form-data; name="files"; filename="a.jpg"', small())), multipart),
            ("JSON", b'{"upload": 1}', "application/json"),
            ("damaged JSON", b'{"upload":', "application/json"),
            ("a damaged form", b"--XX\r\nnothing", multipart),
            ("an URL-encoded form without a picture", b"regions=ru", "application/x-www-form-urlencoded"),
            ("an URL-encoded form that is a picture", small(), "application/x-www-form-urlencoded"),
            ("an URL-encoded form of many fields", b"regions=ru&" * 100, "application/x-www-form-urlencoded"),
        ):
            yield Bad(f"{path} with {name}", body, kind, path)
    upload = part(b'form-data; name="upload"; filename="a.jpg"', small())
    yield Bad("config that is no JSON", form(upload, part(b'form-data; name="config"', b"{")), multipart, "/v1/plate-reader/")
    yield Bad("config that is deep", form(upload, part(b'form-data; name="config"', b"[" * 100_000)), multipart, "/v1/plate-reader/")
    for value in (b"high", b"NaN", b"-1", b"101"):
        yield Bad(f"min_confidence {value!r}", form(upload, part(b'form-data; name="min_confidence"', value)), multipart, "/v1/vision/alpr")


BAD = [*bad_pictures(), *bad_forms(), *bad_options(), *bad_bridges()]

_START = b"POST /v1/read HTTP/1.1\r\nHost: 127.0.0.1\r\n"
RAW = {
    "a huge header": _START + b"X-Long: " + b"x" * 200_000 + b"\r\n\r\n",
    "a huge cookie": _START + b"Cookie: a=" + b"b" * 100_000 + b"\r\n\r\n",
    "very many headers": _START + b"".join(b"X-%d: x\r\n" % i for i in range(20_000)) + b"\r\n",
    "a huge path": b"POST /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    "no HTTP": b"hello\r\n\r\n",
    "bytes of TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100) + b"\r\n\r\n",
    "a header without a colon": _START + b"Nonsense\r\n\r\n",
    "a header with a zero": _START + b"X-Zero: a\0b\r\n\r\n",
    "no Host": b"POST /v1/read HTTP/1.1\r\n\r\n",
    "two Hosts": _START + b"Host: other\r\n\r\n",
    "a length that is no number": _START + b"Content-Length: many\r\n\r\n",
    "a negative length": _START + b"Content-Length: -5\r\n\r\n",
    "two lengths": _START + b"Content-Length: 3\r\nContent-Length: 5\r\n\r\nabc",
    "a length of a terabyte": _START + b"Content-Length: 1099511627776\r\nContent-Type: image/jpeg\r\n\r\n",
    "a chunk's length that is no number": _START + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n0\r\n\r\n",
    "another transfer encoding": _START + b"Transfer-Encoding: gzip\r\n\r\n",
    "chunks over the limit": _START + b"Transfer-Encoding: chunked\r\n\r\n" + (b"10000\r\n" + bytes(0x10000) + b"\r\n") * 32 + b"0\r\n\r\n",
    "a body that stops": _START + b"Content-Length: 5000\r\nContent-Type: image/jpeg\r\n\r\n\xff\xd8\xff",
    "a form that stops": _START + b"Content-Length: 5000\r\nContent-Type: multipart/form-data; boundary=XX\r\n\r\n--XX\r\n",
    "a length and nothing": _START + b"Content-Length: 10\r\n\r\n",
}


def answer_to(port: int, data: bytes) -> bytes:
    """What the service says to raw bytes until it closes the connection or has answered."""
    with socket.create_connection(("127.0.0.1", port), 20) as connection:
        try:
            connection.sendall(data)
        except OSError:  # it has answered and closed already
            pass
        said = b""
        try:
            while b"\r\n\r\n" not in said and (part := connection.recv(65536)):
                said += part
        except ConnectionResetError:
            pass
        return said


def assert_good_request_works(client: httpx.Client) -> None:
    answer = client.post("/v1/read", content=small())
    assert answer.status_code == 200
    assert (answer.json()[0]["width"], answer.json()[0]["height"]) == (64, 48)


def test_there_are_two_hundred() -> None:
    assert len(BAD) + len(RAW) >= 200
    assert len({one.name for one in BAD}) == len(BAD)


@pytest.mark.parametrize("bad", BAD, ids=[one.name for one in BAD])
def test_malformed_upload_is_a_problem_of_the_client_and_the_next_good_one_works(client: httpx.Client, bad: Bad) -> None:
    answer = client.post(bad.path, content=bad.body, headers={"Content-Type": bad.content_type})
    assert 400 <= answer.status_code < 500, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == answer.status_code and problem["detail"] and len(problem["detail"]) < 3000
    assert not any(word in answer.text for word in ("Traceback", "site-packages", "/openplate/", "Error("))
    assert_good_request_works(client)


@pytest.mark.parametrize("name", RAW)
def test_malformed_request_is_refused_and_the_next_good_one_works(served: Running, client: httpx.Client, name: str) -> None:
    said = answer_to(served.port, RAW[name])
    assert said.startswith(b"HTTP/1.1 4"), said[:100]
    assert_good_request_works(client)


def test_body_that_drips_is_ended(served: Running) -> None:
    with socket.create_connection(("127.0.0.1", served.port), 20) as connection:
        connection.sendall(_START + b"Content-Length: 5000\r\nContent-Type: image/jpeg\r\n\r\n")
        connection.sendall(small()[:10])
        said = b"".join(iter(lambda: connection.recv(65536), b""))
    assert said.startswith(b"HTTP/1.1 408")
    assert json.loads(said.partition(b"\r\n\r\n")[2])["detail"] == "the body came too slowly; send it again"


@pytest.mark.parametrize("data", [b"", b"POST /v1/re", b"POST /v1/read HTTP/1.1\r\nHost: 127"])
def test_headers_that_do_not_come_end_the_connection(served: Running, data: bytes) -> None:
    with socket.create_connection(("127.0.0.1", served.port), 20) as connection:
        connection.sendall(data)
        assert connection.recv(65536) == b""


def test_client_that_goes_away_in_the_middle_leaves_the_service_working(served: Running, client: httpx.Client) -> None:
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", served.port), 20) as connection:
            connection.sendall(_START + b"Content-Length: 500000\r\nContent-Type: image/jpeg\r\n\r\n" + bytes(1000))
    time.sleep(0.1)
    assert_good_request_works(client)
