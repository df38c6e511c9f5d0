-- Parts of orders: which pieces are sent, paid back and open, and what is in parcels (parts); what was paid, what was paid back, the
-- bill. An order that has not changed has none of it. The host alone knows which statuses there are.
-- MariaDB drops the check with the column's new definition; for MySQL it is a constraint of the table, and only MySQL reads that
-- comment.
alter table orders
    modify column status varchar(32) character set utf8mb4 collate utf8mb4_bin not null,
    /*!80016 drop check orders_chk_1, */
    add column taxes mediumtext character set utf8mb4 collate utf8mb4_bin,
    add column prices_include_tax bigint not null default 0,
    add column payment_due bigint,
    add column payment mediumtext character set utf8mb4 collate utf8mb4_bin,
    add column parts mediumtext character set utf8mb4 collate utf8mb4_bin,
    add column refunds mediumtext character set utf8mb4 collate utf8mb4_bin,
    add column invoice mediumtext character set utf8mb4 collate utf8mb4_bin,
    add column gift_message mediumtext character set utf8mb4 collate utf8mb4_bin,
    add column cancel_reason mediumtext character set utf8mb4 collate utf8mb4_bin;
-- A number is one order's, also after a corrected bill has taken its place.
create table invoice_numbers (
    number varchar(200) character set utf8mb4 collate utf8mb4_bin not null primary key,
    order_id bigint not null
) engine = innodb;
