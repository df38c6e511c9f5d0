-- Sessions that renew, products that are archived, users who leave, answers that are kept for retries.

alter table users add column deleted_at bigint;

alter table sessions add column renewed_at bigint;

alter table products add column archived_at bigint;
create index products_category on products (category(100), id);
create index products_price on products (price_amount, id);
create index products_name on products (name(100), id);

create index orders_status on orders (status, id);

-- What a request with an Idempotency-Key was answered, written in the transaction of what it did.
create table idempotency_keys (
    scope varchar(100) character set utf8mb4 collate utf8mb4_bin not null,
    name varchar(255) character set utf8mb4 collate utf8mb4_bin not null,
    fingerprint varchar(64) character set utf8mb4 collate utf8mb4_bin not null,
    answer mediumtext character set utf8mb4 collate utf8mb4_bin not null,
    created_at bigint not null,
    primary key (scope, name)
) engine = innodb;
create index idempotency_keys_age on idempotency_keys (created_at);
