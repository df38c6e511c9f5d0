-- What is taken off orders by a code: a part (basis_points) or an amount in a currency, of the order or of some products.
create table discounts (
    id bigint not null auto_increment primary key,
    code varchar(40) character set ascii collate ascii_bin not null unique,
    label varchar(200) character set utf8mb4 collate utf8mb4_bin not null,
    basis_points bigint,
    amount bigint,
    currency varchar(3) character set ascii collate ascii_bin,
    products mediumtext character set utf8mb4 collate utf8mb4_bin not null,
    subtotal_min bigint,
    starts_at bigint,
    ends_at bigint,
    uses_max bigint,
    uses_per_customer_max bigint,
    uses bigint not null,
    version bigint not null,
    archived_at bigint,
    created_at bigint not null,
    updated_at bigint not null
) engine = innodb;
-- Which orders were given it. An order that is cancelled gives it back.
create table discount_uses (
    order_id bigint not null,
    discount_id bigint not null,
    user_id bigint not null,
    primary key (order_id, discount_id)
) engine = innodb;
create index uses_user on discount_uses (discount_id, user_id);
alter table orders add column discounts mediumtext character set utf8mb4 collate utf8mb4_bin;
alter table order_items add column discount bigint not null default 0;
