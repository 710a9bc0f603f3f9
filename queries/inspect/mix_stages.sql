-- The stages of the stream, each with its rows.
--
-- in   stages(name, first_position), shards(position, kind, …), build(rows, …)
-- out  stage, first_position, rows, task_rows, diverse_rows
WITH stretches AS (
    SELECT
        name,
        first_position,
        coalesce(lead(first_position) OVER (ORDER BY first_position, name), rows) AS end_position
    FROM stages
    CROSS JOIN build
),
placed AS (
    SELECT name, first_position, kind
    FROM stretches
    JOIN shards ON position >= first_position AND position < end_position
)
SELECT
    name AS stage,
    first_position,
    count(*) AS rows,
    count(*) FILTER (WHERE kind = 'task') AS task_rows,
    count(*) FILTER (WHERE kind = 'diverse') AS diverse_rows
FROM placed
GROUP BY name, first_position
ORDER BY first_position, stage;
