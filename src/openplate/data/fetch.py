"""The name of a public data set in; its archives, downloaded, verified and unpacked, out."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import lzma
import re
import shutil
import socket
import stat
import tarfile
import time
import tomllib
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import asdict, dataclass
from email.message import Message
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException, HTTPMessage, HTTPResponse, HTTPSConnection
from importlib import resources
from pathlib import Path, PurePosixPath
from typing import IO, Any
from urllib.error import HTTPError, URLError
from urllib.parse import unquote, urlsplit
from urllib.request import HTTPHandler, HTTPRedirectHandler, HTTPSHandler, Request, build_opener

from openplate import __version__
from openplate.data.kinds import KINDS
from openplate.data.place import whole_folder
from openplate.errors import ConfigError, DatasetError, FetchError

RECORD = "fetched.json"
"""Written beside what was fetched, at the very end: where it came from, under which licence, with which checksums."""
_UNPACKED = ".unpacked"
"""In each unpacked folder: it is whole, and of this command."""
_KEYS = {"name", "title", "kind", "licence", "licence_url", "credit", "page", "files", "by_hand"}
_FILE_KEYS = {"url", "size", "sha256"}
_CHUNK_BYTES = 2**20
_TIMEOUT_S = 60.0
"""For the next bytes of a connection that is there."""
_CONNECT_TIMEOUT_S = 15.0
"""For each address of a server: a firewall that drops packets says nothing."""
_ATTEMPTS = 5
_ATTEMPTS_SILENT = 2
_TRY_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})
_AWAY = frozenset({errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.ECONNREFUSED, errno.EADDRNOTAVAIL})
_DAMAGE = (zipfile.BadZipFile, zipfile.LargeZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, ValueError, RuntimeError)
"""What unpacking says of an archive that is damaged; RuntimeError: it is encrypted, or compressed in a way that is not known."""
_LINKED_TAG = "X-Linked-Etag"
"""huggingface.co states the SHA-256 of a large file in it, in the answer that leads to where the file lies."""
_ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.xz", ".tar.bz2")

Progress = Callable[[int, int | None], None]
"""Gets the bytes of a file that are there, and how many it has where that is known."""


class OfflineError(FetchError):
    """The server of a public data set cannot be reached: no network, a firewall, or a proxy that refuses; what an earlier run fetched stays."""


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """An archive: its address, and its size in bytes and SHA-256 where they are known."""

    url: str
    size: int | None = None
    sha256: str | None = None

    @property
    def name(self) -> str:
        """The file's name, the last part of its address."""
        return PurePosixPath(unquote(urlsplit(self.url).path)).name


@dataclass(frozen=True, slots=True)
class PublicSet:
    """A public data set: what it is, under which licence, and its files; or, when a person has to get it, how (`by_hand`)."""

    name: str
    title: str
    kind: str
    licence: str
    licence_url: str
    credit: str
    page: str
    files: tuple[RemoteFile, ...]
    by_hand: str | None = None


def public_sets(*tables: Path) -> dict[str, PublicSet]:
    """The data sets of the package's table and of further tables (TOML), by name; a later table's set replaces one of the same name.

    Raises:
        ConfigError: a table cannot be read, or a key is unknown, missing or wrong.

    """
    found = _parse_table(resources.files("openplate.data").joinpath("public.toml").read_text(encoding="utf8"), "public.toml")
    for table in tables:
        try:
            found |= _parse_table(table.read_text(encoding="utf8"), str(table))
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{table}: cannot be read: {error}") from None
    return found


