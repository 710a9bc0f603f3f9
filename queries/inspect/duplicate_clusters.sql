-- The largest clusters of duplicates: the row that stays, and those that went.
--
-- in   copies(source, source_row, reason, kept_source, kept_row, similarity)
--      shards(source, source_row, repeat, instruction, …), held_out(source, source_row, instruction, …)
-- out  kept_source, kept_row, exact, near, least_similar, most_similar, copies, instruction
--      `copies` names the first five places, the source where it is another; `instruction` is that of the row that stays,
--      null where it was not drawn
-- with $n_clusters  BIGINT    clusters to show
WITH numbered AS (
    SELECT
        *,
        row_number() OVER (PARTITION BY kept_source, kept_row ORDER BY source, source_row) AS nth
    FROM copies
),
clusters AS (
    SELECT
        kept_source,
        kept_row,
        count(*) AS n_copies,
        count(*) FILTER (WHERE reason = 'exact_duplicate') AS exact,
        count(*) FILTER (WHERE reason = 'near_duplicate') AS near,
        min(similarity) AS least_similar,
        max(similarity) AS most_similar,
        string_agg(
            concat(CASE WHEN source = kept_source THEN '' ELSE concat(source, ' ') END, CAST(source_row AS VARCHAR)),
            ', ' ORDER BY nth
        ) FILTER (WHERE nth <= 5) AS places
    FROM numbered
    GROUP BY kept_source, kept_row
    ORDER BY n_copies DESC, kept_source, kept_row
    LIMIT CAST($n_clusters AS BIGINT)
),
texts AS (
    SELECT source, source_row, instruction
    FROM shards
    WHERE repeat = 0
    UNION ALL
    SELECT source, source_row, instruction
    FROM held_out
),
-- Rows of one place are equal, however often the stream holds them.
instructions AS (
    SELECT kept_source, kept_row, min(instruction) AS instruction
    FROM clusters
    JOIN texts ON texts.source = kept_source AND texts.source_row = kept_row
    GROUP BY kept_source, kept_row
)
SELECT
    clusters.kept_source,
    clusters.kept_row,
    exact,
    near,
    round(least_similar, 3) AS least_similar,
    round(most_similar, 3) AS most_similar,
    concat(places, CASE WHEN n_copies > 5 THEN ', …' ELSE '' END) AS copies,
    instruction
FROM clusters
LEFT JOIN instructions ON instructions.kept_source = clusters.kept_source AND instructions.kept_row = clusters.kept_row
ORDER BY n_copies DESC, clusters.kept_source, clusters.kept_row;
