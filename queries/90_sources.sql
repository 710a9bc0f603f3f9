-- What became of every source's rows: rows_in = kept + dropped, kept = used + unused + held_out.
--
-- in   normalized(source_idx, reason, …), copies(source_idx, …), near(source_idx, …), contaminated(source_idx, …)
--      overlaps(source_idx, kind, source_row, …), firsts(source_idx, source_row, …), set_aside(source_idx, …)
--      ordered(source_idx, …), repeats(source_idx, …), tasks(source_idx, source_row, …)
--      sources(source_idx, name, path, kind, blake3, licence, weight, requested_rows)
-- out  source, path, kind, blake3, licence, weight, requested_rows, rows_in, kept, dropped, unused, used, held_out, repeats,
--      variants, overlaps
--      `variants` counts the rows of the stream that are a further wording of a task row beside its first; `overlaps` counts the
--      task rows among the kept that share words in a row with a row measured on
WITH records AS (
    SELECT source_idx, count(*) AS rows_in, count(reason) AS n_rejected
    FROM normalized
    GROUP BY source_idx
),
gone AS (
    SELECT source_idx
    FROM copies
    UNION ALL
    SELECT source_idx
    FROM near
    UNION ALL
    SELECT source_idx
    FROM contaminated
),
lost AS (
    SELECT source_idx, count(*) AS n_gone
    FROM gone
    GROUP BY source_idx
),
measured AS (
    SELECT source_idx, count(*) AS n_held_out
    FROM set_aside
    GROUP BY source_idx
),
overlapping AS (
    SELECT firsts.source_idx, count(*) AS n_overlaps
    FROM overlaps
    JOIN firsts ON firsts.source_idx = overlaps.source_idx AND firsts.source_row = overlaps.source_row
    WHERE overlaps.kind = 'task'
    GROUP BY firsts.source_idx
),
uses AS (
    SELECT source_idx, count(*) AS n_uses
    FROM ordered
    GROUP BY source_idx
),
repeated AS (
    SELECT source_idx, count(*) AS repeats
    FROM repeats
    GROUP BY source_idx
),
worded AS (
    SELECT source_idx, count(*) - count(DISTINCT source_row) AS n_variants
    FROM tasks
    GROUP BY source_idx
),
counts AS (
    SELECT
        sources.*,
        coalesce(rows_in, 0) AS rows_in,
        coalesce(n_rejected, 0) + coalesce(n_gone, 0) AS dropped,
        coalesce(rows_in, 0) - coalesce(n_rejected, 0) - coalesce(n_gone, 0) AS kept,
        -- Task rows that are left out stand there in no wording.
        CASE WHEN n_uses > 0 THEN coalesce(n_variants, 0) ELSE 0 END AS variants,
        coalesce(n_uses, 0) - coalesce(repeats, 0) - CASE WHEN n_uses > 0 THEN coalesce(n_variants, 0) ELSE 0 END AS used,
        coalesce(repeats, 0) AS repeats,
        coalesce(n_held_out, 0) AS n_held_out,
        coalesce(n_overlaps, 0) AS n_overlaps
    FROM sources
    LEFT JOIN records ON records.source_idx = sources.source_idx
    LEFT JOIN lost ON lost.source_idx = sources.source_idx
    LEFT JOIN measured ON measured.source_idx = sources.source_idx
    LEFT JOIN overlapping ON overlapping.source_idx = sources.source_idx
    LEFT JOIN uses ON uses.source_idx = sources.source_idx
    LEFT JOIN worded ON worded.source_idx = sources.source_idx
    LEFT JOIN repeated ON repeated.source_idx = sources.source_idx
)
SELECT
    name AS source,
    path,
    kind,
    blake3,
    licence,
    weight,
    requested_rows,
    CAST(rows_in AS BIGINT UNSIGNED) AS rows_in,
    CAST(kept AS BIGINT UNSIGNED) AS kept,
    CAST(dropped AS BIGINT UNSIGNED) AS dropped,
    CAST(CASE WHEN kind = 'held_out' THEN 0 ELSE kept - used - n_held_out END AS BIGINT UNSIGNED) AS unused,
    CAST(used AS BIGINT UNSIGNED) AS used,
    CAST(CASE WHEN kind = 'held_out' THEN kept ELSE n_held_out END AS BIGINT UNSIGNED) AS held_out,
    CAST(repeats AS BIGINT UNSIGNED) AS repeats,
    CAST(variants AS BIGINT UNSIGNED) AS variants,
    CAST(n_overlaps AS BIGINT UNSIGNED) AS overlaps
FROM counts
ORDER BY source_idx;
