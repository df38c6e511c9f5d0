-- Parts of orders: which pieces are sent, paid back and open, and what is in parcels (parts); what was paid, what was paid back, the
-- bill. An order that has not changed has none of it. The host alone knows which statuses there are.
alter table orders drop constraint orders_status_check;
alter table orders
    add column taxes text,
    add column prices_include_tax bigint not null default 0,
    add column payment_due bigint,
    add column payment text,
    add column parts text,
    add column refunds text,
    add column invoice text,
    add column gift_message text,
    add column cancel_reason text;
-- A number is one order's, also after a corrected bill has taken its place.
create table invoice_numbers (
    number text not null primary key,
    order_id bigint not null
);
