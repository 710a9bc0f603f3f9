-- Lengths in steps that double, for every text of either kind beside each other.
--
-- in   lengths(kind, source, text, unit, length, rows)
-- out  low, high, task_instruction, task_input, task_output, diverse_instruction, diverse_input, diverse_output
--      both ends are included; the first line is texts that are empty
-- with $unit  VARCHAR    characters | words
WITH ends AS (
    SELECT max(length) AS longest
    FROM lengths
    WHERE unit = $unit
),
steps AS (
    SELECT CAST(0 AS BIGINT) AS low, CAST(0 AS BIGINT) AS high
    UNION ALL
    SELECT CAST(power(2, value) AS BIGINT) AS low, CAST(power(2, value + 1) AS BIGINT) - 1 AS high
    FROM generate_series(0, 40)
    CROSS JOIN ends
    WHERE power(2, value) <= longest
),
counts AS (
    SELECT kind, text, length, sum(rows) AS rows
    FROM lengths
    WHERE unit = $unit
    GROUP BY kind, text, length
)
SELECT
    low,
    high,
    coalesce(sum(rows) FILTER (WHERE kind = 'task' AND text = 'instruction'), 0) AS task_instruction,
    coalesce(sum(rows) FILTER (WHERE kind = 'task' AND text = 'input'), 0) AS task_input,
    coalesce(sum(rows) FILTER (WHERE kind = 'task' AND text = 'output'), 0) AS task_output,
    coalesce(sum(rows) FILTER (WHERE kind = 'diverse' AND text = 'instruction'), 0) AS diverse_instruction,
    coalesce(sum(rows) FILTER (WHERE kind = 'diverse' AND text = 'input'), 0) AS diverse_input,
    coalesce(sum(rows) FILTER (WHERE kind = 'diverse' AND text = 'output'), 0) AS diverse_output
FROM steps
LEFT JOIN counts ON length BETWEEN low AND high
GROUP BY low, high
ORDER BY low;
