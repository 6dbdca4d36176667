"""What a handler needs of the application: settings, database, registry, caller."""

from dataclasses import dataclass, field
from typing import Any, cast

from starlette.requests import Request

from api.callers import Callers
from api.export_jobs import Exports
from api.facet_cache import FacetCache
from api.intake_jobs import IntakeJobs
from api.jobs import Runner
from api.metrics import Metrics
from api.tile_cache import TileCache
from api.uploads import Store
from cim.crs import CrsList
from cim.db.pool import Database
from cim.db.registry import Registry
from cim.db.together import Together
from cim.errors import NotFound
from cim.metering.meter import Meter
from cim.model import Collection, Scope
from cim.query.masking import as_seen
from cim.settings import Settings

ASKING_AS = "cim.scope"
"""Member of an ASGI scope: the `Scope` that the gateway calls an endpoint under."""


@dataclass(slots=True)
class Context:
    """The parts `api.app` wired; `app.context` holds it.

    `callers`: what a caller may see, by key, access token or session.
    `meter`: counts calls. `templates`: path template of each plain endpoint, for metrics. `is_draining`: told to stop,
    still answering.
    `tiles_asked`: addresses of tiles as `api.routes.tiles` read them. `streams`: answers that go on until one side goes.
    """

    settings: Settings
    database: Database
    registry: Registry
    metrics: Metrics
    store: Store
    runner: Runner
    intake: IntakeJobs
    exports: Exports
    crs_list: CrsList
    tiles: TileCache
    facets: FacetCache
    callers: Callers
    together: Together
    templates: dict[Any, str] = field(default_factory=dict)
    tiles_asked: dict[Any, Any] = field(default_factory=dict)
    meter: Meter | None = None
    is_draining: bool = False
    streams: int = 0


def context_of(request: Request) -> Context:
    """The parts of the application that the request came to."""
    return cast(Context, request.scope["app"].context)


def settings_of(request: Request) -> Settings:
    """The settings."""
    return context_of(request).settings


def database_of(request: Request) -> Database:
    """The pool of this worker."""
    return context_of(request).database


def registry_of(request: Request) -> Registry:
    """The collections this worker knows."""
    return context_of(request).registry


async def scope_of(request: Request) -> Scope:
    """What the caller may see. Raises Unauthorized for a key that is not known, Forbidden for a forged change in a session."""
    preset = request.scope.get(ASKING_AS)
    if preset is not None:
        return cast(Scope, preset)
    return await context_of(request).callers.authorise(request)


def visible_collections(request: Request, scope: Scope) -> list[Collection]:
    """The collections that exist for the caller, by id, as they see them."""
    return [as_seen(one, scope) for one in registry_of(request) if scope.sees(one.id)]


async def collection_of(request: Request) -> tuple[Collection, Scope]:
    """The collection that the path names, as the caller sees it, and what they may see. Raises NotFound, Unauthorized."""
    scope = await scope_of(request)
    registry, wanted = registry_of(request), request.path_params["collection_id"]
    if not scope.sees(wanted):
        raise NotFound("collection", wanted, [one.id for one in visible_collections(request, scope)])
    return as_seen(registry.get(wanted), scope), scope
