-- Every row that was read and is not in the pool, with the query that dropped it and its evidence.
--
-- in   normalized(source_idx, source_row, reason, matched, …)
--      copies(source_idx, source_row, first_source_idx, first_source_row)
--      near(source_idx, source_row, kept_source_idx, kept_row, similarity)
--      contaminated(source_idx, source_row, reason, kept_source_idx, kept_row, similarity, matched)
--      sources(source_idx, name, …)
-- out  source, source_row, query, reason, kept_source, kept_row, similarity, matched
--      `query` is the number of the query; `kept_source` and `kept_row` name the row that stayed in its stead, or the held-out
--      or eval row it is like
WITH losses AS (
    SELECT
        source_idx,
        source_row,
        10 AS query,
        reason,
        CAST(NULL AS BIGINT) AS kept_source_idx,
        CAST(NULL AS BIGINT UNSIGNED) AS kept_row,
        CAST(NULL AS DOUBLE) AS similarity,
        matched
    FROM normalized
    WHERE reason IS NOT NULL
    UNION ALL
    SELECT
        source_idx,
        source_row,
        20 AS query,
        'exact_duplicate' AS reason,
        first_source_idx AS kept_source_idx,
        first_source_row AS kept_row,
        CAST(1 AS DOUBLE) AS similarity,
        CAST(NULL AS VARCHAR) AS matched
    FROM copies
    UNION ALL
    SELECT
        source_idx,
        source_row,
        30 AS query,
        'near_duplicate' AS reason,
        kept_source_idx,
        kept_row,
        similarity,
        CAST(NULL AS VARCHAR) AS matched
    FROM near
    UNION ALL
    SELECT source_idx, source_row, 40 AS query, reason, kept_source_idx, kept_row, similarity, matched
    FROM contaminated
),
evidence AS (
    SELECT losses.*, keepers.name AS kept_source
    FROM sources AS keepers
    RIGHT JOIN losses ON losses.kept_source_idx = keepers.source_idx
)
SELECT
    sources.name AS source,
    source_row,
    CAST(query AS INT) AS query,
    reason,
    kept_source,
    kept_row,
    similarity,
    matched
FROM sources
JOIN evidence ON evidence.source_idx = sources.source_idx
ORDER BY evidence.source_idx, source_row;
