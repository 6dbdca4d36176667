SET LOCAL lock_timeout = '30s';
ALTER TABLE cim.service
    ADD COLUMN searched text GENERATED ALWAYS AS (
        cim.folded(id || E'\x1f' || title_zh || E'\x1f' || title_en || E'\x1f' || description_zh || E'\x1f' || description_en || E'\x1f' || themes::text)
    ) STORED,
    ADD COLUMN themes_key uuid GENERATED ALWAYS AS (md5(themes::text)::uuid) STORED;
COMMENT ON COLUMN cim.service.searched IS 'texts that words are looked for in, folded, with U+001F between them';
COMMENT ON COLUMN cim.service.themes_key IS 'the same for the same themes: what they are counted by';
CREATE INDEX service_words_idx ON cim.service USING gin (cim.bigrams(ARRAY[searched]));
CREATE INDEX service_themes_idx ON cim.service USING gin (themes jsonb_path_ops);
CREATE INDEX service_themes_key_idx ON cim.service (themes_key);
CREATE INDEX service_facet_idx ON cim.service
    (state, kind, share_class, cim_level, update_cycle, organisation_id, area_code, themes_key);
CREATE INDEX service_updated_at_idx ON cim.service (updated_at, id);
CREATE INDEX service_area_code_idx ON cim.service (area_code);
CREATE INDEX service_no_geom_idx ON cim.service (id) WHERE geom IS NULL;
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
    s.themes_key
FROM cim.service AS s;
COMMENT ON VIEW cim.record IS 'services as the records that queries ask for: columns named as the members of a record'