def fetch(
    chosen: PublicSet,
    folder: Path,
    *,
    keep_archives: bool = False,
    progress: Callable[[RemoteFile], Progress] = lambda file: lambda done, total: None,
    wait: Callable[[float], None] = time.sleep,
    say: Callable[[str], None] = lambda line: None,
) -> bool:
    """Download, verify and unpack a data set into `folder`, each archive into a folder of its name; goes on where an earlier run was broken off.

    `say` gets a line for each file of which no checksum is known, with the one that was found.

    Returns:
        False when all of it was there already.

    Raises:
        OfflineError: the server cannot be reached.
        FetchError: a server's answer, a size, a checksum or an archive is wrong, the disk is full, or the set has to be got by hand.

    """
    if chosen.by_hand is not None:
        raise FetchError(f"{chosen.name}: its address needs a person: {chosen.by_hand}")
    record = folder / RECORD
    urls = [file.url for file in chosen.files]
    if record.is_file() and _recorded_urls(record) == urls:
        return False
    try:
        folder.mkdir(parents=True, exist_ok=True)
        archives = [(file, download(file, folder / file.name, progress(file), wait, say)) for file in chosen.files]
        for _, archive in archives:
            unpack(archive, folder / _stem(archive.name))
        known = [{"url": file.url, "size": archive.stat().st_size, "sha256": sha256_of(archive)} for file, archive in archives]
        kept = {key: value for key, value in asdict(chosen).items() if key not in ("files", "by_hand")}
        part = record.with_name(RECORD + ".part")
        part.write_text(json.dumps({**kept, "files": known}, ensure_ascii=False, indent=2) + "\n", encoding="utf8")
        part.replace(record)
        if not keep_archives:
            for _, archive in archives:
                archive.unlink()
    except OfflineError:
        with contextlib.suppress(OSError):  # it holds what an earlier run fetched
            folder.rmdir()
        raise
    except DatasetError as error:
        raise FetchError(str(error)) from None
    except OSError as error:
        raise FetchError(
            f"{folder}: cannot be written: {error.strerror or error}; what was downloaded stays, run the command again to go on"
        ) from None
    return True


def download(
    file: RemoteFile,
    target: Path,
    progress: Progress = lambda done, total: None,
    wait: Callable[[float], None] = time.sleep,
    say: Callable[[str], None] = lambda line: None,
) -> Path:
    """Download a file to `target` and verify its size and checksum; `target` appears when it is whole.

    What an earlier run left in `target.part` is gone on with by HTTP Range, if the server says that the file is still the same (If-Range with its ETag or
    date, RFC 9110); otherwise it starts anew. A broken connection or a passing error of the server is tried five times without progress, after 1, 2, 4
    and 8 s; a server that has not answered yet and cannot be reached is tried once, or twice when nothing at all comes back.

    The checksum is the one of `file`, else the one that the server states; where there is neither, `say` gets a line with what was found.

    Raises:
        OfflineError: the server cannot be reached.
        FetchError: the server refuses, or size or checksum are wrong.
        OSError: the file cannot be written.

    """
    if target.is_file():
        _verify(file, target, None, say)
        return target
    part = target.with_name(target.name + ".part")
    failures, before, answered = 0, _size(part), False
    while True:
        try:
            total, stated = _receive(file, part, progress)
        except _Broken as broken:
            failures = 1 if _size(part) > before else failures + 1
            before = _size(part)
            answered = answered or not isinstance(broken, _Away)
            if failures >= (_ATTEMPTS if answered else broken.attempts):
                again = f"{before:,} bytes stay in {part.name}, run the command again to go on" if before else "run the command again later"
                raise (OfflineError if isinstance(broken, _Away) else FetchError)(f"{file.url}: {broken}; {again}") from None
            wait(2.0 ** (failures - 1))
            continue
        if total is not None and _size(part) != total:
            _discard(part)
            raise FetchError(f"{file.url}: expected {total:,} bytes as the server said, got more; run the command again")
        break
    _verify(file, part, stated, say)
    part.replace(target)
    _tag_of(part).unlink(missing_ok=True)
    return target


