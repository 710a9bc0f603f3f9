-- The build in one row: what was asked for, and what the shards hold.
--
-- in   build(rows, task_rows, diverse_rows, ratio_requested, ratio_achieved, …)    from the manifest
-- out  the same, without what only programs ask for
SELECT
    rows,
    task_rows,
    diverse_rows,
    ratio_requested,
    round(ratio_achieved, 4) AS ratio_achieved,
    iterations,
    shards,
    bytes,
    seed,
    special_tokens
FROM build
ORDER BY rows;
