-- What is known of a queue that was short for a moment has SQLite read all of one that has grown: it is told nothing any
-- more, and forgets what it was told. The first line makes the tables of what is known where there are none.

analyze notification_pause;
delete from sqlite_stat1;
delete from sqlite_stat4;
analyze sqlite_schema;
