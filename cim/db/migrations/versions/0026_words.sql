SET LOCAL lock_timeout = '30s';
CREATE FUNCTION cim.runs(value text) RETURNS TABLE (run text, width int, place bigint)
LANGUAGE sql IMMUTABLE PARALLEL SAFE STRICT ROWS 60 AS
$$
SELECT found[1], CASE WHEN found[1] ~ '^[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]' THEN 4 ELSE 40 END, number
FROM regexp_matches(
    value,
    '[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]+|[^\u0001-\u0020\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]+',
    'g'
) WITH ORDINALITY AS told (found, number)
$$;
COMMENT ON FUNCTION cim.runs IS 'runs of Chinese characters and of other ones between spaces, in order, and how many characters of each place words are looked up by';
CREATE FUNCTION cim.quoted(lexeme text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE STRICT AS
$$ SELECT '''' || replace(replace(lexeme, '\', '\\'), '''', '''''') || '''' $$;
COMMENT ON FUNCTION cim.quoted IS 'a lexeme as the text of a tsquery has it';
CREATE FUNCTION cim.beginnings(folded text, organisation_id text, themes jsonb) RETURNS tsvector
LANGUAGE sql IMMUTABLE PARALLEL SAFE COST 10000 AS
$$
SELECT array_to_tsvector(
    array_agg(substr(run, at, width))
    || CASE WHEN organisation_id IS NULL THEN '{}' ELSE ARRAY[E'\x1f' || organisation_id] END
    || ARRAY(SELECT E'\x1e' || left(theme, 200) FROM jsonb_array_elements_text(themes) AS theme WHERE theme <> '')
)
FROM cim.runs(left(folded, CASE WHEN octet_length(folded) = length(folded) THEN 20000 ELSE 8000 END)), generate_series(1, length(run)) AS at
$$;
COMMENT ON FUNCTION cim.beginnings IS 'what stands at each place of a text, up to the end of its run: a word that stands anywhere is the beginning of one of these; of a long text its first 20,000 characters, 8,000 where not all are ASCII (a tsvector has 1 MB); behind U+001F the organisation, behind U+001E each theme';
CREATE FUNCTION cim.beginnings_with(folded text, organisations text[]) RETURNS tsquery
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$
SELECT COALESCE(string_agg(cim.quoted(piece) || CASE WHEN is_last THEN ':*' ELSE '' END, ' & '), '')::tsquery
    || (SELECT COALESCE(string_agg(cim.quoted(E'\x1f' || one), ' | '), '')::tsquery FROM unnest(organisations) AS one)
FROM (
    SELECT substr(run, least(at, greatest(1, length(run) - width + 1)), width) AS piece, place = max(place) OVER () AS is_last
    FROM cim.runs(folded), generate_series(1, length(run), width) AS at
) AS pieces
$$;
COMMENT ON FUNCTION cim.beginnings_with IS 'what the beginnings of a text meet that holds the term, or is of one of the organisations; of a term of one short run only those';
DROP VIEW cim.record;
ALTER TABLE cim.service RENAME TO service_before;
CREATE TABLE cim.service (
    id text COLLATE "C" NOT NULL,
    state text DEFAULT 'draft' NOT NULL,
    kind text COLLATE "C" NOT NULL,
    organisation_id text COLLATE "C",
    share_class text DEFAULT 'conditional' NOT NULL,
    cim_level integer,
    area_code text COLLATE "C",
    update_cycle text,
    themes_key uuid GENERATED ALWAYS AS (md5(themes::text)::uuid) STORED,
    titles text GENERATED ALWAYS AS (cim.folded(E'\x1f' || title_zh || E'\x1f' || title_en || E'\x1f')) STORED,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    published_at timestamp with time zone,
    time_from date,
    time_to date,
    title_zh text NOT NULL,
    title_en text NOT NULL,
    themes jsonb DEFAULT '[]' NOT NULL,
    geom geometry(POLYGON, 4326),
    harvest_id text COLLATE "C",
    remote_id text COLLATE "C",
    collection_id text COLLATE "C",
    version integer DEFAULT '1' NOT NULL,
    registered_by text DEFAULT '' NOT NULL,
    off_rank integer,
    licence text,
    contact text,
    content_hash text,
    state_reason text,
    quality text,
    provenance jsonb,
    endpoints jsonb DEFAULT '[]' NOT NULL,
    description_zh text DEFAULT '' NOT NULL,
    description_en text DEFAULT '' NOT NULL,
    searched text GENERATED ALWAYS AS (
        cim.folded(id || E'\x1f' || title_zh || E'\x1f' || title_en || E'\x1f' || themes::text || E'\x1f' || description_zh || E'\x1f' || description_en)
    ) STORED,
    CONSTRAINT service_state_check
        CHECK (state IN ('draft', 'in_review', 'approved', 'published', 'suspended', 'withdrawn', 'archived')),
    CONSTRAINT service_share_class_check CHECK (share_class IN ('unconditional', 'conditional', 'not_shared'))
) WITH (toast_tuple_target = 4080);
ALTER TABLE cim.service ALTER COLUMN searched SET STORAGE MAIN;
INSERT INTO cim.service (
    id, state, kind, organisation_id, share_class, cim_level, area_code, update_cycle, created_at, updated_at, published_at,
    time_from, time_to, title_zh, title_en, themes, geom, harvest_id, remote_id, collection_id, version, registered_by, off_rank,
    licence, contact, content_hash, state_reason, quality, provenance, endpoints, description_zh, description_en
)
SELECT
    id, state, kind, organisation_id, share_class, cim_level, area_code, update_cycle, created_at, updated_at, published_at,
    time_from, time_to, title_zh, title_en, themes, geom, harvest_id, remote_id, collection_id, version, registered_by, off_rank,
    licence, contact, content_hash, state_reason, quality, provenance, endpoints, description_zh, description_en
FROM cim.service_before;
ALTER TABLE cim.service_secret DROP CONSTRAINT service_secret_service_id_fkey;
DROP TABLE cim.service_before;
ALTER TABLE cim.service
    ADD PRIMARY KEY (id),
    ADD FOREIGN KEY (organisation_id) REFERENCES cim.organisation (id);
ALTER TABLE cim.service_secret ADD FOREIGN KEY (service_id) REFERENCES cim.service (id) ON DELETE CASCADE;
COMMENT ON COLUMN cim.service.themes_key IS 'the same for the same themes: what they are counted by';
COMMENT ON COLUMN cim.service.titles IS 'both titles, folded, with U+001F around them: what relevance is of';
COMMENT ON COLUMN cim.service.harvest_id IS 'the harvest, or district node, that it came from';
COMMENT ON COLUMN cim.service.remote_id IS 'its id where it came from';
COMMENT ON COLUMN cim.service.version IS 'of cim.service_version, whose content these columns show';
COMMENT ON COLUMN cim.service.off_rank IS 'of who took it off the shelf: 1 the organisation, 2 the district, 3 the city';
COMMENT ON COLUMN cim.service.state_reason IS 'why it is suspended or withdrawn';
COMMENT ON COLUMN cim.service.searched IS 'texts that words are looked for in, folded, with U+001F between them';
CREATE INDEX service_words_idx ON cim.service USING gin (cim.beginnings(searched, organisation_id, themes));
CREATE INDEX service_themes_key_idx ON cim.service (themes_key);
CREATE INDEX service_facet_idx ON cim.service
    (state, kind, share_class, cim_level, update_cycle, organisation_id, area_code, themes_key);
CREATE INDEX service_geom_idx ON cim.service USING gist (geom);
CREATE INDEX service_no_geom_idx ON cim.service (id) WHERE geom IS NULL;
CREATE INDEX service_state_idx ON cim.service (state, id);
CREATE INDEX service_area_code_idx ON cim.service (area_code);
CREATE INDEX service_updated_at_idx ON cim.service (updated_at, id);
CREATE INDEX service_organisation_id_idx ON cim.service (organisation_id, id);
CREATE UNIQUE INDEX service_remote_idx ON cim.service (harvest_id, remote_id) WHERE harvest_id IS NOT NULL;
CREATE VIEW cim.record AS
SELECT
    s.id,
    s.harvest_id AS source,
    s.remote_id AS source_id,
    s.geom,
    s.area_code,
    s.time_from::timestamp AT TIME ZONE 'UTC' AS valid_from,
    (s.time_to + 1)::timestamp AT TIME ZONE 'UTC' AS valid_to,
    s.updated_at AS recorded_at,
    CASE s.kind WHEN 'file' THEN 'dataset' ELSE 'service' END AS type,
    COALESCE(NULLIF(s.title_zh, ''), s.title_en) AS title,
    s.title_zh,
    s.title_en,
    s.description_zh,
    s.description_en,
    s.themes AS keywords,
    s.kind,
    s.organisation_id AS organisation,
    s.share_class AS "shareClass",
    s.cim_level AS "cimLevel",
    s.area_code AS "areaCode",
    s.update_cycle AS "updateCycle",
    s.state,
    s.licence AS license,
    s.collection_id AS "collectionId",
    s.created_at AS created,
    s.updated_at AS updated,
    s.published_at AS published,
    s.organisation_id,
    s.registered_by,
    s.searched,
    s.titles,
    s.themes_key
FROM cim.service AS s;
COMMENT ON VIEW cim.record IS 'services as the records that queries ask for: columns named as the members of a record'
