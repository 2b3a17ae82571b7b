SET @@time_zone = 'Europe/Berlin';

WITH exposures_read AS (
  SELECT
    NULLIF(CAST(t.`user_id` AS STRING), '') AS unit_of,
    NULLIF(CAST(t.`variant` AS STRING), '') AS arm_of,
    CAST(t.`ts` AS TIMESTAMP) AS seen_at
  FROM `analytics`.`exposures` AS t
)
SELECT
  arm_of,
  COUNT(*) AS rows_of,
  SUM(CASE WHEN unit_of IS NULL THEN 1 ELSE 0 END) AS unitless,
  SUM(CASE WHEN seen_at IS NULL THEN 1 ELSE 0 END) AS timeless,
  SUM(
    CASE
      WHEN seen_at < CAST('2026-08-29 10:40:00.000000+00:00' AS TIMESTAMP)
      THEN 1
      ELSE 0
    END
  ) AS early,
  SUM(
    CASE
      WHEN seen_at >= CAST('2026-09-21 14:13:20.000000+00:00' AS TIMESTAMP)
      THEN 1
      ELSE 0
    END
  ) AS future,
  MIN(seen_at) AS earliest,
  MAX(
    CASE
      WHEN seen_at < CAST('2026-09-21 14:13:20.000000+00:00' AS TIMESTAMP)
      THEN seen_at
    END
  ) AS latest
FROM exposures_read
GROUP BY
  arm_of
ORDER BY
  rows_of DESC,
  arm_of NULLS LAST
LIMIT 1000;

WITH events_read AS (
  SELECT
    NULLIF(CAST(t.`us"er\`` AS STRING), '') AS unit_at,
    CAST(t.`ts` AS TIMESTAMP) AS happened_at,
    NULLIF(CAST(t.`name` AS STRING), '') AS what_of,
    CAST(t.`value` AS FLOAT64) AS number_of
  FROM (
    SELECT
      *
    FROM analytics.events
    WHERE
      NOT bot
  ) AS t
), facts AS (
  SELECT
    unit_at,
    happened_at,
    what_of,
    number_of,
    CASE WHEN ABS(number_of) <= 1E150 THEN 1 ELSE 0 END AS sound_of
  FROM events_read
  WHERE
    happened_at >= CAST('2026-08-15 10:40:00.000000+00:00' AS TIMESTAMP)
    AND happened_at < CAST('2026-09-21 14:13:20.000000+00:00' AS TIMESTAMP)
    AND what_of IN ('purchase', 'back\\slash', 'visit')
), alike AS (
  SELECT
    what_of AS what_asked,
    CAST(happened_at AS DATE) AS on_day,
    COUNT(*) - 1 AS further
  FROM facts
  WHERE
    NOT unit_at IS NULL
  GROUP BY
    unit_at,
    happened_at,
    what_of,
    number_of
  HAVING
    COUNT(*) > 1
)
SELECT
  what_asked,
  on_day,
  SUM(further) AS further_of
FROM alike
GROUP BY
  what_asked,
  on_day;

WITH events_read AS (
  SELECT
    NULLIF(CAST(t.`us"er\`` AS STRING), '') AS unit_at,
    CAST(t.`ts` AS TIMESTAMP) AS happened_at,
    NULLIF(CAST(t.`name` AS STRING), '') AS what_of,
    CAST(t.`value` AS FLOAT64) AS number_of
  FROM (
    SELECT
      *
    FROM analytics.events
    WHERE
      NOT bot
  ) AS t
), named AS (
  SELECT
    CASE WHEN what_of IN ('purchase', 'back\\slash', 'visit') THEN what_of END AS what_asked,
    CAST(happened_at AS DATE) AS on_day,
    unit_at,
    happened_at,
    number_of
  FROM events_read
)
SELECT
  what_asked,
  on_day,
  COUNT(*) AS rows_of,
  SUM(CASE WHEN unit_at IS NULL THEN 1 ELSE 0 END) AS unitless,
  SUM(CASE WHEN happened_at IS NULL THEN 1 ELSE 0 END) AS timeless,
  SUM(
    CASE
      WHEN happened_at >= CAST('2026-09-21 14:13:20.000000+00:00' AS TIMESTAMP)
      THEN 1
      ELSE 0
    END
  ) AS future,
  SUM(CASE WHEN number_of IS NULL THEN 1 ELSE 0 END) AS numberless,
  SUM(
    CASE
      WHEN NOT number_of IS NULL AND (
        number_of IS NULL OR NOT ABS(number_of) <= 1E150
      )
      THEN 1
      ELSE 0
    END
  ) AS infinite,
  MAX(
    CASE
      WHEN happened_at < CAST('2026-09-21 14:13:20.000000+00:00' AS TIMESTAMP)
      THEN happened_at
    END
  ) AS latest,
  SUM(
    CASE
      WHEN number_of IS NULL OR NOT ABS(number_of) <= 1E150
      THEN 0.0
      ELSE number_of
    END
  ) AS added,
  SUM(
    CASE
      WHEN number_of IS NULL OR NOT ABS(number_of) <= 1E150
      THEN 0.0
      ELSE ABS(number_of)
    END
  ) AS absolute
