"""Cameras: add, change, start, stop, see how they are doing, and what they see now."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from fastapi import APIRouter, HTTPException, Path, Query
from fastapi.responses import Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from openplate.errors import StoreError
from openplate.serve.access import TheService, require
from openplate.serve.cameras import CameraSetting, NotRunning
from openplate.serve.problems import not_found
from openplate.serve.reading import Hints
from openplate.serve.schemas import Problem
from openplate.serve.service import Service
from openplate.serve.spelling import NAME, SOME_LINE
from openplate.serve.stored import Moment

router = APIRouter(prefix="/v1/cameras", tags=["cameras"], responses={422: {"model": Problem}})
CameraName = Annotated[str, Path(min_length=1, max_length=32, examples=["gate"])]
Codes = Annotated[list[Annotated[str, Field(min_length=1, max_length=8)]], Field(max_length=50)]
_SETTINGS_BYTES = 64 * 1024

Source = Annotated[
    str,
    Field(
        min_length=1,
        max_length=2000,
        pattern=SOME_LINE,
        examples=["rtsp://user:password@10.0.0.5/stream1"],
        description="an address, a webcam's number, or a video file or folder on the server",
    ),
]
Table = Annotated[dict[str, Any], Field(max_length=60, description="settings as in a camera's file, docs/video.md")]


class CameraIn(BaseModel):
    """A camera to be added."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=1, max_length=32, pattern=NAME, examples=["gate"], description="begins its sightings' ids")
    source: Source
    country: Codes = Field(default=[], examples=[["ru", "kz"]], description="countries to expect")
    only: Codes = Field(default=[], description="countries to allow")
    watch: Table = Field(default={}, examples=[{"min_confidence": 0.95, "masks": [[[0, 0], [1, 0], [1, 0.06], [0, 0.06]]]}])
    stream: Table = Field(default={}, examples=[{"transport": "tcp"}])
    recorded_at: Moment | None = Field(default=None, description="when a recording begins; left out, its times count from the moment of starting")
    start: bool = Field(default=True, description="watch it at once, and whenever the service runs")


class CameraChange(BaseModel):
    """What is to change of a camera; what is left out stays."""

    model_config = ConfigDict(extra="forbid")

    source: Source | None = None
    country: Codes | None = None
    only: Codes | None = None
    watch: Table | None = None
    stream: Table | None = None
    recorded_at: Moment | None = None


class CameraState(BaseModel):
    """How a camera is doing."""

    state: Literal["stopped", "starting", "connecting", "running", "ended", "restarting"]
    frames: int = Field(description="that were watched since its process began")
    fps: float = Field(description="frames a second that are watched")
    dropped: int = Field(description="frames that came faster than they could be watched")
    reconnects: int
    restarts: int = Field(description="how often its process was started anew")
    sightings: int = Field(description="that were stored since its process began")
    last_frame: AwareDatetime | None
    width: int | None
    height: int | None
    error: str | None = Field(description="what is wrong; null when all is well")
    error_at: AwareDatetime | None


class CameraOut(BaseModel):
    """A camera and how it is doing. `source` is shown without user name and password."""

    name: str
    source: str
    country: list[str]
    only: list[str]
    watch: dict[str, Any]
    stream: dict[str, Any]
    recorded_at: AwareDatetime | None
    wanted: bool = Field(description="whether it is to be watched")
    status: CameraState

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "name": "gate",
                "source": "rtsp://10.0.0.5/stream1",
                "country": ["ru"],
                "only": [],
                "watch": {"min_confidence": 0.95},
                "stream": {},
                "recorded_at": None,
                "wanted": True,
                "status": {
                    "state": "running",
                    "frames": 15210,
                    "fps": 24.9,
                    "dropped": 12,
                    "reconnects": 0,
                    "restarts": 0,
                    "sightings": 31,
                    "last_frame": "2027-03-31T15:04:31.200000Z",
                    "width": 1920,
                    "height": 1080,
                    "error": None,
                    "error_at": None,
                },
            }
        }
    )


@router.get("", dependencies=[require("read")])
def cameras(service: TheService) -> list[CameraOut]:
    """All cameras and how they are doing, by name."""
    return [_camera_out(service, _existing(service, name)) for name in service.cameras.names()]


@router.post("", status_code=201, dependencies=[require("admin")], responses={409: {"model": Problem}})
def add(service: TheService, new: CameraIn) -> CameraOut:
    """Add a camera; a process of its own watches it from now on, unless `start` is false."""
    if new.name in service.cameras.names():
        raise HTTPException(409, f"there is a camera {new.name!r} already; change it, or take another name")
    value = new.model_dump(mode="json", exclude={"name", "start"}) | {"wanted": new.start}
    return _put(service, CameraSetting.parse(new.name, _checked(value)))


