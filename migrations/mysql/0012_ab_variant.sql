-- Which variant of a mail its policy chose.
alter table notification_attempts add column ab_variant varchar(64) character set utf8mb4 collate utf8mb4_bin;