FROM named
GROUP BY
  what_asked,
  on_day;

WITH exposures_read AS (
  SELECT
    NULLIF(CAST(t.`user_id` AS STRING), '') AS unit_of,
    NULLIF(CAST(t.`variant` AS STRING), '') AS arm_of,
    CAST(t.`ts` AS TIMESTAMP) AS seen_at
  FROM `analytics`.`exposures` AS t
), dated AS (
  SELECT
    CAST(seen_at AS DATE) AS on_day
  FROM exposures_read
  WHERE
    NOT unit_of IS NULL AND arm_of IN ('control', 'treatment')
)
SELECT
  on_day,
  COUNT(*) AS rows_of
FROM dated
WHERE
  NOT on_day IS NULL
GROUP BY
  on_day;

WITH exposures_read AS (
  SELECT
    NULLIF(CAST(t.`user_id` AS STRING), '') AS unit_of,
    NULLIF(CAST(t.`variant` AS STRING), '') AS arm_of,
    CAST(t.`ts` AS TIMESTAMP) AS seen_at
  FROM `analytics`.`exposures` AS t
), units AS (
  SELECT
    unit_of,
    COUNT(*) AS rows_of,
    MIN(seen_at) AS first_seen,
    MIN(CASE WHEN arm_of = 'control' THEN seen_at END) AS from_0,
    MAX(CASE WHEN arm_of = 'control' THEN seen_at END) AS to_0,
    MIN(CASE WHEN arm_of = 'treatment' THEN seen_at END) AS from_1,
    MAX(CASE WHEN arm_of = 'treatment' THEN seen_at END) AS to_1,
    MIN(seen_at) + INTERVAL '604800' SECOND AS until_0,
    MIN(seen_at) + INTERVAL '86400' SECOND AS until_1,
    MIN(seen_at) + INTERVAL '43200' SECOND AS after_0,
    MIN(seen_at) - INTERVAL '1209600' SECOND AS since_0
  FROM exposures_read
  WHERE
    seen_at >= CAST('2026-08-29 10:40:00.000000+00:00' AS TIMESTAMP)
    AND seen_at < CAST('2026-09-21 14:13:20.000000+00:00' AS TIMESTAMP)
    AND NOT unit_of IS NULL
    AND arm_of IN ('control', 'treatment')
  GROUP BY
    unit_of
), events_read AS (
  SELECT
    NULLIF(CAST(t.`us"er\`` AS STRING), '') AS unit_at,
    CAST(t.`ts` AS TIMESTAMP) AS happened_at,
    NULLIF(CAST(t.`name` AS STRING), '') AS what_of,
    CAST(t.`value` AS FLOAT64) AS number_of
  FROM (
    SELECT
      *
    FROM analytics.events
    WHERE
      NOT bot
  ) AS t
), facts AS (
  SELECT
    unit_at,
    happened_at,
    what_of,
    number_of,
    CASE WHEN ABS(number_of) <= 1E150 THEN 1 ELSE 0 END AS sound_of
  FROM events_read
  WHERE
    happened_at >= CAST('2026-08-15 10:40:00.000000+00:00' AS TIMESTAMP)
    AND happened_at < CAST('2026-09-21 14:13:20.000000+00:00' AS TIMESTAMP)
    AND what_of IN ('purchase', 'back\\slash', 'visit')
)
SELECT
  u.unit_of AS unit_id,
  MIN(u.rows_of) AS seen_rows,
  MIN(u.first_seen) AS first_at,
  MIN(u.from_0) AS first_0,
  MIN(u.to_0) AS last_0,
  MIN(u.from_1) AS first_1,
  MIN(u.to_1) AS last_1,
  SUM(
    CASE
      WHEN f.what_of = 'purchase'
      AND f.happened_at >= u.first_seen
      AND f.happened_at < u.until_0
      AND f.sound_of = 1
      THEN f.number_of
      ELSE 0.0
    END
  ) AS y_0,
  SUM(
    CASE
      WHEN f.what_of = 'purchase'
      AND f.happened_at >= u.first_seen
      AND f.happened_at < u.until_0
      AND f.sound_of = 0
      THEN 1
      ELSE 0
    END
  ) AS bad_0,
  SUM(
    CASE
      WHEN f.what_of = 'purchase'
      AND f.happened_at < u.first_seen
      AND f.happened_at >= u.since_0
      AND f.sound_of = 1
      THEN f.number_of
      ELSE 0.0
    END
  ) AS x_0,
  SUM(
    CASE
      WHEN f.what_of = 'purchase'
      AND f.happened_at < u.first_seen
      AND f.happened_at >= u.since_0
      AND f.sound_of = 0
      THEN 1
      ELSE 0
    END
  ) AS bad_x_0,
  SUM(
    CASE
      WHEN f.what_of = 'back\\slash'
      AND f.happened_at >= u.first_seen
      AND f.happened_at < u.until_1
      AND f.sound_of = 1
      THEN f.number_of
      ELSE 0.0
    END
  ) AS y_1,
  SUM(
    CASE
      WHEN f.what_of = 'purchase'
      AND f.happened_at >= u.first_seen
      AND f.happened_at < u.until_1
      AND f.sound_of = 1
      THEN f.number_of
      ELSE 0.0
    END
  ) AS d_1,
  SUM(
    CASE
      WHEN f.what_of = 'back\\slash'
      AND f.happened_at >= u.first_seen
      AND f.happened_at < u.until_1
      AND f.sound_of = 0
      THEN 1
      ELSE 0
    END
  ) AS bad_1,
  SUM(
    CASE
      WHEN f.what_of = 'purchase'
      AND f.happened_at >= u.first_seen
      AND f.happened_at < u.until_1
      AND f.sound_of = 0
      THEN 1
      ELSE 0
    END
  ) AS bad_d_1,
  MAX(
    CASE
      WHEN f.what_of = 'visit' AND f.happened_at >= u.after_0 AND f.happened_at < u.until_1
      THEN 1.0
      ELSE 0.0
    END
  ) AS y_2
