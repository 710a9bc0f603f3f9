-- How many texts of the stream have which length. What is said of lengths is read off these counts, so no report holds a
-- number for every row.
--
-- in   shards(kind, source, instruction, input, output, …)
-- out  kind, source, text, unit, length, rows
--      `text` is instruction, input or output; `unit` is characters or words
WITH texts AS (
    SELECT kind, source, 'instruction' AS text, length(instruction) AS characters, count_words(instruction) AS words
    FROM shards
    UNION ALL
    SELECT kind, source, 'input' AS text, length(input) AS characters, count_words(input) AS words
    FROM shards
    UNION ALL
    SELECT kind, source, 'output' AS text, length(output) AS characters, count_words(output) AS words
    FROM shards
),
measured AS (
    SELECT kind, source, text, 'characters' AS unit, CAST(characters AS BIGINT) AS length
    FROM texts
    UNION ALL
    SELECT kind, source, text, 'words' AS unit, words AS length
    FROM texts
)
SELECT kind, source, text, unit, length, count(*) AS rows
FROM measured
GROUP BY kind, source, text, unit, length
ORDER BY kind, source, text, unit, length;
