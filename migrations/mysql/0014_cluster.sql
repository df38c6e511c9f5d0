-- Which run of which host works on an operation: a replay goes on at another host when its own has ended.
alter table plugin_operations add column host varchar(64) character set utf8mb4 collate utf8mb4_bin not null default '';

-- What the calls of a canary and of the active revision came to in each host since the canary's step began, which the
-- slot's version names.
create table plugin_canary_counts (
    slot varchar(100) character set utf8mb4 collate utf8mb4_bin not null,
    version bigint not null,
    host varchar(64) character set utf8mb4 collate utf8mb4_bin not null,
    -- JSON.
    counts mediumtext character set utf8mb4 collate utf8mb4_bin not null,
    primary key (slot, version, host)
);
