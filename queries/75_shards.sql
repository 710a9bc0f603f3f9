-- The stream itself: every position with its texts.
--
-- in   ordered(position, source_idx, text_row, task_row)
--      repeats(position, repeat, …)
--      texts(source_idx, text_row, source_row, sample_id, direction, instruction, input, output)    the stretch's, and maybe others
--      sources(source_idx, kind, name, …)
-- out  the rows of the shards, in their schema and order
-- with $first_position  BIGINT    the stretch of the stream to write: so many rows as fit in memory, and in an interrupted
--      $end_position    BIGINT    build those that are missing
WITH stretch AS (
    SELECT position, source_idx, text_row, task_row
    FROM ordered
    WHERE position >= CAST($first_position AS BIGINT) AND position < CAST($end_position AS BIGINT)
),
counted AS (
    SELECT position, repeat
    FROM repeats
    WHERE position >= CAST($first_position AS BIGINT) AND position < CAST($end_position AS BIGINT)
),
places AS (
    SELECT
        stretch.position,
        kind,
        name,
        stretch.source_idx,
        text_row,
        task_row,
        coalesce(repeat, 0) AS repeat
    FROM sources
    JOIN (
        counted RIGHT JOIN stretch ON counted.position = stretch.position
    ) ON stretch.source_idx = sources.source_idx
)
SELECT
    CAST(position AS BIGINT UNSIGNED) AS position,
    places.kind,
    name AS source,
    texts.source_row,
    sample_id,
    CAST(task_row AS BIGINT UNSIGNED) AS task_row,
    direction,
    CAST(repeat AS INT UNSIGNED) AS repeat,
    instruction,
    input,
    output
FROM places
JOIN texts ON texts.source_idx = places.source_idx AND texts.text_row = places.text_row
ORDER BY position;
