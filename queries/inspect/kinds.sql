-- The stream by kind: how many rows, how many different samples, how much text.
--
-- in   shards(kind, source, sample_id, repeat, instruction, input, output, …)
-- out  kind, rows, share, samples, repeats, sources, reworded, without_input, characters
--      `characters` is the mean of the three texts together
WITH counted AS (
    SELECT
        kind,
        count(*) AS rows,
        count(*) FILTER (WHERE repeat = 0) AS samples,
        count(*) FILTER (WHERE repeat > 0) AS repeats,
        count(DISTINCT source) AS sources,
        count(direction) AS reworded,
        count(*) FILTER (WHERE input = '') AS without_input,
        sum(length(instruction) + length(input) + length(output)) AS characters
    FROM shards
    GROUP BY kind
)
SELECT
    kind,
    rows,
    round(CAST(rows AS DOUBLE) / sum(rows) OVER (), 6) AS share,
    samples,
    repeats,
    sources,
    reworded,
    without_input,
    round(CAST(characters AS DOUBLE) / rows, 1) AS characters
FROM counted
ORDER BY kind DESC;
