-- Which run of which host works on an operation: a replay goes on at another host when its own has ended.
alter table plugin_operations add column host text not null default '';

-- What the calls of a canary and of the active revision came to in each host since the canary's step began, which the
-- slot's version names.
create table plugin_canary_counts (
    slot text not null,
    version bigint not null,
    host text not null,
    -- JSON.
    counts text not null,
    primary key (slot, version, host)
);
