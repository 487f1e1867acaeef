"""Is it alive, is it ready, how is it doing: /healthz, /readyz, /metrics."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from prometheus_client import generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from pydantic import BaseModel, Field

from openplate.serve.access import TheService, require
from openplate.serve.problems import problems

router = APIRouter(tags=["health"])

_METRICS_EXAMPLE = """# HELP openplate_pictures_read_total Pictures read
# TYPE openplate_pictures_read_total counter
openplate_pictures_read_total 1520.0
"""


class Health(BaseModel):
    """The process lives. Where `privacy` is "hash", hashes stand for plates everywhere, and only whole plates can be searched for."""

    status: Literal["ok"] = Field(examples=["ok"])
    privacy: Literal["plain", "hash"] = Field(examples=["plain"])


class Readiness(BaseModel):
    """Whether the service works; `faults` names the parts that do not."""

    status: Literal["ready", "not ready"] = Field(examples=["ready"])
    faults: dict[str, str] = Field(default={}, examples=[{"store": "not working"}])


@router.get("/healthz")
async def healthz(service: TheService) -> Health:
    """The process answers, and says whether it keeps plates or hashes of them."""
    return Health(status="ok", privacy=service.settings.privacy)


@router.get("/readyz", response_model=Readiness, responses={503: {"model": Readiness, "description": "A part does not work"}})
def readyz(service: TheService) -> Response:
    """The store and the networks work: 200, or 503 with the parts that do not."""
    faults = service.faults()
    return JSONResponse({"status": "not ready", "faults": faults} if faults else {"status": "ready", "faults": {}}, 503 if faults else 200)


@router.get(
    "/metrics",
    dependencies=[require("read")],
    response_class=PlainTextResponse,
    responses={200: {"content": {"text/plain": {"example": _METRICS_EXAMPLE}}}, **problems(401, 403)},
)
def metrics(service: TheService) -> Response:
    """Counts and times in the text format of Prometheus."""
    return Response(generate_latest(service.registry), media_type=CONTENT_TYPE_LATEST)
