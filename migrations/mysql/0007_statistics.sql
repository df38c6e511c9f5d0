-- SQLite forgets its statistics; here there is nothing to do.

select 1;
