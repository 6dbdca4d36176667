SET LOCAL lock_timeout = '30s';

ALTER TABLE cim.organisation
    ADD COLUMN state TEXT NOT NULL DEFAULT 'active',
    ADD COLUMN area_code TEXT COLLATE "C",
    ADD COLUMN created_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
    ADD CONSTRAINT organisation_state_check CHECK (state IN ('active', 'suspended'));
COMMENT ON COLUMN cim.organisation.area_code IS 'of the district it belongs to; NULL for the city';

CREATE TABLE cim.person (
    id TEXT COLLATE "C" NOT NULL,
    organisation_id TEXT COLLATE "C" NOT NULL,
    login TEXT COLLATE "C" NOT NULL,
    name TEXT NOT NULL,
    email TEXT,
    password_hash TEXT,
    issuer TEXT COLLATE "C",
    subject TEXT COLLATE "C",
    duties TEXT[] NOT NULL DEFAULT '{}',
    area_code TEXT COLLATE "C",
    state TEXT NOT NULL DEFAULT 'active',
    created_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
    PRIMARY KEY (id),
    FOREIGN KEY (organisation_id) REFERENCES cim.organisation (id),
    CONSTRAINT person_state_check CHECK (state IN ('active', 'suspended')),
    CONSTRAINT person_duties_check
        CHECK (duties <@ ARRAY['publisher', 'reviewer', 'org_admin', 'district_admin', 'city_admin'])
);
COMMENT ON COLUMN cim.person.login IS 'lower case';
COMMENT ON COLUMN cim.person.password_hash IS 'argon2id';
COMMENT ON COLUMN cim.person.issuer IS 'of OpenID Connect, with the subject';
COMMENT ON COLUMN cim.person.area_code IS 'of the district that a district admin acts in';
CREATE UNIQUE INDEX person_login_idx ON cim.person (login);
CREATE UNIQUE INDEX person_subject_idx ON cim.person (issuer, subject) WHERE subject IS NOT NULL;
CREATE INDEX person_organisation_id_idx ON cim.person (organisation_id, id);

ALTER TABLE cim.api_key
    ADD COLUMN organisation_id TEXT COLLATE "C",
    ADD COLUMN person_id TEXT COLLATE "C",
    ADD COLUMN duties TEXT[] NOT NULL DEFAULT '{}',
    ADD COLUMN services TEXT[],
    ADD CONSTRAINT api_key_duties_check
        CHECK (duties <@ ARRAY['publisher', 'reviewer', 'org_admin', 'district_admin', 'city_admin']);
COMMENT ON COLUMN cim.api_key.organisation_id IS 'whose calls are counted';
COMMENT ON COLUMN cim.api_key.person_id IS 'who made it for themselves';
COMMENT ON COLUMN cim.api_key.services IS 'ids of the services it may call; NULL for all that its organisation may';

ALTER TABLE cim.service DROP CONSTRAINT service_state_check;
ALTER TABLE cim.service
    ADD COLUMN time_from DATE,
    ADD COLUMN time_to DATE,
    ADD COLUMN quality TEXT,
    ADD COLUMN content_hash TEXT,
    ADD COLUMN registered_by TEXT NOT NULL DEFAULT '',
    ADD COLUMN state_reason TEXT,
    ADD COLUMN harvest_id TEXT COLLATE "C",
    ADD COLUMN remote_id TEXT COLLATE "C",
    ADD COLUMN provenance JSONB,
    ADD CONSTRAINT service_state_check
        CHECK (state IN ('draft', 'in_review', 'approved', 'published', 'suspended', 'withdrawn', 'archived'));
COMMENT ON COLUMN cim.service.version IS 'of cim.service_version, whose content these columns show';
COMMENT ON COLUMN cim.service.state_reason IS 'why it is suspended or withdrawn';
COMMENT ON COLUMN cim.service.harvest_id IS 'the harvest, or district node, that it came from';
COMMENT ON COLUMN cim.service.remote_id IS 'its id where it came from';
CREATE UNIQUE INDEX service_remote_idx ON cim.service (harvest_id, remote_id) WHERE harvest_id IS NOT NULL;
CREATE INDEX service_organisation_id_idx ON cim.service (organisation_id, id);

