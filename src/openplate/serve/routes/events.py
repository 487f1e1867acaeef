"""The live stream: what is stored and what cameras see, as it happens."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import StreamingResponse
from pydantic import Field

from openplate.serve.access import TheService, require
from openplate.serve.events import TOPICS, Topic
from openplate.serve.schemas import Problem

router = APIRouter(tags=["events"], dependencies=[require("read")], responses={422: {"model": Problem}, 503: {"model": Problem}})
_LARGEST = 2**63 - 1
_EXAMPLE = 'id: 7\nevent: sighting\ndata: {"seq": 7, "id": "gate-20270331T150000Z-2", "camera": "gate", "text": "A123BC77"}\n\n'


@router.get(
    "/v1/events",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/event-stream": {"example": _EXAMPLE}}, "description": "a stream without end"}},
)
async def events(
    service: TheService,
    request: Request,
    topic: Annotated[list[Topic], Query(max_length=10, description="what to tell; repeatable; all when left out")] = [],  # noqa: B006
    camera: Annotated[list[Annotated[str, Field(max_length=100)]], Query(max_length=100, description="of these cameras; of all when left out")] = [],  # noqa: B006
    after: Annotated[int | None, Query(ge=0, le=_LARGEST, description="begin with the sighting behind this seq")] = None,
    last_event_id: Annotated[int | None, Header(ge=0, le=_LARGEST, description="as browsers send it when they come back")] = None,
) -> StreamingResponse:
    """Server-sent events. `sighting`: one was stored, its `seq` is the event's id; a client that comes back with `Last-Event-ID` misses none.
    `opened` and `updated`: a vehicle that is still there. `camera`: a camera's state changed."""
    begin = last_event_id if last_event_id is not None else after
    stream = service.events.listen(begin, topic or TOPICS, camera, request.is_disconnected)
    first = await anext(stream)  # refuses here, while the status can still say so
    return StreamingResponse(_with(first, stream), media_type="text/event-stream", headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})


async def _with(first: str, rest: AsyncIterator[str]) -> AsyncIterator[str]:
    yield first
    async for one in rest:
        yield one
