-- runs with the rights of the owner of the tables: the sessions of the API may call it, and not write the audit
CREATE FUNCTION cim.audit_append(
    actor text, organisation_id text, event text, subject_kind text, subject_id text, why text, detail jsonb
) RETURNS bigint LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog AS $$
    WITH head AS (SELECT number, digest FROM cim.audit_head WHERE name = 'audit' FOR UPDATE),
    entry AS (
        SELECT head.number + 1 AS number, head.digest AS previous,
            greatest(clock_timestamp(), (SELECT a.recorded_at FROM cim.audit AS a WHERE a.number = head.number)) AS recorded_at
        FROM head
    ),
    chained AS (
        SELECT number, recorded_at, previous, sha256(previous || convert_to(jsonb_build_array(
            number, extract(epoch FROM recorded_at), $3, $1, $2, $4, $5, $6, $7
        )::text, 'UTF8')) AS digest
        FROM entry
    ),
    written AS (
        INSERT INTO cim.audit (number, recorded_at, event, actor, organisation_id, subject_kind, subject_id, why, detail,
            previous, digest)
        SELECT number, recorded_at, $3, $1, $2, $4, $5, $6, $7, previous, digest FROM chained
    )
    UPDATE cim.audit_head AS h SET number = chained.number, digest = chained.digest FROM chained WHERE h.name = 'audit'
    RETURNING h.number
$$;
REVOKE ALL ON FUNCTION cim.audit_append(text, text, text, text, text, text, jsonb) FROM PUBLIC;