CREATE TABLE cim.service_version (
    service_id TEXT COLLATE "C" NOT NULL,
    number INTEGER NOT NULL,
    state TEXT NOT NULL DEFAULT 'draft',
    document JSONB NOT NULL,
    content_hash TEXT NOT NULL,
    edited_by TEXT NOT NULL,
    edited_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
    submitted_by TEXT,
    submitted_at TIMESTAMP WITH TIME ZONE,
    reviewed_by TEXT,
    reviewed_at TIMESTAMP WITH TIME ZONE,
    review_note TEXT,
    published_by TEXT,
    published_at TIMESTAMP WITH TIME ZONE,
    PRIMARY KEY (service_id, number),
    CONSTRAINT service_version_state_check
        CHECK (state IN ('draft', 'in_review', 'approved', 'published', 'suspended', 'withdrawn', 'archived'))
);
COMMENT ON COLUMN cim.service_version.document IS 'the members of a registration';
COMMENT ON COLUMN cim.service_version.content_hash IS 'sha256 of the document, hex: what a review is of';
CREATE UNIQUE INDEX service_version_working_idx ON cim.service_version (service_id)
    WHERE state IN ('draft', 'in_review', 'approved');
CREATE UNIQUE INDEX service_version_face_idx ON cim.service_version (service_id)
    WHERE state IN ('published', 'suspended', 'withdrawn');

CREATE TABLE cim.scenario (
    id TEXT COLLATE "C" NOT NULL,
    organisation_id TEXT COLLATE "C" NOT NULL,
    title_zh TEXT NOT NULL DEFAULT '',
    title_en TEXT NOT NULL DEFAULT '',
    description TEXT NOT NULL DEFAULT '',
    contact TEXT,
    url TEXT,
    state TEXT NOT NULL DEFAULT 'active',
    created_by TEXT NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
    PRIMARY KEY (id),
    FOREIGN KEY (organisation_id) REFERENCES cim.organisation (id),
    CONSTRAINT scenario_state_check CHECK (state IN ('active', 'archived'))
);
COMMENT ON TABLE cim.scenario IS 'application scenarios: what an organisation builds with services';
CREATE INDEX scenario_organisation_id_idx ON cim.scenario (organisation_id, id);

CREATE TABLE cim.application (
    id BIGINT GENERATED BY DEFAULT AS IDENTITY,
    service_id TEXT COLLATE "C" NOT NULL,
    organisation_id TEXT COLLATE "C" NOT NULL,
    scenario_id TEXT COLLATE "C",
    purpose TEXT NOT NULL,
    wanted JSONB NOT NULL DEFAULT '{}',
    state TEXT NOT NULL DEFAULT 'submitted',
    applied_by TEXT NOT NULL,
    applied_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
    due_at TIMESTAMP WITH TIME ZONE NOT NULL,
    reminded_at TIMESTAMP WITH TIME ZONE,
    decided_by TEXT,
    decided_at TIMESTAMP WITH TIME ZONE,
    note TEXT,
    PRIMARY KEY (id),
    CONSTRAINT application_state_check CHECK (state IN ('submitted', 'granted', 'refused', 'withdrawn'))
);
COMMENT ON COLUMN cim.application.wanted IS 'conditions asked for, as a grant has them';
COMMENT ON COLUMN cim.application.due_at IS 'end of the working days that its share class allows';
CREATE INDEX application_service_id_idx ON cim.application (service_id, id);
CREATE INDEX application_organisation_id_idx ON cim.application (organisation_id, id);
CREATE INDEX application_open_idx ON cim.application (due_at) WHERE state = 'submitted';

