-- The rows of one kind that go because they are what is measured on.
--
-- in   suspects(source_idx, kind, source_row, instruction, input, …)
--      held_out_prompts(kind, prompt, source_idx, source_row)
--      overlaps(source_idx, kind, source_row, held_out_source_idx, held_out_row, ngram)
--      copies(source_idx, source_row, …), near(source_idx, source_row, …)
--      the rows that went before; both are empty for task rows, which go first
-- out  source_idx, source_row, reason, kept_source_idx, kept_row, similarity, matched
--      `kept_…` name the first held-out or eval row it is like, `matched` is what they share
-- with $kind  VARCHAR    task | diverse
--
-- A diverse row goes when its prompt equals a held-out or eval prompt, or when it shares words in a row with such a row. Task
-- rows are worded alike and asked about different things, so one goes only when what it asks about is held out: its input,
-- or its prompt where it has no input.
WITH asked AS (
    SELECT
        source_idx,
        source_row,
        words(
            CASE
                WHEN kind = 'task' AND NOT is_blank(input) THEN input
                ELSE concat(instruction, chr(10), input)
            END
        ) AS prompt
    FROM suspects
    WHERE kind = CAST($kind AS VARCHAR)
),
matches AS (
    SELECT
        asked.source_idx,
        asked.source_row,
        'held_out_equal' AS reason,
        held_out.source_idx AS kept_source_idx,
        held_out.source_row AS kept_row,
        CAST(1 AS DOUBLE) AS similarity,
        left(asked.prompt, 80) AS matched
    FROM held_out_prompts AS held_out
    JOIN asked ON asked.prompt = held_out.prompt
    WHERE held_out.kind = CAST($kind AS VARCHAR)
    UNION ALL
    SELECT
        source_idx,
        source_row,
        'held_out_overlap' AS reason,
        held_out_source_idx AS kept_source_idx,
        held_out_row AS kept_row,
        CAST(NULL AS DOUBLE) AS similarity,
        ngram AS matched
    FROM overlaps
    WHERE kind = CAST($kind AS VARCHAR) AND kind <> 'task'
),
ranked AS (
    SELECT *, row_number() OVER (PARTITION BY source_idx, source_row ORDER BY reason) AS rank
    FROM matches
),
gone AS (
    SELECT source_idx, source_row
    FROM copies
    UNION ALL
    SELECT source_idx, source_row
    FROM near
)
SELECT
    ranked.source_idx,
    ranked.source_row,
    reason,
    kept_source_idx,
    kept_row,
    similarity,
    matched
FROM ranked
LEFT ANTI JOIN gone ON gone.source_idx = ranked.source_idx AND gone.source_row = ranked.source_row
WHERE rank = 1
ORDER BY ranked.source_idx, ranked.source_row;
