"""Against a real HTTP server on this machine that knows ranges, breaks connections off, and answers with errors."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import json
import lzma
import socket
import sys
import tarfile
import threading
import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from openplate.data.fetch import RECORD, OfflineError, PublicSet, RemoteFile, download, fetch, public_sets, unpack
from openplate.errors import ConfigError, FetchError

CONTENT = np.random.default_rng(0).integers(0, 256, 300_000, dtype=np.uint8).tobytes()
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@dataclass
class Served:
    """What the server has, how it misbehaves, and what it was asked for."""

    files: dict[str, bytes] = field(default_factory=dict)
    etag: str | None = '"one"'
    linked: str | None = None
    """X-Linked-Etag of the answer that says where a file went."""
    ranges: bool = True
    break_after: list[int] = field(default_factory=list)
    """Bytes after which each next connection is broken off."""
    errors: list[int] = field(default_factory=list)
    """Status of each next answer."""
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    """Path and range of every request."""
    mute_after: int | None = None
    """Requests after which it hangs up without an answer."""
    url: str = ""

    def remote(self, name: str = "set.zip", size: int | None = None, sha256: str | None = None) -> RemoteFile:
        return RemoteFile(f"{self.url}/{name}", size, sha256)


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    monkeypatch.setenv("no_proxy", "*")
    state = Served({"/set.zip": CONTENT})

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = self.headers.get("Range")
            state.asked.append((self.path, asked))
            if state.mute_after is not None and len(state.asked) > state.mute_after:
                return
            if state.errors:
                self.send_error(state.errors.pop(0))
                return
            if self.path == "/moved.zip":
                self.send_response(302)
                self.send_header("Location", "/set.zip")
                if state.linked:
                    self.send_header("X-Linked-Etag", state.linked)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            if self.path not in state.files:
                self.send_error(404)
                return
            content = state.files[self.path]
            start = 0
            if asked and state.ranges and self.headers.get("If-Range") == state.etag:
                start = int(asked.removeprefix("bytes=").removesuffix("-"))
            if start >= len(content):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(content)}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self.send_response(206 if start else 200)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
            self.send_header("Content-Length", str(len(content) - start))
            if state.etag:
                self.send_header("ETag", state.etag)
            self.end_headers()
            body = content[start:]
            if state.break_after:
                self.wfile.write(body[: state.break_after.pop(0)])
                self.wfile.flush()
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield state
    server.shutdown()
    server.server_close()
    thread.join()


class Waits(list[float]):
    """Stands in for sleeping: notes for how long."""

    def __call__(self, seconds: float) -> None:
        self.append(seconds)


def zipped(**files: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return buffer.getvalue()


def public_set(*files: RemoteFile) -> PublicSet:
    return PublicSet("tiny", "A tiny set", "csv", "CC0", "https://example.org/cc0", "nobody", "https://example.org", files)


def test_file_is_downloaded_and_verified(served: Served, tmp_path: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    path = download(served.remote(size=len(CONTENT), sha256=SHA256.upper()), tmp_path / "set.zip", lambda done, total: seen.append((done, total)))
    assert path.read_bytes() == CONTENT
    assert [entry.name for entry in tmp_path.iterdir()] == ["set.zip"]
    assert (seen[0], seen[-1]) == ((0, 300_000), (300_000, 300_000))


def test_connection_broken_off_in_the_middle_is_gone_on_with_from_there(served: Served, tmp_path: Path) -> None:
    served.break_after = [100_000, 50_000]
    waits = Waits()
    download(served.remote(sha256=SHA256), tmp_path / "set.zip", wait=waits)
    assert (tmp_path / "set.zip").read_bytes() == CONTENT
    assert served.asked == [("/set.zip", None), ("/set.zip", "bytes=100000-"), ("/set.zip", "bytes=150000-")]
    assert waits == [1.0, 1.0]  # each attempt went further, so none counts as a repeated failure


def test_address_that_moved_is_followed_and_gone_on_with(served: Served, tmp_path: Path) -> None:
    served.break_after = [100_000]
    download(served.remote("moved.zip", sha256=SHA256), tmp_path / "set.zip", wait=Waits())
    assert served.asked == [("/moved.zip", None), ("/set.zip", None), ("/moved.zip", "bytes=100000-"), ("/set.zip", "bytes=100000-")]


def test_run_that_was_broken_off_is_gone_on_with_by_the_next(served: Served, tmp_path: Path) -> None:
    served.break_after = [100_000] + [0] * 5
    with pytest.raises(FetchError, match=r"100,000 bytes stay in set\.zip\.part, run the command again"):
        download(served.remote(), tmp_path / "set.zip", wait=Waits())
    assert not (tmp_path / "set.zip").exists()
    assert (tmp_path / "set.zip.part").read_bytes() == CONTENT[:100_000]
    served.asked.clear()
    served.break_after = []
    download(served.remote(sha256=SHA256), tmp_path / "set.zip", wait=Waits())
    assert served.asked == [("/set.zip", "bytes=100000-")]
    assert [entry.name for entry in tmp_path.iterdir()] == ["set.zip"]


@pytest.mark.parametrize(
    ("situation", "etag", "ranges"),
    [("the file changed", '"two"', True), ("no ranges", '"one"', False), ("nothing tells it is the same", None, True)],
)
def test_where_the_rest_cannot_be_trusted_the_file_is_fetched_anew(
    served: Served, tmp_path: Path, situation: str, etag: str | None, ranges: bool
) -> None:
    served.etag = etag if etag is None else '"one"'
    served.break_after = [100_000] + [0] * 5
    with pytest.raises(FetchError):
        download(served.remote(), tmp_path / "set.zip", wait=Waits())
    served.etag, served.ranges, served.break_after = etag, ranges, []
    served.files["/set.zip"] = CONTENT[::-1]
    download(served.remote(), tmp_path / "set.zip", wait=Waits())
    assert (tmp_path / "set.zip").read_bytes() == CONTENT[::-1], situation


def test_part_that_is_whole_already_is_not_fetched_again(served: Served, tmp_path: Path) -> None:
    (tmp_path / "set.zip.part").write_bytes(CONTENT)
    (tmp_path / "set.zip.part-of").write_text('"one"')
    download(served.remote(sha256=SHA256), tmp_path / "set.zip", wait=Waits())
    assert served.asked == [("/set.zip", "bytes=300000-")]
    assert (tmp_path / "set.zip").read_bytes() == CONTENT


def test_passing_errors_are_tried_again_and_lasting_ones_are_not(served: Served, tmp_path: Path) -> None:
    served.errors = [503, 429]
    waits = Waits()
    download(served.remote(), tmp_path / "a.zip", wait=waits)
    assert waits == [1.0, 2.0]
    served.errors = [503] * 9
    waits.clear()
    with pytest.raises(FetchError, match="the server answered 503"):
        download(served.remote(), tmp_path / "b.zip", wait=waits)
    assert waits == [1.0, 2.0, 4.0, 8.0]
    served.errors = []
    with pytest.raises(FetchError, match="the server answered 404"):
        download(served.remote("lost.zip"), tmp_path / "c.zip", wait=waits)
    assert waits == [1.0, 2.0, 4.0, 8.0]


def test_wrong_checksum_and_wrong_size_remove_the_file(served: Served, tmp_path: Path) -> None:
    with pytest.raises(FetchError, match=f"expected SHA-256 {'0' * 64}, got {SHA256}"):
        download(served.remote(sha256="0" * 64), tmp_path / "set.zip")
    with pytest.raises(FetchError, match="expected 5 bytes, the server has 300,000"):
        download(served.remote(size=5), tmp_path / "set.zip")
    assert list(tmp_path.iterdir()) == []


def test_server_that_is_not_there_is_offline_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: nobody answers, and nobody else gets the port
        waits = Waits()
        with pytest.raises(OfflineError, match="cannot be reached"):
            download(RemoteFile(f"http://127.0.0.1:{taken.getsockname()[1]}/set.zip"), tmp_path / "set.zip", wait=waits)
    assert waits == []


@pytest.fixture
def silent_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a server that takes connections and never says a word."""
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr("openplate.data.fetch._TIMEOUT_S", 0.1)
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(8)
        yield f"http://127.0.0.1:{server.getsockname()[1]}/set.zip"


