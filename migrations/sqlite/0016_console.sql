-- Those that need an operator are found without reading the others.
create index states_unsent on notification_states (state, id) where state in ('failed', 'skipped', 'held');

-- Each run of a host: what it is, when it was last there, and what it sent and gave up since it started.
create table hosts (
    host text primary key,
    version text not null,
    roles text not null,
    started_at bigint not null,
    seen_at bigint not null,
    sent bigint not null,
    failed bigint not null
);

-- What was done in the console, by whom and why; written before it is done.
create table console_acts (
    id integer primary key autoincrement,
    created_at bigint not null,
    created_by text not null,
    act text not null,
    subject text not null,
    why text not null,
    outcome text not null
);