def unpack(archive: Path, target: Path) -> None:
    """Unpack a zip or tar archive into the folder `target`, whole or not at all; what was unpacked there before stays.

    Raises:
        FetchError: it is no archive, is damaged, or holds something that leads out of the folder.
        DatasetError: `target` holds something else already or cannot be written.

    """
    if (target / _UNPACKED).is_file():
        return
    with whole_folder(target) as building:
        try:
            if zipfile.is_zipfile(archive):
                _unpack_zip(archive, building)
            elif tarfile.is_tarfile(archive):
                _unpack_tar(archive, building)
            else:
                raise FetchError(f"{archive}: expected a zip or tar archive, got something else; delete it and run the command again")
        except _DAMAGE as error:
            raise _damaged(archive, error) from None
        except OSError as error:
            if error.errno not in (None, errno.EINVAL):  # the disk's fault; a damaged archive has no number, or sends the reader before its start
                raise
            raise _damaged(archive, error) from None
        (building / _UNPACKED).write_text(archive.name + "\n", encoding="utf8")


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


class _Broken(Exception):
    """An attempt that may go better next time; `attempts` is how many are worth it."""

    def __init__(self, message: str, attempts: int = _ATTEMPTS) -> None:
        super().__init__(message)
        self.attempts = attempts


class _Away(_Broken):
    """An attempt that got no byte of an answer."""


class _Connection(HTTPConnection):
    def connect(self) -> None:
        super().connect()
        self.sock.settimeout(_TIMEOUT_S)


class _SafeConnection(HTTPSConnection):
    def connect(self) -> None:
        super().connect()
        self.sock.settimeout(_TIMEOUT_S)


class _Http(HTTPHandler):
    def http_open(self, req: Request) -> HTTPResponse:
        return self.do_open(_Connection, req)


class _Https(HTTPSHandler):
    def https_open(self, req: Request) -> HTTPResponse:
        return self.do_open(_SafeConnection, req)


class _Redirects(HTTPRedirectHandler):
    """Follows where a server leads, and keeps the SHA-256 that is stated on the way."""

    stated: str | None = None

    def redirect_request(self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str) -> Request | None:
        self.stated = _stated_sha256(headers) or self.stated
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _receive(file: RemoteFile, part: Path, progress: Progress) -> tuple[int | None, str | None]:
    """One attempt: ask for what is missing and append it to `part`; the file's whole size and its SHA-256 where the server said them."""
    have, tag = _size(part), _tag_of(part)
    headers = {"User-Agent": f"openplate/{__version__}", "Accept-Encoding": "identity"}
    validator = tag.read_text(encoding="latin-1") if tag.is_file() else ""
    if have and validator:
        headers |= {"Range": f"bytes={have}-", "If-Range": validator}
    redirects = _Redirects()
    try:
        response = build_opener(redirects, _Http, _Https).open(Request(file.url, headers=headers), timeout=_CONNECT_TIMEOUT_S)
    except HTTPError as error:
        with error:
            if error.code == 416 and have:  # nothing is left to send, or the file is another
                if have == _whole_size(error.headers):
                    return have, redirects.stated
                _discard(part)
                raise _Broken("the server has another file now") from None
            if error.code == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
                raise _Away(f"the server cannot be reached: the proxy answered {error.code} {error.reason}", 1) from None
            if error.code in _TRY_AGAIN:
                raise _Broken(f"the server answered {error.code} {error.reason}") from None
            raise FetchError(f"{file.url}: expected the file, the server answered {error.code} {error.reason}") from None
    except URLError as error:
        raise _unreachable(error.reason) from None
    except OSError as error:
        raise _unreachable(error) from None
    except HTTPException as error:
        raise _Broken(f"the connection broke: {error}") from None
    with response:
        assert isinstance(response, HTTPResponse)
        return _append(file, response, part, have, progress), _stated_sha256(response.headers) or redirects.stated


