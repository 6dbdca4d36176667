"""All settings, as one frozen object that an entry point builds and passes on."""

import os
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


def default_data_dir() -> Path:
    """/var/lib/opencim for root, `$XDG_DATA_HOME/opencim` (~/.local/share/opencim) for anyone else."""
    if os.geteuid() == 0:
        return Path("/var/lib/opencim")
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local/share") / "opencim"


class Settings(BaseSettings):
    """Read from the environment (`CIM_…`, and `DATABASE_URL`); the defaults work on a laptop."""

    model_config = SettingsConfigDict(env_prefix="CIM_", frozen=True, extra="ignore", populate_by_name=True)

    database_url: str | None = Field(
        None, validation_alias="DATABASE_URL", description="libpq URL of a database to use instead of the embedded one."
    )
    api_password: str | None = Field(
        None,
        description="Password of the login cim_api, which owns nothing: `cim db upgrade` sets it, the API logs in by it.",
    )
    data_dir: Path = Field(default_factory=default_data_dir, description="Folder of the embedded cluster and uploads.")
    host: str = Field("127.0.0.1", description="Address the API listens on; 0.0.0.0 to serve other machines.")
    port: int = Field(8000, description="Port the API listens on.")
    base_url: str | None = Field(
        None, description="Public address of this node, used in every link; set it behind a proxy. No trailing slash."
    )
    workers: int = Field(1, description="API worker processes; raise to the number of spare cores.")
    pool_size: int = Field(10, description="Database connections of one worker.")
    tile_cache_bytes: int = Field(64 * 1024**2, description="Memory a worker keeps made vector tiles in; 0 for none.")
    keep_texts: bool = Field(
        True,
        description="Keep the GeoJSON of features beside them: their pages cost the database half, for about twice the disk.",
    )
    statement_timeout_s: float = Field(20.0, description="A query that runs longer is cancelled and answered 503.")
    header_timeout_s: float = Field(10.0, description="A request whose head or body stalls this long is closed (408).")
    max_body_bytes: int = Field(16 * 1024 * 1024, description="Largest JSON body taken.")
    max_upload_bytes: int = Field(2 * 1024**3, description="Largest file taken by the upload endpoint.")
    upload_quota_bytes: int = Field(
        50 * 1024**3, description="Most bytes of uploads that wait or are kept after a failure."
    )
    export_quota_bytes: int = Field(20 * 1024**3, description="Most bytes of exported files that are kept at once.")
    export_ttl_s: float = Field(24 * 3600, description="Seconds that an exported file may be downloaded.")
    max_unpacked_bytes: int = Field(8 * 1024**3, description="Largest content of an uploaded archive, unpacked.")
    max_archive_members: int = Field(10_000, description="Most members of an uploaded archive.")
    loader_memory_bytes: int = Field(4 * 1024**3, description="Address space a reading child may use.")
    loader_cpu_s: int = Field(3600, description="CPU seconds a reading child may use.")
    crs: str = Field(
        "4326,4490,3857,4491-4554,32649,32650,2326",
        description="EPSG codes that coordinates may be asked for and given in besides CRS84, with ranges.",
    )
    cors_origins: str = Field("*", description="Origins that browsers may call from, comma separated; * for all.")
    time_zone: str = Field("Asia/Shanghai", description="Time zone of the platform's days: quotas, statements, closes.")
    meter_spool_bytes: int = Field(
        1024**3, description="Most bytes of calls that wait to be booked; then calls are refused (503)."
    )
    meter_fsync: bool = Field(
        False, description="Wait for the disk before each answer ends: calls survive a power cut."
    )
    meter_keep_days: int = Field(400, ge=100, description="Days that single calls are kept; sums are kept for good.")
    meter_window_days: int = Field(
        45, ge=1, le=99, description="Days back within which spooled calls are booked; older ones go to quarantine."
    )
    meter_close_after_s: float = Field(
        900, ge=0, description="Seconds after midnight at which a day of the ledger is closed."
    )
    log_json: bool = Field(False, description="Logs as JSON lines instead of key=value text.")
    anonymous_collections: str = Field(
        "*", description="Collections that callers without a key see, comma separated; * for all, empty for none."
    )
    anonymous_hidden: str = Field(
        "", description="Properties hidden from callers without a key, comma separated: name or collection.name."
    )
    anonymous_precision_m: float | None = Field(
        None, ge=1, le=100_000, description="Metres of the grid cells by which callers without a key are told places."
    )
    allowed_upstreams: str = Field(
        "",
        description="Pairs host:port of internal networks that services may be called at, comma separated; the rest of "
        "private networks stays closed.",
    )
    node_id: str = Field(
        "city", pattern=r"^[a-z0-9][a-z0-9-]{0,29}$", description="Id of this node among the two tiers."
    )
    node_kind: Literal["city", "district"] = Field("city", description="Which tier this node is of.")
    node_title_zh: str = Field("", description="Name of the city or district, Chinese.")
    node_title_en: str = Field("", description="Name of the city or district, English.")
    area_code: str = Field("", pattern=r"^\d{0,12}$", description="Division code of the area that this node is for.")
    node_parent: str = Field(
        "", description="Of a district: the organisation whose keys the city calls with; its calls keep the city's ids."
    )
    health_interval_s: float = Field(
        300.0, ge=0, description="Seconds between two probes of a service that is called elsewhere or here; 0 for none."
    )
    health_failures: int = Field(
        12, ge=0, description="Probes that fail in a row before a service is suspended; 0: none ever is."
    )
    health_failing_s: float = Field(3600.0, ge=0, description="Seconds that it must have failed for, besides.")
    health_successes: int = Field(3, ge=1, description="Probes that succeed in a row before it is resumed.")
    secret_key: str | None = Field(
        None,
        repr=False,
        description="Master key of stored credentials, the same on every machine of a node; unset: secret.key in the data folder.",
    )
    upstream_connect_s: float = Field(5.0, description="Seconds to connect to a service behind the gateway.")
    upstream_first_byte_s: float = Field(30.0, description="Seconds until a service must begin its answer.")
    upstream_idle_s: float = Field(15.0, description="Seconds of silence, or of less than 1 kB/s, that end a transfer.")
    upstream_total_s: float = Field(300.0, description="Seconds that one call of a service may take.")
    upstream_max_bytes: int = Field(2 * 1024**3, description="Largest answer passed on.")
    upstream_calls: int = Field(64, description="Calls under way at once from one worker to one upstream.")
    upstream_cache_bytes: int = Field(
        64 * 1024**2, description="Memory a worker keeps answers of services in; 0 for none."
    )
    admin_key: str | None = Field(None, description="An admin key to accept besides those made by `cim db key`.")
    session_idle_s: float = Field(2 * 3600, gt=0, description="Seconds without a request after which a session ends.")
    session_s: float = Field(12 * 3600, gt=0, description="Seconds after which a session ends whatever is done in it.")
    invitation_s: float = Field(
        7 * 24 * 3600, gt=0, description="Seconds that an invitation to set a password is good."
    )
    key_overlap_s: float = Field(
        24 * 3600, ge=0, description="Seconds that a key goes on beside the one that took its place."
    )
    application_days: str = Field(
        "conditional=10", description="Working days to decide an application in, by share class, comma separated."
    )
    reminder_every_s: float = Field(
        60.0, gt=0, description="Seconds between two looks for applications that are due and grants that expire."
    )
    holidays: str = Field(
        "", description="Days off besides weekends, comma separated: 2026-10-01/2026-10-07,2027-01-01."
    )
    working_weekends: str = Field("", description="Weekend days that are worked for a holiday, comma separated.")
    oidc_issuer: str | None = Field(None, description="Issuer of OpenID Connect that people log in at; none for none.")
    oidc_client_id: str = Field("", description="Client id of this node at the issuer.")
    oidc_client_secret: str | None = Field(None, description="Client secret of this node at the issuer.")
    oidc_audience: str = Field(
        "", description="Audience of access tokens (JWT) of the issuer that are taken as keys; empty to take none."
    )
    oidc_organisation_claim: str = Field("organisation", description="Claim with the id of somebody's organisation.")
    oidc_duties_claim: str = Field(
        "", description="Claim with somebody's duties, read at each log-in; empty to leave duties to the admins here."
    )
    oidc_makes_people: bool = Field(
        False, description="Make somebody the issuer knows and this node does not, in the organisation of the claim."
    )

    @field_validator("time_zone")
    @classmethod
    def _is_known(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (KeyError, ValueError, OSError) as error:
            raise ValueError("no such time zone; write one of the IANA database, such as Asia/Shanghai") from error
        return name

    @property
    def public_url(self) -> str:
        """`base_url`, or the address listened on; never taken from a request (catalogue B31)."""
        if self.base_url:
            return self.base_url.rstrip("/")
        host = "127.0.0.1" if self.host in ("0.0.0.0", "::") else self.host  # noqa: S104
        return f"http://{host}:{self.port}"
