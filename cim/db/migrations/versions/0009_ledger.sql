CREATE TABLE cim.call (
    day DATE NOT NULL,
    call_id UUID NOT NULL,
    organisation_id TEXT COLLATE "C" NOT NULL,
    received_at TIMESTAMP WITH TIME ZONE NOT NULL,
    service_id TEXT COLLATE "C" NOT NULL,
    key_prefix TEXT COLLATE "C" NOT NULL,
    grant_id TEXT COLLATE "C" NOT NULL,
    scenario_id TEXT COLLATE "C" NOT NULL,
    method TEXT NOT NULL,
    status SMALLINT NOT NULL,
    outcome TEXT COLLATE "C" NOT NULL,
    bytes BIGINT NOT NULL,
    rows BIGINT NOT NULL,
    duration_ms REAL NOT NULL,
    origin TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (day, call_id, organisation_id)
)
 PARTITION BY RANGE (day);

COMMENT ON COLUMN cim.call.day IS 'that it is booked on: when it was received, or the first open day';

COMMENT ON COLUMN cim.call.origin IS 'here, or the node that the call came through';

CREATE TABLE cim.call_minute (
    day DATE NOT NULL,
    minute TIMESTAMP WITH TIME ZONE NOT NULL,
    organisation_id TEXT COLLATE "C" NOT NULL,
    service_id TEXT COLLATE "C" NOT NULL,
    calls BIGINT NOT NULL,
    denied BIGINT NOT NULL,
    failed BIGINT NOT NULL,
    bytes BIGINT NOT NULL,
    rows BIGINT NOT NULL,
    PRIMARY KEY (day, minute, organisation_id, service_id)
)
 PARTITION BY RANGE (day);

CREATE TABLE cim.call_day (
    day DATE NOT NULL,
    organisation_id TEXT COLLATE "C" NOT NULL,
    service_id TEXT COLLATE "C" NOT NULL,
    scenario_id TEXT COLLATE "C" NOT NULL,
    calls BIGINT NOT NULL,
    denied BIGINT NOT NULL,
    failed BIGINT NOT NULL,
    bytes BIGINT NOT NULL,
    rows BIGINT NOT NULL,
    PRIMARY KEY (day, organisation_id, service_id, scenario_id)
);

CREATE TABLE cim.call_late (
    day DATE NOT NULL,
    call_id UUID NOT NULL,
    organisation_id TEXT COLLATE "C" NOT NULL,
    booked_on DATE NOT NULL,
    PRIMARY KEY (day, call_id, organisation_id)
);

COMMENT ON COLUMN cim.call_late.day IS 'in which the call was received; closed when it came';

CREATE TABLE cim.call_quarantine (
    day DATE NOT NULL,
    call_id UUID NOT NULL,
    organisation_id TEXT COLLATE "C" NOT NULL,
    received_at TIMESTAMP WITH TIME ZONE NOT NULL,
    service_id TEXT COLLATE "C" NOT NULL,
    key_prefix TEXT COLLATE "C" NOT NULL,
    grant_id TEXT COLLATE "C" NOT NULL,
    scenario_id TEXT COLLATE "C" NOT NULL,
    method TEXT NOT NULL,
    status SMALLINT NOT NULL,
    outcome TEXT COLLATE "C" NOT NULL,
    bytes BIGINT NOT NULL,
    rows BIGINT NOT NULL,
    duration_ms REAL NOT NULL,
    origin TEXT COLLATE "C" NOT NULL,
    found_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    PRIMARY KEY (day, call_id, organisation_id)
);

COMMENT ON COLUMN cim.call_quarantine.day IS 'outside the window of days that are booked';

COMMENT ON COLUMN cim.call_quarantine.origin IS 'here, or the node that the call came through';

CREATE TABLE cim.call_close (
    day DATE NOT NULL,
    number INTEGER NOT NULL,
    calls BIGINT NOT NULL,
    denied BIGINT NOT NULL,
    failed BIGINT NOT NULL,
    bytes BIGINT NOT NULL,
    rows BIGINT NOT NULL,
    rows_digest BYTEA NOT NULL,
    sums_digest BYTEA NOT NULL,
    previous BYTEA NOT NULL,
    digest BYTEA NOT NULL,
    closed_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    PRIMARY KEY (day),
    UNIQUE (number)
);

COMMENT ON COLUMN cim.call_close.number IS '1 and up without a gap';

COMMENT ON COLUMN cim.call_close.rows_digest IS 'sha256 of the day''s calls as COPY writes them, by id';

COMMENT ON COLUMN cim.call_close.sums_digest IS 'the same of its rows of cim.call_day, by key';

COMMENT ON COLUMN cim.call_close.digest IS 'sha256 of all of this and of the close before';

CREATE TABLE cim.quota_use (
    grant_id TEXT COLLATE "C" NOT NULL,
    policy TEXT COLLATE "C" NOT NULL,
    window_start BIGINT NOT NULL,
    taken BIGINT NOT NULL,
    held BIGINT NOT NULL,
    held_until TIMESTAMP WITH TIME ZONE NOT NULL,
    granted BIGINT NOT NULL,
    PRIMARY KEY (grant_id, policy),
    CONSTRAINT quota_use_policy_check CHECK (policy IN ('day', 'rate'))
);

COMMENT ON COLUMN cim.quota_use.window_start IS 'seconds since 1970';

COMMENT ON COLUMN cim.quota_use.taken IS 'calls let through, and those leased';

COMMENT ON COLUMN cim.quota_use.held IS 'leased, and not asked for yet';

COMMENT ON COLUMN cim.quota_use.held_until IS 'when all of them are used or given back';

COMMENT ON COLUMN cim.quota_use.granted IS 'by the last statement';

CREATE TABLE cim.price_plan (
    service_id TEXT COLLATE "C" NOT NULL,
    valid_from DATE NOT NULL,
    currency TEXT NOT NULL,
    plan JSONB NOT NULL,
    set_by TEXT NOT NULL,
    set_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    PRIMARY KEY (service_id, valid_from)
);

COMMENT ON COLUMN cim.price_plan.valid_from IS 'first day of a month';

COMMENT ON COLUMN cim.price_plan.plan IS 'as cim.metering.prices reads it; amounts are decimal texts';
