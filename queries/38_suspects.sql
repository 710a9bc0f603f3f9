-- The rows of one kind that may be like a row measured on: few, to be compared as texts.
--
-- in   normalized(source_idx, kind, source_row, instruction, input, output, reason, …)
-- out  source_idx, kind, source_row, instruction, input, output
-- with $kind   VARCHAR    task | diverse
--      $words  BIGINT     words of an n-gram; 0 compares prompts alone
--
-- `may_share` was given the prompts and n-grams measured on: it lets all of them pass, and few others.
SELECT source_idx, kind, source_row, instruction, input, output
FROM normalized
WHERE
    kind = CAST($kind AS VARCHAR)
    AND reason IS NULL
    AND may_share(instruction, input, output, CAST($words AS BIGINT))
ORDER BY source_idx, source_row;
