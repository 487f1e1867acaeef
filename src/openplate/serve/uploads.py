"""A request's body in, picture files and form fields out, in memory: nothing that a client names becomes a path."""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import parse_qsl

from fastapi import HTTPException, Request
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect

from openplate.serve.reading import Upload
from openplate.serve.settings import UploadLimits

T = TypeVar("T")
_MAX_FIELDS = 64
_LONGEST_NAME = 200

PICTURE_BODY: dict[str, Any] = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": ["file"],
                "properties": {
                    "file": {"type": "array", "items": {"type": "string", "format": "binary"}, "description": "one picture file or several"},
                },
            },
            "example": {"file": ["the bytes of street.jpg"]},
        },
        "image/jpeg": {"schema": {"type": "string", "format": "binary"}, "example": "the bytes of street.jpg"},
        "image/png": {"schema": {"type": "string", "format": "binary"}, "example": "the bytes of street.png"},
        "application/octet-stream": {"schema": {"type": "string", "format": "binary"}, "example": "the bytes of a picture file"},
    },
}
"""For OpenAPI: one or several files, or a picture as the whole body."""


@dataclass(frozen=True, slots=True)
class Form:
    """What a request's body holds: picture files, and the text fields in their order."""

    uploads: tuple[Upload, ...]
    fields: tuple[tuple[str, str], ...]

    def last(self, name: str) -> str | None:
        """The last value of a field, None when it is not there."""
        return next((value for key, value in reversed(self.fields) if key == name), None)

    def every(self, name: str) -> tuple[str, ...]:
        """All values of a field, those that are joined by commas apart."""
        return tuple(part.strip() for key, value in self.fields if key == name for part in value.split(",") if part.strip())


async def read_form(request: Request, limits: UploadLimits, files: Sequence[str], text_forms: bool = False) -> Form:
    """The body as a form; a body that is no form is one picture.

    Args:
        request: with its body not read yet.
        limits: how many files it may hold.
        files: the names of the fields that hold pictures; other files are an error.
        text_forms: whether a body that says it is an URL-encoded form is one; otherwise it is a picture, for so `curl --data-binary` calls it.

    Raises:
        HTTPException: 400 when the form is damaged, 413 when it has too many files, 422 when a file stands where none is expected.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        return await _multipart(request, limits, files)
    body = await request.body()
    if text_forms and kind == "application/x-www-form-urlencoded":
        try:
            return Form((), tuple(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=_MAX_FIELDS)))
        except ValueError:
            raise HTTPException(400, f"expected a form of at most {_MAX_FIELDS} fields in UTF-8, got another") from None
    return Form((Upload("upload", body),) if body else (), ())


async def while_connected(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """What the work gives; it is given up when the client goes away. The request's body has to be read already.

    Raises:
        ClientDisconnect: the client went away.
    """
    doing, leaving = asyncio.create_task(work), asyncio.create_task(_left(request))
    try:
        await asyncio.wait({doing, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not doing.done():
            raise ClientDisconnect
        return doing.result()
    finally:
        doing.cancel()
        leaving.cancel()


async def _left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def decoded_base64(text: str, name: str = "upload") -> Upload:
    """A picture that came as text.

    Raises:
        HTTPException: 422 when the text is no Base64.
    """
    text = text.partition(",")[2] if text.startswith("data:") else text
    try:
        return Upload(name, base64.b64decode("".join(text.split()), validate=True))
    except (binascii.Error, ValueError):
        raise HTTPException(422, f"{name}: expected a file or a picture in Base64, got other text") from None


async def _multipart(request: Request, limits: UploadLimits, files: Sequence[str]) -> Form:
    parser = _InMemory(
        request.headers, request.stream(), max_files=limits.max_files, max_fields=_MAX_FIELDS, max_part_size=limits.max_body_bytes
    )  # fmt: skip
    parser.spool_max_size = 2 * limits.max_body_bytes
    try:
        form = await parser.parse()
    except MultiPartException as fault:
        status = 413 if "Too many" in fault.message else 400
        raise HTTPException(status, f"expected a form with at most {limits.max_files} files: {fault.message}") from None
    try:
        uploads: list[Upload] = []
        fields: list[tuple[str, str]] = []
        for name, value in form.multi_items():
            if isinstance(value, UploadFile):
                if name not in files:
                    raise HTTPException(422, f"expected pictures in the field {' or '.join(files)}, got a file in {shown_name(name)!r}")
                # The file is in memory: it is never larger than what may be kept there.
                uploads.append(Upload(shown_name(value.filename) or f"upload-{len(uploads) + 1}", value.file.read()))
            else:
                fields.append((name, value))
        if parser.open_part:
            raise HTTPException(400, "expected a whole form, got one without its end; send it again")
        return Form(tuple(uploads), tuple(fields))
    finally:
        await form.close()


class _InMemory(MultiPartParser):
    """Keeps files in memory, and knows whether the last part ended."""

    open_part = False

    def on_part_begin(self) -> None:
        self.open_part = True
        super().on_part_begin()

    def on_part_end(self) -> None:
        self.open_part = False
        super().on_part_end()


def shown_name(name: str | None) -> str:
    """A client's file name as it is shown in results: the last part of a path, no control characters, not too long."""
    last = (name or "").replace("\\", "/").rpartition("/")[2]
    return "".join(c for c in last if c.isprintable())[:_LONGEST_NAME]
