"""Settings in, the application out: its routes, its errors, its limits, and the service that lives as long as it does."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import Depends, FastAPI
from starlette.concurrency import run_in_threadpool

from openplate import __version__
from openplate.serve.access import only_known_parameters
from openplate.serve.description import describe, docs_page
from openplate.serve.limits import BodyLimits
from openplate.serve.problems import add_problem_handlers
from openplate.serve.routes import actions, cameras, compatible, events, health, lists, read, register, sightings
from openplate.serve.service import Service
from openplate.serve.settings import ServeSettings

_ROUTES = (health, read, compatible, sightings, events, cameras, lists, register, actions)


def create_app(settings: ServeSettings, ready: Service | None = None) -> FastAPI:
    """The application; entering its lifespan opens the store and loads the networks, unless a service is `ready`."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        service = ready if ready is not None else await run_in_threadpool(Service, settings)
        app.state.service = service
        try:
            await service.start()
            yield
        finally:
            await service.stop()

    app = FastAPI(title="OpenPlate", version=__version__, lifespan=lifespan, docs_url=None)
    add_problem_handlers(app)
    app.add_middleware(BodyLimits, limits=settings.limits)
    for routes in _ROUTES:
        app.include_router(routes.router, dependencies=[] if routes is compatible else [Depends(only_known_parameters)])
    describe(app, settings)
    app.add_api_route("/docs", docs_page, include_in_schema=False)
    return app
