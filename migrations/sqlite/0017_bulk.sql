-- Acts of operators on all notifications that match a filter, with how far each is and what came of it.
create table notification_operations (
    id integer primary key autoincrement,
    act text not null check (act in ('retry', 'cancel', 'hold')),
    filter text not null,
    why text not null,
    allow_late bigint not null,
    state text not null check (state in ('running', 'succeeded', 'failed', 'cancelled')),
    -- 1 while it runs: one does at a time.
    running bigint unique check (running = 1),
    -- 1: its host is to stop it.
    is_cancelled bigint not null,
    -- It ends when more than so many matched.
    matches_max bigint,
    matched bigint not null,
    done bigint not null,
    refused bigint not null,
    refusals text not null,
    -- It goes on behind the one notification, and ends with the other; or before it, where it goes from the newest on.
    reached_id bigint not null,
    last_id bigint not null,
    detail text,
    created_at bigint not null,
    created_by text not null,
    -- Its host writes it with each batch; no host works on it where the name is empty.
    updated_at bigint not null,
    host text not null
);