def _append(file: RemoteFile, response: HTTPResponse, part: Path, have: int, progress: Progress) -> int | None:
    resumed = response.status == 206 and (response.headers.get("Content-Range") or "").startswith(f"bytes {have}-")
    if response.status == 206 and not resumed:
        _discard(part)
        raise _Broken("the server sent another part than was asked for")
    if not resumed:
        have = 0
        _note_validator(part, response.headers)
    length = response.headers.get("Content-Length")
    total = have + int(length) if length and length.isdigit() else None
    if file.size is not None and total is not None and total != file.size:
        _discard(part)
        raise FetchError(f"{file.url}: expected {file.size:,} bytes, the server has {total:,}; the address may hold another release now")
    if total is not None and shutil.disk_usage(part.parent).free < total - have:
        raise FetchError(f"{part.parent}: expected {total - have:,} bytes free on the disk, found {shutil.disk_usage(part.parent).free:,}")
    progress(have, total)
    with part.open("ab" if resumed else "wb") as stream:
        while True:
            try:
                chunk = response.read(_CHUNK_BYTES)
            except (OSError, HTTPException) as error:
                raise _Broken(f"the connection broke: {error}") from None
            if not chunk:
                break
            stream.write(chunk)
            have += len(chunk)
            progress(have, total)
    if total is not None and have < total:
        raise _Broken(f"the connection broke after {have:,} of {total:,} bytes")
    return total


def _unreachable(reason: object) -> _Away:
    attempts = _ATTEMPTS
    if isinstance(reason, TimeoutError):
        attempts = _ATTEMPTS_SILENT
    elif isinstance(reason, OSError):  # a proxy that refuses is known by its words alone
        refused = reason.errno in _AWAY or isinstance(reason, socket.gaierror) or str(reason).startswith("Tunnel connection failed")
        attempts = 1 if refused else _ATTEMPTS
    return _Away(f"the server cannot be reached: {reason}", attempts)


def _stated_sha256(headers: Message) -> str | None:
    found = re.fullmatch(r'"?([0-9a-fA-F]{64})"?', (headers.get(_LINKED_TAG) or "").strip())
    return found[1].lower() if found else None


def _verify(file: RemoteFile, path: Path, stated: str | None, say: Callable[[str], None]) -> None:
    """Compare a downloaded file with what is known of it, else with what its server stated; a wrong one is removed."""
    size = _size(path)
    if file.size is not None and size != file.size:
        _discard(path)
        raise FetchError(f"{file.url}: expected {file.size:,} bytes, got {size:,}; the file was removed, run the command again")
    found = sha256_of(path)
    expected = file.sha256.lower() if file.sha256 is not None else stated
    if expected is None:
        say(f"{file.name}: no checksum is known; SHA-256 found: {found}")
    elif found != expected:
        _discard(path)
        source = "" if file.sha256 is not None else " as the server said"
        raise FetchError(f"{file.url}: expected SHA-256 {expected}{source}, got {found}; the file was removed, run the command again")


def _whole_size(headers: Message) -> int | None:
    size = (headers.get("Content-Range") or "").rpartition("/")[2]
    return int(size) if size.isdigit() else None


def _note_validator(part: Path, headers: Message) -> None:
    """Keep what tells whether the file is still the same: a strong ETag, else its date; without either nothing is resumed."""
    tag = headers.get("ETag") or ""
    validator = tag if tag and not tag.startswith("W/") else headers.get("Last-Modified") or ""
    if validator:
        _tag_of(part).write_text(validator, encoding="latin-1")
    else:
        _tag_of(part).unlink(missing_ok=True)


def _tag_of(part: Path) -> Path:
    return part.with_name(part.name + "-of")


def _size(path: Path) -> int:
    with contextlib.suppress(FileNotFoundError):
        return path.stat().st_size
    return 0


def _discard(path: Path) -> None:
    path.unlink(missing_ok=True)
    _tag_of(path).unlink(missing_ok=True)


def _damaged(archive: Path, error: Exception) -> FetchError:
    return FetchError(f"{archive}: cannot be unpacked, it may be damaged: {error}; delete it and run the command again")


