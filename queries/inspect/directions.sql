-- In which directions the task is worded.
--
-- in   shards(kind, direction, repeat, instruction, …)
-- out  direction, rows, share, instructions, sample
--      first uses alone; `instructions` are the different ones among them, `sample` is the first in the order of the alphabet
SELECT
    coalesce(direction, 'as it was') AS direction,
    count(*) AS rows,
    round(CAST(count(*) AS DOUBLE) / sum(count(*)) OVER (), 4) AS share,
    count(DISTINCT instruction) AS instructions,
    min(instruction) AS sample
FROM shards
WHERE kind = 'task' AND repeat = 0
GROUP BY direction
ORDER BY rows DESC, direction;
