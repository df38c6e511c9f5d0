-- Servers that are sent a request for each change of an order: of a user's own orders, or without a user of all. `secrets` is
-- encrypted under the hosts' secret. What one is sent is a notification in a lane of its own.
create table webhook_endpoints (
    id bigint not null auto_increment primary key,
    user_id bigint,
    url varchar(1000) character set utf8mb4 collate utf8mb4_bin not null,
    description varchar(200) character set utf8mb4 collate utf8mb4_bin not null,
    kinds text character set ascii not null,
    secrets text character set ascii not null,
    state varchar(20) character set ascii not null check (state in ('active', 'paused', 'disabled')),
    reason varchar(1000) character set utf8mb4 collate utf8mb4_bin not null,
    version bigint not null,
    last_place bigint not null default 0,
    failing_since bigint,
    failed_at bigint,
    failure varchar(1000) character set utf8mb4 collate utf8mb4_bin,
    delivered_at bigint,
    created_at bigint not null,
    updated_at bigint not null,
    deleted_at bigint
) engine = innodb;
create index webhook_endpoints_user on webhook_endpoints (user_id, id);
