-- The rows of one kind that go because they are what is measured on.
--
-- in   normalized(source_idx, kind, source_row, instruction, input, reason, …)
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
        kind,
        source_row,
        CASE WHEN CAST($kind AS VARCHAR) = 'task' AND NOT is_blank(input) THEN '' ELSE instruction END AS instruction,
        input
    FROM normalized
    WHERE reason IS NULL AND kind IN (CAST($kind AS VARCHAR), 'held_out', 'eval')
),
hashed AS (
    SELECT *, words_hash(instruction, input) AS hash
    FROM asked
),
texts AS (
    SELECT source_idx, source_row, hash, concat(instruction, chr(10), input) AS text
    FROM hashed
    WHERE kind IN ('held_out', 'eval')
),
held_out AS (
    SELECT
        source_idx,
        source_row,
        text,
        hash,
        row_number() OVER (PARTITION BY words(text) ORDER BY source_idx, source_row) AS rank
    FROM texts
    WHERE words(text) <> ''
),
matches AS (
    SELECT
        asked.source_idx,
        asked.source_row,
        'held_out_equal' AS reason,
        held_out.source_idx AS kept_source_idx,
        held_out.source_row AS kept_row,
        CAST(1 AS DOUBLE) AS similarity,
        left(words(concat(asked.instruction, chr(10), asked.input)), 80) AS matched
    FROM held_out
    -- Only texts of one hash are compared as such.
    JOIN hashed AS asked
        ON asked.hash = held_out.hash AND same_words(concat(asked.instruction, chr(10), asked.input), held_out.text)
    WHERE held_out.rank = 1 AND asked.kind = CAST($kind AS VARCHAR)
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
