-- Those that need an operator are found without reading the others.
alter table notification_states
    add column unsent_state varchar(20) character set ascii
        generated always as (case when state in ('failed', 'skipped', 'held') then state end) virtual;
create index states_unsent on notification_states (unsent_state, id);

-- Each run of a host: what it is, when it was last there, and what it sent and gave up since it started.
create table hosts (
    host varchar(64) character set utf8mb4 collate utf8mb4_bin primary key,
    version varchar(64) character set utf8mb4 collate utf8mb4_bin not null,
    roles varchar(64) character set utf8mb4 collate utf8mb4_bin not null,
    started_at bigint not null,
    seen_at bigint not null,
    sent bigint not null,
    failed bigint not null
) engine = innodb;

-- What was done in the console, by whom and why; written before it is done.
create table console_acts (
    id bigint not null auto_increment primary key,
    created_at bigint not null,
    created_by varchar(100) character set utf8mb4 collate utf8mb4_bin not null,
    act varchar(100) character set utf8mb4 collate utf8mb4_bin not null,
    subject varchar(200) character set utf8mb4 collate utf8mb4_bin not null,
    why varchar(2000) character set utf8mb4 collate utf8mb4_bin not null,
    outcome varchar(100) character set utf8mb4 collate utf8mb4_bin not null
) engine = innodb;
