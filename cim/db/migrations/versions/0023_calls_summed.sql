CREATE FUNCTION cim.call_summed() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    WITH summed AS MATERIALIZED (
        SELECT day, date_bin('1 minute', received_at, 'epoch') AS minute, organisation_id, service_id, scenario_id,
            outcome IN ('refused', 'quota') AS is_denied,
            outcome IN ('upstream-timeout', 'upstream-error') OR status >= 500 AND outcome NOT IN ('refused', 'quota') AS is_failed,
            count(*) AS calls, sum(bytes) AS bytes, sum(rows) AS rows
        FROM fresh GROUP BY day, minute, organisation_id, service_id, scenario_id, outcome, status
    ),
    minutes AS (
        INSERT INTO cim.call_minute AS m (day, minute, organisation_id, service_id, calls, denied, failed, bytes, rows)
        SELECT day, minute, organisation_id, service_id, coalesce(sum(calls) FILTER (WHERE NOT is_denied), 0),
            coalesce(sum(calls) FILTER (WHERE is_denied), 0), coalesce(sum(calls) FILTER (WHERE is_failed), 0), sum(bytes), sum(rows)
        FROM summed GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4
        ON CONFLICT (day, minute, organisation_id, service_id) DO UPDATE SET calls = m.calls + excluded.calls,
            denied = m.denied + excluded.denied, failed = m.failed + excluded.failed, bytes = m.bytes + excluded.bytes,
            rows = m.rows + excluded.rows
    )
    INSERT INTO cim.call_day AS d (day, organisation_id, service_id, scenario_id, calls, denied, failed, bytes, rows,
        free_bytes, free_rows)
    SELECT day, organisation_id, service_id, scenario_id, coalesce(sum(calls) FILTER (WHERE NOT is_denied), 0),
        coalesce(sum(calls) FILTER (WHERE is_denied), 0), coalesce(sum(calls) FILTER (WHERE is_failed), 0), sum(bytes), sum(rows),
        coalesce(sum(bytes) FILTER (WHERE is_denied OR is_failed), 0), coalesce(sum(rows) FILTER (WHERE is_denied OR is_failed), 0)
    FROM summed GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4
    ON CONFLICT (day, organisation_id, service_id, scenario_id) DO UPDATE SET calls = d.calls + excluded.calls,
        denied = d.denied + excluded.denied, failed = d.failed + excluded.failed, bytes = d.bytes + excluded.bytes,
        rows = d.rows + excluded.rows, free_bytes = d.free_bytes + excluded.free_bytes,
        free_rows = d.free_rows + excluded.free_rows;
    RETURN NULL;
END $$
