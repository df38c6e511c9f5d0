-- Servers that are sent a request for each change of an order: of a user's own orders, or without a user of all. `secrets` is
-- encrypted under the hosts' secret. What one is sent is a notification in a lane of its own.
create table webhook_endpoints (
    id bigint generated always as identity primary key,
    user_id bigint,
    url text not null,
    description text not null,
    kinds text not null,
    secrets text not null,
    state text not null check (state in ('active', 'paused', 'disabled')),
    reason text not null,
    version bigint not null,
    last_place bigint not null default 0,
    failing_since bigint,
    failed_at bigint,
    failure text,
    delivered_at bigint,
    created_at bigint not null,
    updated_at bigint not null,
    deleted_at bigint
);
create index webhook_endpoints_user on webhook_endpoints (user_id, id);
