-- The stream itself: every position with its texts.
--
-- in   ordered(position, kind, source_idx, source_row, task_row, repeat)
--      normalized(source_idx, source_row, sample_id, instruction, input, output, …)
--      sources(source_idx, name, …)
-- out  the rows of the shards, in their schema and order
-- with $first_position  BIGINT    the stretch of the stream to write: so many rows as fit in memory, and in an interrupted
--      $end_position    BIGINT    build those that are missing
SELECT
    CAST(position AS BIGINT UNSIGNED) AS position,
    ordered.kind,
    sources.name AS source,
    ordered.source_row,
    sample_id,
    CAST(task_row AS BIGINT UNSIGNED) AS task_row,
    CAST(NULL AS VARCHAR) AS direction,
    CAST(repeat AS INT UNSIGNED) AS repeat,
    instruction,
    input,
    output
FROM sources
JOIN ordered ON ordered.source_idx = sources.source_idx
JOIN normalized ON normalized.source_idx = ordered.source_idx AND normalized.source_row = ordered.source_row
WHERE position >= CAST($first_position AS BIGINT) AND position < CAST($end_position AS BIGINT)
ORDER BY position;
