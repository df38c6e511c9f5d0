-- Who wants to hear when a product can be had again, and products that can: their alerts are told in batches.
create table stock_alerts (
    product_id bigint not null,
    user_id bigint not null,
    created_at bigint not null,
    primary key (product_id, user_id)
);
create index stock_alerts_user on stock_alerts (user_id);
create table restocked_products (
    product_id bigint primary key
);