@router.get("/{name}", dependencies=[require("read")], responses={404: {"model": Problem}})
def get(service: TheService, name: CameraName) -> CameraOut:
    """One camera and how it is doing."""
    return _camera_out(service, _existing(service, name))


@router.patch("/{name}", dependencies=[require("admin")], responses={404: {"model": Problem}, 409: {"model": Problem}})
def change(service: TheService, name: CameraName, changes: CameraChange) -> CameraOut:
    """Change a camera; one that is running begins anew. `watch` and `stream` replace what was set before."""
    before = _existing(service, name).as_setting()
    given = changes.model_dump(mode="json", exclude_unset=True)
    given = {key: value for key, value in given.items() if value is not None or key == "recorded_at"}
    return _put(service, CameraSetting.parse(name, _checked(before | given)))


@router.delete("/{name}", status_code=204, dependencies=[require("admin")], responses={404: {"model": Problem}, 409: {"model": Problem}})
def remove(service: TheService, name: CameraName) -> None:
    """Stop and forget a camera; its sightings stay."""
    _existing(service, name)
    service.cameras.remove(name)


@router.post("/{name}/start", dependencies=[require("write")], responses={404: {"model": Problem}, 409: {"model": Problem}})
def start(service: TheService, name: CameraName) -> CameraOut:
    """Watch a camera, now and whenever the service runs. A recording is watched from its beginning."""
    _existing(service, name)
    service.cameras.want(name, True)
    return _camera_out(service, _existing(service, name))


@router.post("/{name}/stop", dependencies=[require("write")], responses={404: {"model": Problem}, 409: {"model": Problem}})
def stop(service: TheService, name: CameraName) -> CameraOut:
    """Stop watching a camera; visits that are going on are stored."""
    _existing(service, name)
    service.cameras.want(name, False)
    return _camera_out(service, _existing(service, name))


@router.get(
    "/{name}/snapshot",
    dependencies=[require("read")],
    response_class=Response,
    responses={200: {"content": {"image/jpeg": {"example": "the bytes of a JPEG file"}}}, 404: {"model": Problem}, 409: {"model": Problem}},
)
def snapshot(
    service: TheService,
    name: CameraName,
    marked: Annotated[bool, Query(description="draw the plates that are seen")] = False,
) -> Response:
    """What a camera sees now, as JPEG. Where plates are hashed, they are blurred."""
    _existing(service, name)
    try:
        picture = service.cameras.snapshot(name, marked)
    except NotRunning as error:
        raise HTTPException(409, str(error)) from None
    return Response(picture, media_type="image/jpeg", headers={"Cache-Control": "no-store"})


def _checked(value: dict[str, Any]) -> dict[str, Any]:
    try:
        size = len(json.dumps(value))
    except (ValueError, RecursionError):
        size = _SETTINGS_BYTES + 1
    if size > _SETTINGS_BYTES:
        raise HTTPException(422, f"expected a camera's settings of at most {_SETTINGS_BYTES} bytes, got more")
    return value


def _put(service: Service, setting: CameraSetting) -> CameraOut:
    service.reading.check_hints(Hints(setting.camera.country, setting.camera.only))
    service.cameras.put(setting)
    return _camera_out(service, setting)


def _existing(service: Service, name: str) -> CameraSetting:
    try:
        return service.cameras.get(name)
    except StoreError as error:
        if error.__cause__ is not None:  # the database does not answer
            raise
        raise not_found(f"camera {name!r}") from None


def _camera_out(service: Service, setting: CameraSetting) -> CameraOut:
    status = service.cameras.status(setting.camera.name)
    return CameraOut(
        name=setting.camera.name,
        source=setting.shown_source,
        country=list(setting.camera.country),
        only=list(setting.camera.only),
        watch=dict(setting.watch),
        stream=dict(setting.stream),
        recorded_at=setting.recorded_at,
        wanted=setting.wanted,
        status=CameraState(
            state=status.state,
            frames=status.frames,
            fps=status.fps,
            dropped=status.dropped,
            reconnects=status.reconnects,
            restarts=status.restarts,
            sightings=status.sightings,
            last_frame=status.last_frame,
            width=status.width,
            height=status.height,
            error=status.error,
            error_at=status.error_at,
        ),
    )
