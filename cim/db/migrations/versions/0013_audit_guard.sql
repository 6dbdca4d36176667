-- runs with the rights of the owner of the tables: the sessions of the API may call it, and not write the audit
CREATE FUNCTION cim.audit_append(entries jsonb) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    head record;
    latest timestamptz;
    entry jsonb;
    made bytea;
BEGIN
    SELECT * INTO head FROM cim.audit_head WHERE name = 'audit' FOR UPDATE;
    SELECT a.recorded_at INTO latest FROM cim.audit AS a WHERE a.number = head.number;
    FOR entry IN SELECT e FROM jsonb_array_elements(entries) AS e LOOP
        latest := greatest(clock_timestamp(), latest);
        made := sha256(head.digest || convert_to(jsonb_build_array(
            head.number + 1, extract(epoch FROM latest), entry ->> 'event', entry ->> 'actor', entry ->> 'organisation_id',
            entry ->> 'subject_kind', entry ->> 'subject_id', entry ->> 'why', entry -> 'detail'
        )::text, 'UTF8'));
        INSERT INTO cim.audit (number, recorded_at, event, actor, organisation_id, subject_kind, subject_id, why, detail,
            previous, digest)
        VALUES (head.number + 1, latest, entry ->> 'event', entry ->> 'actor', entry ->> 'organisation_id',
            entry ->> 'subject_kind', entry ->> 'subject_id', entry ->> 'why', entry -> 'detail', head.digest, made);
        head.number := head.number + 1;
        head.digest := made;
    END LOOP;
    UPDATE cim.audit_head AS h SET number = head.number, digest = head.digest WHERE h.name = 'audit';
    RETURN head.number;
END
$$;
REVOKE ALL ON FUNCTION cim.audit_append(jsonb) FROM PUBLIC;
