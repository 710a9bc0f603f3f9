-- What the rows measured on ask, as words.
--
-- in   normalized(source_idx, kind, source_row, instruction, input, reason, …)
-- out  kind, prompt, source_idx, source_row      the first held-out or eval row that asks so
--      `kind` says which rows are compared with it, task | diverse
--
-- Task rows are worded alike and asked about different things: for them it is the input, or the prompt of a row without one.
WITH asked AS (
    SELECT
        compared.kind,
        words(
            CASE
                WHEN compared.kind = 'task' AND NOT is_blank(input) THEN input
                ELSE concat(instruction, chr(10), input)
            END
        ) AS prompt,
        source_idx,
        source_row
    FROM normalized
    CROSS JOIN (VALUES ('task'), ('diverse')) AS compared(kind)
    WHERE normalized.kind IN ('held_out', 'eval') AND reason IS NULL
),
ranked AS (
    SELECT *, row_number() OVER (PARTITION BY kind, prompt ORDER BY source_idx, source_row) AS rank
    FROM asked
    WHERE prompt <> ''
)
SELECT kind, prompt, source_idx, source_row
FROM ranked
WHERE rank = 1
ORDER BY kind, source_idx, source_row;
