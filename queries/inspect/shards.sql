-- The stream, with the name of the file each row stands in: positions have no gap, so the position says it.
--
-- in   stream(position, …)    the rows of all shards
-- out  the same columns, and shard
-- with $rows_per_shard  BIGINT UNSIGNED    rows in every shard but the last
WITH numbered AS (
    SELECT *, CAST(position / $rows_per_shard AS VARCHAR) AS shard_idx
    FROM stream
)
SELECT
    position,
    kind,
    source,
    source_row,
    sample_id,
    task_row,
    direction,
    repeat,
    instruction,
    input,
    output,
    concat(lpad(shard_idx, greatest(5, length(shard_idx)), '0'), '.parquet') AS shard
FROM numbered
ORDER BY position;