CREATE TABLE cim.service_grant (
    id BIGINT GENERATED BY DEFAULT AS IDENTITY,
    service_id TEXT COLLATE "C" NOT NULL,
    organisation_id TEXT COLLATE "C" NOT NULL,
    application_id BIGINT,
    scenario_id TEXT COLLATE "C",
    quota_day BIGINT,
    rate_calls INTEGER,
    rate_seconds INTEGER,
    expires_at TIMESTAMP WITH TIME ZONE,
    area_code TEXT COLLATE "C",
    hidden TEXT[] NOT NULL DEFAULT '{}',
    precision_m DOUBLE PRECISION,
    granted_by TEXT NOT NULL,
    granted_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
    revoked_by TEXT,
    revoked_at TIMESTAMP WITH TIME ZONE,
    revoked_why TEXT,
    PRIMARY KEY (id),
    CONSTRAINT service_grant_quota_check CHECK (quota_day > 0),
    CONSTRAINT service_grant_rate_check
        CHECK ((rate_calls IS NULL) = (rate_seconds IS NULL) AND rate_calls > 0 AND rate_seconds > 0)
);
COMMENT ON COLUMN cim.service_grant.quota_day IS 'calls of a day of the platform; NULL for any number';
COMMENT ON COLUMN cim.service_grant.rate_calls IS 'calls in rate_seconds; NULL for any rate';
CREATE UNIQUE INDEX service_grant_in_force_idx ON cim.service_grant (service_id, organisation_id, coalesce(scenario_id, ''))
    WHERE revoked_at IS NULL;
CREATE INDEX service_grant_organisation_id_idx ON cim.service_grant (organisation_id, service_id);

CREATE TABLE cim.audit (
    number BIGINT NOT NULL,
    recorded_at TIMESTAMP WITH TIME ZONE NOT NULL,
    event TEXT NOT NULL,
    actor TEXT NOT NULL,
    organisation_id TEXT COLLATE "C",
    subject_kind TEXT NOT NULL,
    subject_id TEXT COLLATE "C" NOT NULL,
    why TEXT,
    detail JSONB NOT NULL DEFAULT '{}',
    previous BYTEA NOT NULL,
    digest BYTEA NOT NULL,
    PRIMARY KEY (number)
);
COMMENT ON COLUMN cim.audit.digest IS 'sha256 of the row and of the digest before it';
CREATE INDEX audit_subject_idx ON cim.audit (subject_kind, subject_id, number);
CREATE INDEX audit_organisation_id_idx ON cim.audit (organisation_id, number);

CREATE TABLE cim.audit_head (
    name TEXT COLLATE "C" NOT NULL,
    number BIGINT NOT NULL,
    digest BYTEA NOT NULL,
    PRIMARY KEY (name)
);
COMMENT ON TABLE cim.audit_head IS 'the last row of the chain: a tail that was cut is missed';
INSERT INTO cim.audit_head (name, number, digest) VALUES ('audit', 0, '\x');

-- every service has a version from here on; those on the shelf were put there before reviews were asked for
INSERT INTO cim.service_version (service_id, number, state, document, content_hash, edited_by, edited_at, published_at)
SELECT s.id, s.version, s.state, d.document, encode(sha256(convert_to(d.document::text, 'UTF8')), 'hex'), 'migration 0008',
    s.updated_at, s.published_at
FROM cim.service AS s
CROSS JOIN LATERAL (
    SELECT jsonb_strip_nulls(jsonb_build_object(
        'id', s.id, 'kind', s.kind, 'organisation_id', s.organisation_id, 'title_zh', s.title_zh, 'title_en', s.title_en,
        'description_zh', s.description_zh, 'description_en', s.description_en, 'themes', s.themes,
        'endpoints', s.endpoints, 'collection_id', s.collection_id, 'share_class', s.share_class,
        'cim_level', s.cim_level, 'area_code', s.area_code, 'licence', s.licence, 'contact', s.contact,
        'update_cycle', s.update_cycle,
        'bbox', CASE WHEN s.geom IS NULL THEN NULL ELSE
            jsonb_build_array(ST_XMin(s.geom), ST_YMin(s.geom), ST_XMax(s.geom), ST_YMax(s.geom)) END
    )) AS document
) AS d;
UPDATE cim.service AS s SET content_hash = v.content_hash
FROM cim.service_version AS v WHERE v.service_id = s.id AND v.number = s.version;
