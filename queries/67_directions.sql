-- In which directions the task rows of the stream are worded.
--
-- in   tasks(direction, …)
-- out  direction, rows      the original wording has no direction
SELECT direction, CAST(count(*) AS BIGINT UNSIGNED) AS rows
FROM tasks
GROUP BY direction
ORDER BY rows DESC, direction;
