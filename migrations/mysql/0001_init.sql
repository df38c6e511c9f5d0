-- Rules that keep one SQL text possible: every integer is BIGINT, time is unix milliseconds, status is text
-- with a check, JSON is text, a flag is a nullable timestamp.

create table users (
    id bigint not null auto_increment primary key,
    email varchar(320) character set utf8mb4 collate utf8mb4_bin not null unique,
    password_hash varchar(200) character set utf8mb4 collate utf8mb4_bin not null,
    name varchar(800) character set utf8mb4 collate utf8mb4_bin not null,
    locale varchar(35) character set utf8mb4 collate utf8mb4_bin not null,
    time_zone varchar(64) character set utf8mb4 collate utf8mb4_bin not null,
    attributes mediumtext character set utf8mb4 collate utf8mb4_bin not null,
    admin_since bigint,
    version bigint not null,
    created_at bigint not null,
    updated_at bigint not null
) engine = innodb;

create table sessions (
    id bigint not null auto_increment primary key,
    user_id bigint not null,
    token_hash varchar(64) character set utf8mb4 collate utf8mb4_bin unique,
    created_at bigint not null,
    expires_at bigint not null,
    revoked_at bigint,
    foreign key (user_id) references users (id)
) engine = innodb;
create index sessions_user on sessions (user_id);

create table products (
    id bigint not null auto_increment primary key,
    sku varchar(64) character set utf8mb4 collate utf8mb4_bin not null unique,
    name varchar(800) character set utf8mb4 collate utf8mb4_bin not null,
    description mediumtext character set utf8mb4 collate utf8mb4_bin not null,
    category varchar(800) character set utf8mb4 collate utf8mb4_bin not null,
    price_amount bigint not null check (price_amount >= 0),
    price_currency varchar(3) character set utf8mb4 collate utf8mb4_bin not null,
    stock bigint not null check (stock >= 0),
    url varchar(1000) character set utf8mb4 collate utf8mb4_bin,
    image varchar(1000) character set utf8mb4 collate utf8mb4_bin,
    attributes mediumtext character set utf8mb4 collate utf8mb4_bin not null,
    version bigint not null,
    created_at bigint not null,
    updated_at bigint not null
) engine = innodb;

create table orders (
    id bigint not null auto_increment primary key,
    user_id bigint not null,
    version bigint not null,
    status varchar(32) character set utf8mb4 collate utf8mb4_bin not null check (status in ('pending', 'shipped', 'delivered', 'cancelled')),
    currency varchar(3) character set utf8mb4 collate utf8mb4_bin not null,
    subtotal bigint not null,
    discount bigint not null,
    tax bigint not null,
    shipping bigint not null,
    total bigint not null,
    payment_method varchar(800) character set utf8mb4 collate utf8mb4_bin not null,
    ship_to mediumtext character set utf8mb4 collate utf8mb4_bin,
    bill_to mediumtext character set utf8mb4 collate utf8mb4_bin,
    tracking mediumtext character set utf8mb4 collate utf8mb4_bin not null,
    attributes mediumtext character set utf8mb4 collate utf8mb4_bin not null,
    placed_at bigint not null,
    updated_at bigint not null,
    foreign key (user_id) references users (id)
) engine = innodb;
create index orders_user on orders (user_id, id);

create table order_items (
    order_id bigint not null,
    line bigint not null,
    product_id bigint not null,
    sku varchar(64) character set utf8mb4 collate utf8mb4_bin not null,
    name varchar(800) character set utf8mb4 collate utf8mb4_bin not null,
    quantity bigint not null check (quantity > 0),
    unit_price bigint not null,
    total bigint not null,
    url varchar(1000) character set utf8mb4 collate utf8mb4_bin,
    image varchar(1000) character set utf8mb4 collate utf8mb4_bin,
    attributes mediumtext character set utf8mb4 collate utf8mb4_bin not null,
    primary key (order_id, line),
    foreign key (order_id) references orders (id)
) engine = innodb;

-- Outlives the queue: one row for each order change, with all that a plugin may see of it.
create table notification_states (
    id bigint not null auto_increment primary key,
    order_id bigint not null,
    order_version bigint not null,
    message_id varchar(64) character set utf8mb4 collate utf8mb4_bin not null unique,
    kind varchar(64) character set utf8mb4 collate utf8mb4_bin not null,
    state varchar(32) character set utf8mb4 collate utf8mb4_bin not null check (state in ('not sent', 'sent', 'failed', 'skipped', 'held')),
    attempts bigint not null,
    reason varchar(4000) character set utf8mb4 collate utf8mb4_bin not null,
    created_at bigint not null,
    completed_at bigint,
    payload mediumtext character set utf8mb4 collate utf8mb4_bin not null,
    unique (order_id, order_version),
    foreign key (order_id) references orders (id)
) engine = innodb;

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
    relay varchar(64) character set utf8mb4 collate utf8mb4_bin,
    created_at bigint not null,
    unique (order_id, order_version)
) engine = innodb;
create index q_due on notification_events_queue (due_at, state_id);

-- Append-only, but for the outcome of an open intent and the count of repeated waits.
create table notification_attempts (
    id bigint not null auto_increment primary key,
    state_id bigint not null,
    epoch bigint not null,
    kind varchar(32) character set utf8mb4 collate utf8mb4_bin not null check (kind in ('send', 'decision', 'fault')),
    phase varchar(32) character set utf8mb4 collate utf8mb4_bin,
    class varchar(32) character set utf8mb4 collate utf8mb4_bin,
    code bigint,
    enhanced varchar(32) character set utf8mb4 collate utf8mb4_bin,
    reply varchar(4000) character set utf8mb4 collate utf8mb4_bin,
    relay varchar(64) character set utf8mb4 collate utf8mb4_bin,
    verdict varchar(32) character set utf8mb4 collate utf8mb4_bin,
    reason varchar(4000) character set utf8mb4 collate utf8mb4_bin,
    delay_ms bigint,
    renderer_digest varchar(64) character set utf8mb4 collate utf8mb4_bin,
    renderer_revision bigint,
    policy_digest varchar(64) character set utf8mb4 collate utf8mb4_bin,
    policy_revision bigint,
    seed bigint,
    situation mediumtext character set utf8mb4 collate utf8mb4_bin,
    message_hash varchar(64) character set utf8mb4 collate utf8mb4_bin,
    repeats bigint not null,
    started_at bigint not null,
    ended_at bigint
) engine = innodb;
create index attempts_state on notification_attempts (state_id, id);
