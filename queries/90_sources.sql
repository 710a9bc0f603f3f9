-- What became of every source's rows: rows_in = kept + dropped, kept = used + unused + held_out.
--
-- in   normalized(source_idx, reason, …), deduped(…), near(source_idx, …), pool(…, held_out)
--      ordered(source_idx, repeat, …)
--      sources(source_idx, name, path, kind, blake3, licence, weight)
-- out  source, path, kind, blake3, licence, weight, rows_in, kept, dropped, unused, used, held_out, repeats
WITH records AS (
    SELECT source_idx, count(*) AS rows_in, count(reason) AS n_rejected
    FROM normalized
    GROUP BY source_idx
),
copies AS (
    SELECT source_idx
    FROM deduped
    WHERE first_source_idx <> source_idx OR first_source_row <> source_row
    UNION ALL
    SELECT source_idx
    FROM near
),
copied AS (
    SELECT source_idx, count(*) AS n_copies
    FROM copies
    GROUP BY source_idx
),
set_aside AS (
    SELECT source_idx, count(*) AS n_held_out
    FROM pool
    WHERE held_out
    GROUP BY source_idx
),
uses AS (
    SELECT
        source_idx,
        count(*) FILTER (WHERE repeat = 0) AS used,
        count(*) FILTER (WHERE repeat > 0) AS repeats
    FROM ordered
    GROUP BY source_idx
),
counts AS (
    SELECT
        sources.*,
        coalesce(rows_in, 0) AS rows_in,
        coalesce(n_rejected, 0) + coalesce(n_copies, 0) AS dropped,
        coalesce(rows_in, 0) - coalesce(n_rejected, 0) - coalesce(n_copies, 0) AS kept,
        coalesce(used, 0) AS used,
        coalesce(repeats, 0) AS repeats,
        coalesce(n_held_out, 0) AS n_held_out
    FROM sources
    LEFT JOIN records ON records.source_idx = sources.source_idx
    LEFT JOIN copied ON copied.source_idx = sources.source_idx
    LEFT JOIN set_aside ON set_aside.source_idx = sources.source_idx
    LEFT JOIN uses ON uses.source_idx = sources.source_idx
)
SELECT
    name AS source,
    path,
    kind,
    blake3,
    licence,
    weight,
    CAST(rows_in AS BIGINT UNSIGNED) AS rows_in,
    CAST(kept AS BIGINT UNSIGNED) AS kept,
    CAST(dropped AS BIGINT UNSIGNED) AS dropped,
    CAST(CASE WHEN kind = 'held_out' THEN 0 ELSE kept - used - n_held_out END AS BIGINT UNSIGNED) AS unused,
    CAST(used AS BIGINT UNSIGNED) AS used,
    CAST(CASE WHEN kind = 'held_out' THEN kept ELSE n_held_out END AS BIGINT UNSIGNED) AS held_out,
    CAST(repeats AS BIGINT UNSIGNED) AS repeats
FROM counts
ORDER BY source_idx;
