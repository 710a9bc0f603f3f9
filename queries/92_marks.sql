-- How many rows of every source have what is counted of a row: a system message, several turns, a repair.
--
-- in   normalized(source_idx, marks, …)
--      sources(source_idx, name, …)
-- out  source, mark, rows
WITH marked AS (
    SELECT source_idx, unnest(string_to_array(marks, ' ')) AS mark
    FROM normalized
    WHERE marks IS NOT NULL
),
counted AS (
    SELECT source_idx, mark, count(*) AS rows
    FROM marked
    GROUP BY source_idx, mark
)
SELECT sources.name AS source, mark, CAST(rows AS BIGINT UNSIGNED) AS rows
FROM counted
JOIN sources ON sources.source_idx = counted.source_idx
ORDER BY counted.source_idx, mark;
