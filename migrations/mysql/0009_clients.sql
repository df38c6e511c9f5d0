-- Whose renewal is the newest; how products are searched; when mails were dated.

alter table sessions add column spent_hash varchar(64) character set ascii collate ascii_bin;

-- Name, unit and description, folded by the host; null until it has done that.
alter table products add column search_text mediumtext character set utf8mb4 collate utf8mb4_bin;

-- The date in the message's header, unix milliseconds; null: the order's time, as it was then.
alter table notification_attempts add column dated_at bigint;
