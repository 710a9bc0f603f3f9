-- The task samples in their new wordings, in the original one, or in both.
--
-- in   prompt_parts(source_idx, source_row, sample_id, head, instruction, tail, has_input, input, output)
--      instructions(instruction_idx, instruction, has_input, …)
--      wordings(instruction_idx, place, direction, wording)    numbered 0, 1, 2, … for each instruction; without rows where
--      nothing is reworded
-- out  source_idx, text_row, source_row, direction, instruction, input, output
--      `text_row` is the row's name among all of its source: `source_row · ($variants + 1)`, and 1, 2, … more for the new
--      wordings; `direction` is null for the original wording
-- with $variants       BIGINT             new wordings of each sample
--      $keep_original  BOOLEAN            whether the original wording stands beside them
--      $seed           BIGINT UNSIGNED    changes who has which wording
--
-- Samples with the same instruction take its wordings in turn, so that as many different ones as there are stand in the stream. A
-- sample has each wording once: where there are too few, it has fewer, and where there is none, the original one.
WITH numbered AS (
    SELECT
        prompt_parts.*,
        instruction_idx,
        CAST(row_number() OVER (
            PARTITION BY instruction_idx
            ORDER BY
                seeded_hash(sample_id, 'reword', CAST(0 AS BIGINT), CAST($seed AS BIGINT UNSIGNED)),
                source_idx,
                source_row
        ) AS BIGINT) - 1 AS nth
    FROM instructions
    RIGHT JOIN prompt_parts
        ON instructions.instruction = prompt_parts.instruction AND instructions.has_input = prompt_parts.has_input
),
counted AS (
    SELECT instruction_idx, CAST(count(*) AS BIGINT) AS n_wordings
    FROM wordings
    GROUP BY instruction_idx
),
variants AS (
    SELECT unnest(generate_series(1, CAST($variants AS BIGINT))) AS variant
),
due AS (
    SELECT
        numbered.*,
        variant,
        (nth * CAST($variants AS BIGINT) + variant - 1) % n_wordings AS place
    FROM counted
    JOIN numbered ON numbered.instruction_idx = counted.instruction_idx
    CROSS JOIN variants
    WHERE variant <= n_wordings
)
SELECT
    source_idx,
    source_row * CAST(CAST($variants AS BIGINT) + 1 AS BIGINT UNSIGNED) + CAST(variant AS BIGINT UNSIGNED) AS text_row,
    source_row,
    direction,
    concat(head, wording, tail) AS instruction,
    input,
    output
FROM wordings
JOIN due ON due.instruction_idx = wordings.instruction_idx AND due.place = wordings.place
UNION ALL
SELECT
    source_idx,
    source_row * CAST(CAST($variants AS BIGINT) + 1 AS BIGINT UNSIGNED) AS text_row,
    source_row,
    CAST(NULL AS VARCHAR) AS direction,
    concat(head, instruction, tail) AS instruction,
    input,
    output
FROM counted
RIGHT JOIN numbered ON numbered.instruction_idx = counted.instruction_idx
WHERE CAST($keep_original AS BOOLEAN) OR n_wordings IS NULL
ORDER BY source_idx, text_row;