def _unpack_zip(archive: Path, folder: Path) -> None:
    with zipfile.ZipFile(archive) as content:
        members = content.infolist()
        _check_room(folder, sum(member.file_size for member in members))
        for member in members:
            name = PurePosixPath(member.filename.replace("\\", "/"))
            if name.is_absolute() or ".." in name.parts or stat.S_ISLNK(member.external_attr >> 16):
                raise FetchError(f"{archive}: expected files inside the archive's folder, got {member.filename!r}")
            if not member.is_dir():
                path = folder / name
                path.parent.mkdir(parents=True, exist_ok=True)
                with content.open(member) as source, path.open("wb") as target:
                    shutil.copyfileobj(source, target, _CHUNK_BYTES)


def _unpack_tar(archive: Path, folder: Path) -> None:
    if not hasattr(tarfile, "data_filter"):
        raise FetchError(f"{archive}: expected a Python with safe unpacking of tar archives (3.11.4 or newer); unpack it by hand")
    with tarfile.open(archive) as content:
        content.extractall(folder, filter="data")
        while content.fileobj is not None and content.fileobj.read(_CHUNK_BYTES):  # tar stops before the end, where gzip and xz have their checksums
            pass


def _check_room(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise FetchError(f"{folder.parent}: expected {needed:,} bytes free on the disk to unpack, found {free:,}")


def _stem(name: str) -> str:
    return next((name[: -len(suffix)] for suffix in sorted(_ARCHIVES, key=len, reverse=True) if name.lower().endswith(suffix)), name + ".unpacked")


def _recorded_urls(record: Path) -> list[str]:
    try:
        return [file["url"] for file in json.loads(record.read_text(encoding="utf8"))["files"]]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def _parse_table(text: str, source: str) -> dict[str, PublicSet]:
    try:
        data = tomllib.loads(text)
        entries = data["sets"]
        if set(data) != {"sets"} or not isinstance(entries, list):
            raise ConfigError("expected [[sets]] tables and nothing else")
        sets = [_parse_set(entry) for entry in entries]
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{source}: not a TOML file: {error}") from None
    except KeyError as error:
        raise ConfigError(f"{source}: key {error.args[0]!r} is missing") from None
    except ConfigError as error:
        raise ConfigError(f"{source}: {error}") from None
    return {entry.name: entry for entry in sets}


def _parse_set(entry: Any) -> PublicSet:
    _check_keys(entry, _KEYS, "sets")
    name = entry["name"]
    strings = {key: entry[key] for key in ("name", "title", "kind", "licence", "licence_url", "credit", "page")}
    if not all(isinstance(value, str) and value for value in strings.values()):
        raise ConfigError(f"{name}: expected texts as {', '.join(strings)}")
    if entry["kind"] not in KINDS:
        raise ConfigError(f"{name}: kind: expected one of {', '.join(KINDS)}, got {entry['kind']!r}")
    files = tuple(_parse_file(name, file) for file in entry.get("files", []))
    if bool(files) == ("by_hand" in entry):
        raise ConfigError(f"{name}: expected either files or by_hand")
    names = [_stem(file.name) for file in files]
    if len(set(names)) != len(names):
        raise ConfigError(f"{name}: files: expected different names, got {', '.join(file.name for file in files)}")
    return PublicSet(**strings, files=files, by_hand=entry.get("by_hand"))


def _parse_file(name: str, file: Any) -> RemoteFile:
    _check_keys(file, _FILE_KEYS, f"{name}: files")
    remote = RemoteFile(file["url"], file.get("size"), file.get("sha256"))
    if urlsplit(remote.url).scheme not in ("http", "https") or remote.name in ("", ".", "..") or remote.name == RECORD:
        raise ConfigError(f"{name}: url: expected the http or https address of a file, got {remote.url!r}")
    return remote


def _check_keys(table: Any, known: set[str], where: str) -> None:
    if not isinstance(table, dict):
        raise ConfigError(f"{where}: expected a table, got {table!r}")
    unknown = set(table) - known
    if unknown:
        raise ConfigError(f"{where}: unknown key {min(unknown)!r}; known are {', '.join(sorted(known))}")