@pytest.fixture
def dropping_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a server to which no connection comes about: its queue is full, and Linux drops what comes then."""
    if sys.platform != "linux":
        pytest.skip("other systems refuse what comes to a full queue")
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr("openplate.data.fetch._CONNECT_TIMEOUT_S", 0.1)
    with ExitStack() as stack:
        server = stack.enter_context(socket.socket())
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        for _ in range(8):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(server.getsockname())
        yield f"http://127.0.0.1:{server.getsockname()[1]}/set.zip"


@pytest.fixture
def refusing_proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a server behind a proxy that lets nobody through."""

    class Handler(BaseHTTPRequestHandler):
        def do_CONNECT(self) -> None:
            self.send_error(403)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    for name in ("no_proxy", "NO_PROXY", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield "https://data.invalid/set.zip"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize("part", [b"", CONTENT[:1234]])
@pytest.mark.parametrize(
    ("server", "reason", "expected_waits"),
    [
        ("silent_server", "timed out", [1.0]),
        ("dropping_server", "timed out", [1.0]),
        ("refusing_proxy", "Tunnel connection failed: 403", []),
    ],
)
def test_firewall_or_proxy_in_the_way_is_offline_after_one_more_attempt_at_most(
    request: pytest.FixtureRequest, tmp_path: Path, server: str, reason: str, expected_waits: list[float], part: bytes
) -> None:
    url = request.getfixturevalue(server)
    if part:
        (tmp_path / "tiny").mkdir()
        (tmp_path / "tiny/set.zip.part").write_bytes(part)
    waits = Waits()
    with pytest.raises(OfflineError) as caught:
        fetch(public_set(RemoteFile(url)), tmp_path / "tiny", wait=waits)
    assert str(caught.value).startswith(f"{url}: the server cannot be reached: ")
    assert reason in str(caught.value)
    assert ("1,234 bytes stay in set.zip.part, run the command again to go on" in str(caught.value)) == bool(part)
    assert waits == expected_waits
    assert [path.read_bytes() for path in tmp_path.rglob("*.part")] == ([part] if part else [])


def test_server_that_goes_away_in_the_middle_is_tried_again_and_then_offline(served: Served, tmp_path: Path) -> None:
    served.break_after = [100_000]
    served.mute_after = 1
    waits = Waits()
    with pytest.raises(OfflineError, match=r"the server cannot be reached: .*; 100,000 bytes stay in set\.zip\.part"):
        download(served.remote(), tmp_path / "set.zip", wait=waits)
    assert waits == [1.0, 2.0, 4.0, 8.0]


@pytest.mark.parametrize("quote", ['"', ""])
def test_checksum_that_the_server_states_is_verified(served: Served, tmp_path: Path, quote: str) -> None:
    said: list[str] = []
    served.linked = f"{quote}{SHA256}{quote}"
    served.break_after = [100_000]
    download(served.remote("moved.zip"), tmp_path / "a.zip", wait=Waits(), say=said.append)
    assert (tmp_path / "a.zip").read_bytes() == CONTENT
    served.linked = f"{quote}{'0' * 64}{quote}"
    with pytest.raises(FetchError, match=f"expected SHA-256 {'0' * 64} as the server said, got {SHA256}; the file was removed"):
        download(served.remote("moved.zip"), tmp_path / "b.zip", say=said.append)
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.zip"]
    download(served.remote("moved.zip", sha256=SHA256), tmp_path / "c.zip", say=said.append)  # the table knows better
    assert said == []


@pytest.mark.parametrize("linked", [None, '"5d41402abc4b2a76b9719d911017c592"'])
def test_checksum_that_nobody_knows_is_said(served: Served, tmp_path: Path, linked: str | None) -> None:
    said: list[str] = []
    served.linked = linked
    download(served.remote("moved.zip"), tmp_path / "moved.zip", say=said.append)
    assert said == [f"moved.zip: no checksum is known; SHA-256 found: {SHA256}"]


def test_set_is_fetched_unpacked_and_recorded(served: Served, tmp_path: Path) -> None:
    served.files = {"/train.zip": zipped(**{"train/a.txt": "a"}), "/test.zip": zipped(**{"b.txt": "b"})}
    chosen = public_set(served.remote("train.zip"), served.remote("test.zip"))
    assert fetch(chosen, tmp_path / "tiny")
    found = sorted(str(path.relative_to(tmp_path / "tiny")) for path in (tmp_path / "tiny").rglob("*") if path.is_file())
    assert found == ["fetched.json", "test/.unpacked", "test/b.txt", "train/.unpacked", "train/train/a.txt"]
    record = json.loads((tmp_path / "tiny" / RECORD).read_text())
    assert (record["name"], record["licence"]) == ("tiny", "CC0")
    assert [file["sha256"] for file in record["files"]] == [hashlib.sha256(data).hexdigest() for data in served.files.values()]
    served.asked.clear()
    assert not fetch(chosen, tmp_path / "tiny")
    assert served.asked == []


def test_set_broken_off_between_two_files_is_gone_on_with(served: Served, tmp_path: Path) -> None:
    served.files = {"/train.zip": zipped(a="a"), "/test.zip": zipped(b="b")}
    chosen = public_set(served.remote("train.zip"), served.remote("lost.zip"))
    with pytest.raises(FetchError, match="404"):
        fetch(chosen, tmp_path / "tiny")
    assert not (tmp_path / "tiny" / RECORD).exists()
    served.asked.clear()
    assert fetch(public_set(served.remote("train.zip"), served.remote("test.zip")), tmp_path / "tiny", keep_archives=True)
    assert served.asked == [("/test.zip", None)]
    assert sorted(path.name for path in (tmp_path / "tiny").iterdir()) == ["fetched.json", "test", "test.zip", "train", "train.zip"]


def test_folder_of_somebody_else_is_not_taken_for_the_unpacked_one(served: Served, tmp_path: Path) -> None:
    served.files = {"/set.zip": zipped(a="a")}
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "mine.txt").touch()
    with pytest.raises(FetchError, match="holds something already"):
        fetch(public_set(served.remote()), tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["set", "set.zip"]


def test_page_instead_of_an_archive_is_said(served: Served, tmp_path: Path) -> None:
    served.files = {"/set.zip": b"<html>Sign in</html>"}
    with pytest.raises(FetchError, match="expected a zip or tar archive, got something else"):
        fetch(public_set(served.remote()), tmp_path / "tiny")
    assert not (tmp_path / "tiny" / RECORD).exists()


def test_set_that_needs_a_person_says_how(tmp_path: Path) -> None:
    with pytest.raises(FetchError, match="its address needs a person: download CCPD2019"):
        fetch(public_sets()["ccpd"], tmp_path / "ccpd")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["../outside.txt", "/outside.txt", "a/../../outside.txt", "..\\outside.txt"])
