-- Long work of operators: installs, reloads and replays, with how far each is and what came of it.
create table plugin_operations (
    id integer primary key autoincrement,
    kind text not null check (kind in ('install', 'reload', 'replay')),
    slot text not null,
    revision bigint,
    state text not null check (state in ('running', 'succeeded', 'failed', 'cancelled')),
    -- 1: its host is to stop it.
    is_cancelled bigint not null,
    progress text not null,
    problem text,
    detail text,
    created_at bigint not null,
    created_by text not null,
    -- Its host writes it every few seconds while it runs.
    updated_at bigint not null
);
create index plugin_operations_state on plugin_operations (state, updated_at);

-- Compiled code, sealed by the hosts' secret, under the name that its host, its version and its processor give it; in
-- parts of one MiB, so that no packet is too large.
create table plugin_code (
    name text not null,
    part bigint not null,
    digest text not null,
    version text not null,
    content blob not null,
    primary key (name, part)
);
