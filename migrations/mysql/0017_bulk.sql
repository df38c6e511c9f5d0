-- Acts of operators on all notifications that match a filter, with how far each is and what came of it.
create table notification_operations (
    id bigint not null auto_increment primary key,
    act varchar(100) character set utf8mb4 collate utf8mb4_bin not null check (act in ('retry', 'cancel', 'hold')),
    filter mediumtext character set utf8mb4 collate utf8mb4_bin not null,
    why varchar(2000) character set utf8mb4 collate utf8mb4_bin not null,
    allow_late bigint not null,
    state varchar(100) character set utf8mb4 collate utf8mb4_bin not null check (state in ('running', 'succeeded', 'failed', 'cancelled')),
    -- 1 while it runs: one does at a time.
    running bigint unique check (running = 1),
    -- 1: its host is to stop it.
    is_cancelled bigint not null,
    -- It ends when more than so many matched.
    matches_max bigint,
    matched bigint not null,
    done bigint not null,
    refused bigint not null,
    refusals mediumtext character set utf8mb4 collate utf8mb4_bin not null,
    -- It goes on behind the one notification, and ends with the other; or before it, where it goes from the newest on.
    reached_id bigint not null,
    last_id bigint not null,
    detail mediumtext character set utf8mb4 collate utf8mb4_bin,
    created_at bigint not null,
    created_by varchar(100) character set utf8mb4 collate utf8mb4_bin not null,
    -- Its host writes it with each batch; no host works on it where the name is empty.
    updated_at bigint not null,
    host varchar(64) character set utf8mb4 collate utf8mb4_bin not null
) engine = innodb;
