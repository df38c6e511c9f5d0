-- What a notification tells stays; where it stands changes. Apart, an end rewrites a few bytes and not all of it.

create table if not exists notification_payloads (
    state_id bigint primary key,
    payload mediumtext character set utf8mb4 collate utf8mb4_bin not null
) engine = innodb;
-- A host of before could still be writing.
lock tables notification_states write, notification_payloads write;
insert ignore into notification_payloads (state_id, payload) select id, payload from notification_states;
alter table notification_states drop column payload;
unlock tables;