FROM units AS u
LEFT JOIN facts AS f
  ON f.unit_at = u.unit_of
GROUP BY
  u.unit_of;

WITH exposures_read AS (
  SELECT
    NULLIF(CAST(t.`user_id` AS STRING), '') AS unit_of,
    NULLIF(CAST(t.`variant` AS STRING), '') AS arm_of,
    CAST(t.`ts` AS TIMESTAMP) AS seen_at
  FROM `analytics`.`exposures` AS t
), units AS (
  SELECT
    unit_of,
    COUNT(*) AS rows_of,
    MIN(seen_at) AS first_seen,
    MIN(CASE WHEN arm_of = 'control' THEN seen_at END) AS from_0,
    MAX(CASE WHEN arm_of = 'control' THEN seen_at END) AS to_0,
    MIN(CASE WHEN arm_of = 'treatment' THEN seen_at END) AS from_1,
    MAX(CASE WHEN arm_of = 'treatment' THEN seen_at END) AS to_1,
    MIN(seen_at) + INTERVAL '604800' SECOND AS until_0,
    MIN(seen_at) + INTERVAL '86400' SECOND AS until_1,
    MIN(seen_at) + INTERVAL '43200' SECOND AS after_0,
    MIN(seen_at) - INTERVAL '1209600' SECOND AS since_0
  FROM exposures_read
  WHERE
    seen_at < CAST('2026-09-21 14:13:20.000000+00:00' AS TIMESTAMP)
    AND NOT unit_of IS NULL
    AND arm_of IN ('control', 'treatment')
  GROUP BY
    unit_of
), events_read AS (
  SELECT
    NULLIF(CAST(t.`us"er\`` AS STRING), '') AS unit_at,
    CAST(t.`ts` AS TIMESTAMP) AS happened_at,
    NULLIF(CAST(t.`name` AS STRING), '') AS what_of,
    CAST(t.`value` AS FLOAT64) AS number_of
  FROM (
    SELECT
      *
    FROM analytics.events
    WHERE
      NOT bot
  ) AS t
), facts AS (
  SELECT
    unit_at,
    happened_at,
    what_of,
    number_of,
    CASE WHEN ABS(number_of) <= 1E150 THEN 1 ELSE 0 END AS sound_of
  FROM events_read
  WHERE
    happened_at < CAST('2026-09-21 14:13:20.000000+00:00' AS TIMESTAMP)
    AND what_of IN ('purchase', 'back\\slash', 'visit')
), unit_rows AS (
  SELECT
    u.unit_of AS unit_id,
    MIN(u.rows_of) AS seen_rows,
    MIN(u.first_seen) AS first_at,
    MIN(u.from_0) AS first_0,
    MIN(u.to_0) AS last_0,
    MIN(u.from_1) AS first_1,
    MIN(u.to_1) AS last_1,
    SUM(
      CASE
        WHEN f.what_of = 'purchase'
        AND f.happened_at >= u.first_seen
        AND f.happened_at < u.until_0
        AND f.sound_of = 1
        THEN f.number_of
        ELSE 0.0
      END
    ) AS y_0,
    SUM(
      CASE
        WHEN f.what_of = 'purchase'
        AND f.happened_at >= u.first_seen
        AND f.happened_at < u.until_0
        AND f.sound_of = 0
        THEN 1
        ELSE 0
      END
    ) AS bad_0,
    SUM(
      CASE
        WHEN f.what_of = 'purchase'
        AND f.happened_at < u.first_seen
        AND f.happened_at >= u.since_0
        AND f.sound_of = 1
        THEN f.number_of
        ELSE 0.0
      END
    ) AS x_0,
    SUM(
      CASE
        WHEN f.what_of = 'purchase'
        AND f.happened_at < u.first_seen
        AND f.happened_at >= u.since_0
        AND f.sound_of = 0
        THEN 1
        ELSE 0
      END
    ) AS bad_x_0,
    SUM(
      CASE
        WHEN f.what_of = 'back\\slash'
        AND f.happened_at >= u.first_seen
        AND f.happened_at < u.until_1
        AND f.sound_of = 1
        THEN f.number_of
        ELSE 0.0
      END
    ) AS y_1,
    SUM(
      CASE
        WHEN f.what_of = 'purchase'
        AND f.happened_at >= u.first_seen
        AND f.happened_at < u.until_1
        AND f.sound_of = 1
        THEN f.number_of
        ELSE 0.0
      END
    ) AS d_1,
    SUM(
      CASE
        WHEN f.what_of = 'back\\slash'
        AND f.happened_at >= u.first_seen
        AND f.happened_at < u.until_1
        AND f.sound_of = 0
        THEN 1
        ELSE 0
      END
    ) AS bad_1,
    SUM(
      CASE
        WHEN f.what_of = 'purchase'
        AND f.happened_at >= u.first_seen
        AND f.happened_at < u.until_1
        AND f.sound_of = 0
        THEN 1
        ELSE 0
      END
    ) AS bad_d_1,
    MAX(
      CASE
        WHEN f.what_of = 'visit' AND f.happened_at >= u.after_0 AND f.happened_at < u.until_1
        THEN 1.0
        ELSE 0.0
      END
    ) AS y_2
  FROM units AS u
  LEFT JOIN facts AS f
    ON f.unit_at = u.unit_of
  GROUP BY
    u.unit_of
), abctl_units AS (
  SELECT
    *,
    0 AS in_epoch,
    CAST(first_at AS DATE) AS on_day,
    CASE
      WHEN CASE WHEN NOT first_0 IS NULL THEN 1 ELSE 0 END + CASE WHEN NOT first_1 IS NULL THEN 1 ELSE 0 END > 1
      THEN -1
      WHEN NOT first_0 IS NULL
      THEN 0
      WHEN NOT first_1 IS NULL
      THEN 1
    END AS arm_seen,
    0 AS was_wrong
  FROM (
    SELECT
      seen_rows,
      first_at,
      first_0,
      last_0,
      first_1,
      last_1,
      y_0,
      bad_0,
      x_0,
      bad_x_0,
      y_1,
      d_1,
      bad_1,
      bad_d_1,
      y_2,
      '' AS of_course,
      SUBSTRING(TO_HEX(MD5('bucket:shop-1:' || unit_id)), 1, 2) AS in_bucket
    FROM unit_rows
  ) AS hashed
)
SELECT
  in_epoch,
  on_day,
  of_course,
  arm_seen,
  in_bucket,
  COUNT(*) AS t_0,
  SUM(seen_rows) AS t_1,
  SUM(was_wrong) AS t_2,
  SUM(CASE WHEN bad_0 = 0 AND bad_x_0 = 0 THEN 1.0 ELSE 0.0 END) AS t_3,
  SUM(CASE WHEN bad_0 = 0 AND bad_x_0 = 0 THEN CAST(y_0 AS FLOAT64) ELSE 0.0 END) AS t_4,
  SUM(CASE WHEN bad_0 = 0 AND bad_x_0 = 0 THEN CAST(x_0 AS FLOAT64) ELSE 0.0 END) AS t_5,
  SUM(
    CASE
      WHEN bad_0 = 0 AND bad_x_0 = 0
      THEN CAST(y_0 AS FLOAT64) * CAST(y_0 AS FLOAT64)
      ELSE 0.0
    END
  ) AS t_6,
  SUM(
    CASE
      WHEN bad_0 = 0 AND bad_x_0 = 0
      THEN CAST(y_0 AS FLOAT64) * CAST(x_0 AS FLOAT64)
      ELSE 0.0
    END
  ) AS t_7,
  SUM(
    CASE
      WHEN bad_0 = 0 AND bad_x_0 = 0
      THEN CAST(x_0 AS FLOAT64) * CAST(x_0 AS FLOAT64)
      ELSE 0.0
    END
  ) AS t_8,
  SUM(CASE WHEN bad_1 = 0 AND bad_d_1 = 0 THEN 1.0 ELSE 0.0 END) AS t_9,
  SUM(CASE WHEN bad_1 = 0 AND bad_d_1 = 0 THEN CAST(y_1 AS FLOAT64) ELSE 0.0 END) AS t_10,
  SUM(CASE WHEN bad_1 = 0 AND bad_d_1 = 0 THEN CAST(d_1 AS FLOAT64) ELSE 0.0 END) AS t_11,
  SUM(
    CASE
      WHEN bad_1 = 0 AND bad_d_1 = 0
      THEN CAST(y_1 AS FLOAT64) * CAST(y_1 AS FLOAT64)
      ELSE 0.0
    END
  ) AS t_12,
  SUM(
    CASE
      WHEN bad_1 = 0 AND bad_d_1 = 0
      THEN CAST(y_1 AS FLOAT64) * CAST(d_1 AS FLOAT64)
      ELSE 0.0
    END
  ) AS t_13,
  SUM(
    CASE
      WHEN bad_1 = 0 AND bad_d_1 = 0
      THEN CAST(d_1 AS FLOAT64) * CAST(d_1 AS FLOAT64)
      ELSE 0.0
    END
  ) AS t_14,
  SUM(CASE WHEN 1 = 1 THEN 1.0 ELSE 0.0 END) AS t_15,
  SUM(CASE WHEN 1 = 1 THEN CAST(y_2 AS FLOAT64) ELSE 0.0 END) AS t_16,
  SUM(CASE WHEN 1 = 1 THEN CAST(y_2 AS FLOAT64) * CAST(y_2 AS FLOAT64) ELSE 0.0 END) AS t_17
FROM abctl_units
GROUP BY
  in_epoch,
  on_day,
  of_course,
  arm_seen,
  in_bucket
ORDER BY
  in_epoch NULLS LAST,
  on_day NULLS LAST,
  of_course NULLS LAST,
  arm_seen NULLS LAST,
  in_bucket NULLS LAST;
