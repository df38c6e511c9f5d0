-- Rows that are written in one commit and changed in a later one find room on their own page: none of the table's indexes
-- then hears of the change (a heap-only tuple). Rows that follow one another are changed together, so half is left free.

alter table notification_states set (fillfactor = 50);
alter table notification_attempts set (fillfactor = 50);
alter table notification_events_queue set (fillfactor = 50);
