-- What was reported of a mail before it was sent once more says nothing of what became of it since.
alter table notification_reports add column is_past bigint not null default 0;
