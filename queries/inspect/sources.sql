-- What became of every source's rows.
--
-- in   sources(source, path, kind, licence, rows_in, kept, dropped, unused, used, held_out, repeats, …)
-- out  source, kind, rows_in, dropped, dropped_share, kept, used, unused, held_out, repeats, licence, path
SELECT
    source,
    kind,
    rows_in,
    dropped,
    round(CAST(dropped AS DOUBLE) / nullif(rows_in, 0), 4) AS dropped_share,
    kept,
    used,
    unused,
    held_out,
    repeats,
    licence,
    path
FROM sources
ORDER BY CASE kind WHEN 'task' THEN 0 WHEN 'diverse' THEN 1 ELSE 2 END, rows_in DESC, source;