def test_zip_that_leads_out_of_its_folder_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "set.zip").write_bytes(zipped(**{name: "x"}))
    with pytest.raises(FetchError, match="expected files inside the archive's folder"):
        unpack(tmp_path / "in" / "set.zip", tmp_path / "in" / "set")
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")) == ["in", "in/set.zip"]


def test_zip_with_a_symbolic_link_is_refused(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("link")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "link.zip", "w") as archive:
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(FetchError, match="expected files inside"):
        unpack(tmp_path / "link.zip", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def zip_with(method: int, position: int, value: int) -> bytes:
    """A zip archive of one file `a`, of which a byte was replaced; its data begin at byte 31."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        archive.writestr("a", b"a" * 1000)
    data = bytearray(buffer.getvalue())
    data[position] = value
    return bytes(data)


def tar_with(compress: Callable[[bytes], bytes], position: int) -> bytes:
    """A compressed tar archive of a file of noise, of which a byte was inverted."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        info = tarfile.TarInfo("a")
        info.size = len(CONTENT)
        archive.addfile(info, io.BytesIO(CONTENT))
    data = bytearray(compress(buffer.getvalue()))
    data[position] ^= 0xFF
    return bytes(data)


def encrypted_zip() -> bytes:
    """A zip archive whose one file says that it is encrypted."""
    data = bytearray(zipped(a="a" * 1000))
    data[6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    return bytes(data)


@pytest.mark.parametrize(
    ("situation", "data", "reason"),
    [
        ("wrong contents", zip_with(zipfile.ZIP_STORED, 40, 0x62), "Bad CRC-32 for file 'a'"),
        ("deflate, no such kind of block", zip_with(zipfile.ZIP_DEFLATED, 31, 0x07), "invalid block type"),
        ("LZMA, no such properties", zip_with(zipfile.ZIP_LZMA, 35, 0xFF), "Invalid or unsupported options"),
        ("bzip2, no such block", zip_with(zipfile.ZIP_BZIP2, 35, 0xFF), "Invalid data stream"),
        ("encrypted", encrypted_zip(), "encrypted, password required"),
        ("a way of compression that is not known", zip_with(zipfile.ZIP_STORED, 1031 + 10, 99), "compression method is not supported"),
        ("tar.gz, wrong contents", tar_with(gzip.compress, 150_000), "CRC check failed"),
        ("tar.xz, wrong contents", tar_with(lzma.compress, 150_000), "Corrupt input data"),
        ("tar.bz2, wrong contents behind its first 100 kB", tar_with(lambda data: bz2.compress(data, 1), 200_000), "Invalid data stream"),
    ],
)
def test_damaged_archive_is_said_with_what_to_do(tmp_path: Path, situation: str, data: bytes, reason: str) -> None:
    (tmp_path / "set.bin").write_bytes(data)
    with pytest.raises(FetchError) as caught:
        unpack(tmp_path / "set.bin", tmp_path / "out")
    message = str(caught.value)
    assert message.startswith(f"{tmp_path / 'set.bin'}: cannot be unpacked, it may be damaged: "), situation
    assert reason in message, situation
    assert message.endswith("; delete it and run the command again"), situation
    assert [path.name for path in tmp_path.iterdir()] == ["set.bin"], situation


def test_tar_is_unpacked_and_one_that_leads_out_is_refused(tmp_path: Path) -> None:
    for name, member in (("good.tar.xz", "a/b.txt"), ("bad.tar.gz", "../b.txt")):
        with tarfile.open(tmp_path / name, f"w:{name[-2:]}") as archive:
            info = tarfile.TarInfo(member)
            info.size = 1
            archive.addfile(info, io.BytesIO(b"x"))
    unpack(tmp_path / "good.tar.xz", tmp_path / "good")
    assert (tmp_path / "good/a/b.txt").read_bytes() == b"x"
    with pytest.raises(FetchError, match="cannot be unpacked"):
        unpack(tmp_path / "bad.tar.gz", tmp_path / "bad")
    assert not (tmp_path / "bad").exists()


def test_table_of_the_package_is_sound() -> None:
    known = public_sets()
    assert {"ay000554-ocr", "ay000554-detection", "autoria-ocr-ru", "autoria-detection", "ccpd"} <= set(known)
    assert known["autoria-ocr-ru"].files[0].size == 1_499_299_647
    assert known["autoria-ocr-ru"].files[0].name == "autoriaNumberplateOcrRu-2021-09-01.zip"
    assert all(file.url.startswith("https://") for one in known.values() for file in one.files)


TABLE = """[[sets]]
name = "tiny"
title = "t"
kind = "csv"
licence = "CC0"
licence_url = "u"
credit = "c"
page = "p"
files = [{ url = "http://example.org/a.zip" }]
"""


def test_further_table_adds_and_replaces(tmp_path: Path) -> None:
    (tmp_path / "more.toml").write_text(TABLE + TABLE.replace("tiny", "ccpd"))
    known = public_sets(tmp_path / "more.toml")
    assert known["tiny"].files == (RemoteFile("http://example.org/a.zip"),)
    assert known["ccpd"].by_hand is None


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[[sets]]", "[[sets]", "not a TOML file"),
        ('credit = "c"\n', "", "key 'credit' is missing"),
        ('page = "p"', 'pages = "p"', "unknown key 'pages'"),
        ('kind = "csv"', 'kind = "xls"', "kind: expected one of openplate"),
        ('title = "t"', "title = 1", "expected texts"),
        ("http://example.org/a.zip", "file:///etc/a.zip", "expected the http or https address of a file"),
        ("http://example.org/a.zip", "https://example.org/", "expected the http or https address of a file"),
        ('files = [{ url = "http://example.org/a.zip" }]', "", "expected either files or by_hand"),
        ('{ url = "http://example.org/a.zip" }', '{ url = "http://a/x.zip" }, { url = "http://b/x.zip" }', "expected different names"),
    ],
)
def test_wrong_table_gives_error_that_names_it(tmp_path: Path, old: str, new: str, message: str) -> None:
    (tmp_path / "more.toml").write_text(TABLE.replace(old, new))
    with pytest.raises(ConfigError, match=r"more\.toml") as caught:
        public_sets(tmp_path / "more.toml")
    assert message in str(caught.value)
