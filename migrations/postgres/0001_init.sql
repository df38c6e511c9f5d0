-- Rules that keep one SQL text possible: every integer is BIGINT, time is unix milliseconds, status is text
-- with a check, JSON is text, a flag is a nullable timestamp.

create table users (
    id bigint generated always as identity primary key,
    email text not null unique,
    password_hash text not null,
    name text not null,
    locale text not null,
    time_zone text not null,
    attributes text not null,
    admin_since bigint,
    version bigint not null,
    created_at bigint not null,
    updated_at bigint not null
);

create table sessions (
    id bigint generated always as identity primary key,
    user_id bigint not null references users (id),
    token_hash text unique,
    created_at bigint not null,
    expires_at bigint not null,
    revoked_at bigint
);
create index sessions_user on sessions (user_id);

create table products (
    id bigint generated always as identity primary key,
    sku text not null unique,
    name text not null,
    description text not null,
    category text not null,
    price_amount bigint not null check (price_amount >= 0),
    price_currency text not null,
    stock bigint not null check (stock >= 0),
    url text,
    image text,
    attributes text not null,
    version bigint not null,
    created_at bigint not null,
    updated_at bigint not null
);

create table orders (
    id bigint generated always as identity primary key,
    user_id bigint not null references users (id),
    version bigint not null,
    status text not null check (status in ('pending', 'shipped', 'delivered', 'cancelled')),
    currency text not null,
    subtotal bigint not null,
    discount bigint not null,
    tax bigint not null,
    shipping bigint not null,
    total bigint not null,
    payment_method text not null,
    ship_to text,
    bill_to text,
    tracking text not null,
    attributes text not null,
    placed_at bigint not null,
    updated_at bigint not null
);
create index orders_user on orders (user_id, id);

create table order_items (
    order_id bigint not null references orders (id),
    line bigint not null,
    product_id bigint not null,
    sku text not null,
    name text not null,
    quantity bigint not null check (quantity > 0),
    unit_price bigint not null,
    total bigint not null,
    url text,
    image text,
    attributes text not null,
    primary key (order_id, line)
);

-- Outlives the queue: one row for each order change, with all that a plugin may see of it.
create table notification_states (
    id bigint generated always as identity primary key,
    order_id bigint not null references orders (id),
    order_version bigint not null,
    message_id text not null unique,
    kind text not null,
    state text not null check (state in ('not sent', 'sent', 'failed', 'skipped', 'held')),
    attempts bigint not null,
    reason text not null,
    created_at bigint not null,
    completed_at bigint,
    payload text not null,
    unique (order_id, order_version)
);

-- due_at is schedule, backoff and lease expiry in one; epoch is the fencing token; phase 1 means that a mail was
-- about to be handed over. The oldest row of an order is the only one that may be claimed.
create table notification_events_queue (
    state_id bigint primary key,
    order_id bigint not null,
    order_version bigint not null,
    due_at bigint not null,
    epoch bigint not null,
    phase bigint not null,
    attempts bigint not null,
    claims bigint not null,
    relay text,
    created_at bigint not null,
    unique (order_id, order_version)
);
create index q_due on notification_events_queue (due_at, state_id);

-- Append-only, but for the outcome of an open intent and the count of repeated waits.
create table notification_attempts (
    id bigint generated always as identity primary key,
    state_id bigint not null,
    epoch bigint not null,
    kind text not null check (kind in ('send', 'decision', 'fault')),
    phase text,
    class text,
    code bigint,
    enhanced text,
    reply text,
    relay text,
    verdict text,
    reason text,
    delay_ms bigint,
    renderer_digest text,
    renderer_revision bigint,
    policy_digest text,
    policy_revision bigint,
    seed bigint,
    situation text,
    message_hash text,
    repeats bigint not null,
    started_at bigint not null,
    ended_at bigint
);
create index attempts_state on notification_attempts (state_id, id);

-- The payload is written once and the row around it updated: out of line, updates do not copy it.
alter table notification_states alter column payload set storage external;
alter table notification_states set (toast_tuple_target = 128);
alter table notification_events_queue set (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000);
