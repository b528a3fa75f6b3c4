"""The statements of the log on PostgreSQL: how a tick is made, what lies between two of them, and what may be deleted."""

from __future__ import annotations

from sqlalchemy import text

PLACE = text(
    "SELECT (SELECT system_identifier FROM pg_control_system()) || '.' || left(pg_walfile_name(pg_current_wal_lsn()), 8)"
)
BEGIN = text(
    "INSERT INTO realtime_tick (tick, version, epoch, place, salt, last, lo, hi, xip) "
    "SELECT 0, :version, :epoch, :place, :salt, 0, pg_snapshot_xmin(s), pg_snapshot_xmax(s), ARRAY(SELECT pg_snapshot_xip(s)) "
    "FROM (SELECT pg_current_snapshot() AS s) AS now WHERE NOT EXISTS (SELECT FROM realtime_tick) ON CONFLICT DO NOTHING"
)
LATEST = text("SELECT tick, version, epoch, place, last FROM realtime_tick ORDER BY tick DESC LIMIT 1")
# One statement, so that its snapshot is the one that it writes down, and the one that it counts in. What is new and what is
# late are looked up one by one: for both at once the planner may read the whole index.
TICK = text(
    """
    WITH latest AS (SELECT * FROM realtime_tick ORDER BY tick DESC LIMIT 1),
    now AS (SELECT pg_current_snapshot() AS s),
    news AS (
        SELECT count(DISTINCT e.xid) AS count FROM latest CROSS JOIN LATERAL (
            SELECT xid FROM realtime_log WHERE xid >= latest.hi
            UNION ALL SELECT xid FROM realtime_log WHERE xid = ANY(latest.xip)
        ) AS e
    ),
    made AS (
        INSERT INTO realtime_tick (tick, version, epoch, place, salt, last, lo, hi, xip)
        SELECT tick + 1, version, epoch, place, :salt, last + count,
               pg_snapshot_xmin(s), pg_snapshot_xmax(s), ARRAY(SELECT pg_snapshot_xip(s))
        FROM latest, now, news WHERE count > 0 AND hi <= pg_snapshot_xmax(s)
        ON CONFLICT DO NOTHING RETURNING tick, salt, last
    )
    SELECT epoch, tick AS latest, coalesce((SELECT tick FROM made), tick) AS tick, hi > pg_snapshot_xmax(s) AS back,
           coalesce((SELECT salt FROM made), salt) AS salt, (SELECT salt FROM realtime_tick WHERE tick = :known) AS known,
           coalesce((SELECT last FROM made), last) AS last, count > 0 AND NOT EXISTS (SELECT FROM made) AS beaten
    FROM latest, now, news
    """
)
# The rows that are still there belong to another history; numbers that are to come must not find them.
RENEW = (
    text("LOCK TABLE realtime_tick IN EXCLUSIVE MODE"),
    text("DELETE FROM realtime_log WHERE xid >= pg_snapshot_xmax(pg_current_snapshot())"),
    text(
        "INSERT INTO realtime_tick (tick, version, epoch, place, salt, last, lo, hi, xip) "
        "SELECT tick + 1, version, :epoch, :place, :salt, last, pg_snapshot_xmin(s), pg_snapshot_xmax(s), "
        "ARRAY(SELECT pg_snapshot_xip(s)) FROM (SELECT pg_current_snapshot() AS s) AS now, "
        "(SELECT * FROM realtime_tick ORDER BY tick DESC LIMIT 1) AS latest WHERE epoch = :before"
    ),
)
OLDEST = text(
    "SELECT min(last) FROM realtime_tick WHERE epoch = :epoch AND last >= :last - :count "
    "AND at >= extract(epoch FROM clock_timestamp()) - :age"
)
# Without the epoch, which is looked at afterwards: with it the planner would rather sort all ticks than use the index's order.
BASE = text("SELECT tick, epoch FROM realtime_tick WHERE last <= :offset ORDER BY last DESC, tick DESC LIMIT 1")
READ = text(
    """
    SELECT t.tick, t.epoch, t.before, t.last, e.xid, e.body
    FROM (
        SELECT *, lag(hi) OVER w AS from_xid, lag(xip) OVER w AS late, lag(last) OVER w AS before
        FROM (SELECT * FROM realtime_tick WHERE tick >= :base ORDER BY tick LIMIT :most) AS found
        WINDOW w AS (ORDER BY tick)
    ) AS t LEFT JOIN LATERAL (
        SELECT e.id, e.body, e.xid::text AS xid, max(e.id) OVER (PARTITION BY e.xid) AS place FROM (
            SELECT id, body, xid FROM realtime_log WHERE xid >= t.from_xid AND xid < t.hi
            UNION ALL SELECT id, body, xid FROM realtime_log WHERE xid = ANY(t.late)
        ) AS e WHERE e.xid <> ALL(t.xip)
    ) AS e ON true
    WHERE t.tick > :base ORDER BY t.tick, e.place, e.id
    """
)
NOW = text("SELECT extract(epoch FROM clock_timestamp())")
# The last before the first that is young. By a clock that was wrong for a while something can be from the future, too.
BOUNDARY = text(
    "SELECT tick, lo::text AS lo FROM realtime_tick WHERE tick < coalesce((SELECT tick FROM realtime_tick "
    "WHERE abs(at - extract(epoch FROM clock_timestamp())) <= :age ORDER BY tick LIMIT 1), 9223372036854775807) "
    "ORDER BY tick DESC LIMIT 1"
)
PURGE_TICKS = text("DELETE FROM realtime_tick WHERE tick < :tick")
PURGE = text(
    "DELETE FROM realtime_log WHERE ctid = ANY(ARRAY("
    "SELECT ctid FROM realtime_log WHERE xid < CAST(CAST(:lo AS text) AS xid8) ORDER BY xid LIMIT :most))"
)
