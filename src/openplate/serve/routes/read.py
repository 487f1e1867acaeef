"""`POST /v1/read`: pictures in, the command line's JSON objects out, or the picture with its plates marked."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Query, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from openplate.errors import OpenPlateError
from openplate.results import photo_as_json
from openplate.serve.access import TheService, require
from openplate.serve.faults import faults_of
from openplate.serve.fetch import fetch
from openplate.serve.problems import problems
from openplate.serve.reading import Answer, Hints, Upload
from openplate.serve.schemas import READ_EXAMPLE, FailedPhoto, Photo
from openplate.serve.service import Service
from openplate.serve.uploads import PICTURE_BODY, Form, read_form, while_connected

router = APIRouter(tags=["photos"])
MARKED = {"schema": {"type": "string", "format": "binary"}, "example": "the bytes of the picture, its plates marked"}


class ReadOptions(BaseModel):
    """How pictures are read; each may stand in the address or in the form, where the form counts."""

    model_config = ConfigDict(extra="forbid")

    country: str = Field("", description="countries to expect, such as ru,kz; others stay possible", max_length=500, examples=["ru,kz"])
    only: str = Field("", description="countries to allow, such as ru; no others are read", max_length=500, examples=["ru"])
    min_confidence: float | None = Field(
        None, ge=0, le=1, description="below it a plate is unreadable; 0.5 unless the service has another default", examples=[0.9]
    )
    cropped: bool = Field(False, description="each picture is a plate already: only read it")
    annotate: bool = Field(False, description="answer with the picture, its plates marked, instead of JSON")
    url: str | None = Field(
        None,
        description="an address to fetch the picture from; the service has to allow it",
        max_length=2000,
        examples=["https://cameras.example/gate.jpg"],
    )

    def hints(self, service: Service) -> Hints:
        """What the pipeline is told; what is not given is as the service is set up."""
        given = service.settings.options
        return Hints(
            codes(self.country) or tuple(given.country),
            codes(self.only) or tuple(given.only),
            given.min_confidence if self.min_confidence is None else self.min_confidence,
            self.cropped,
        )


@router.post(
    "/v1/read",
    dependencies=[require("read")],
    response_model=list[Photo | FailedPhoto],
    openapi_extra={"requestBody": PICTURE_BODY},
    responses={
        200: {
            "description": "an object for each image in the order of the files; for a file that cannot be read, beside others that can, its error",
            "content": {"application/json": {"example": READ_EXAMPLE}, "image/jpeg": MARKED},
        },
        **problems(400, 401, 403, 408, 413, 422, 503),
    },
)
async def read(request: Request, service: TheService, options: Annotated[ReadOptions, Query()]) -> Response:
    """Find and read the number plates in one picture or several.

    Send pictures as files in the field `file` of a form, or one picture as the whole body. JPEG, PNG, WebP, BMP, TIFF and GIF are told apart by their
    bytes. Nothing is stored.
    """
    form = await read_form(request, service.settings.limits, ("file",))
    options = _with_form(options, form)
    uploads = form.uploads
    if options.url is not None:
        uploads = (*uploads, await fetch(options.url, service.settings))
    if not uploads:
        raise HTTPException(422, "expected a picture: as a file in the field 'file' of a form, or as the whole body")
    if options.annotate and len(uploads) > 1:
        raise HTTPException(422, f"annotate gives one picture, got {len(uploads)} files; send them one by one")
    answers = await while_connected(request, service.reading.read(uploads, options.hints(service), options.annotate))
    faults = [answer for answer in answers if isinstance(answer, OpenPlateError)]
    if len(faults) == len(answers):
        raise faults[0]
    if options.annotate:
        (answer,) = answers
        assert isinstance(answer, Answer)
        return Response(answer.marked, media_type="image/jpeg")
    return JSONResponse(_objects(uploads, answers))


def codes(text: str) -> tuple[str, ...]:
    """Country codes that are separated by commas."""
    return tuple(code.strip().upper() for code in text.split(",") if code.strip())


def _with_form(options: ReadOptions, form: Form) -> ReadOptions:
    """The options with those of the form.

    Raises:
        HTTPException: a field is unknown or its value is wrong.
    """
    if not form.fields:
        return options
    try:
        given = ReadOptions.model_validate(dict(form.fields))
    except ValidationError as error:
        faults = faults_of(error.errors(), lambda _: ReadOptions.model_fields)[:5]
        raise HTTPException(422, f"fields of the form: {'; '.join(f'{one.where}: {one.message}' for one in faults)}") from None
    return options.model_copy(update={name: getattr(given, name) for name in given.model_fields_set})


def _objects(uploads: tuple[Upload, ...], answers: list[Answer | OpenPlateError]) -> list[dict[str, Any]]:
    objects: list[dict[str, Any]] = []
    for upload, answer in zip(uploads, answers, strict=True):
        if isinstance(answer, Answer):
            objects += [photo_as_json(result) for result in answer.results]
        else:
            objects.append({"image": upload.name, "error": str(answer)})
    return objects
