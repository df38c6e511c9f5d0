-- Parts of orders: which pieces are sent, paid back and open (an array by line: sent, paid back, open), what was paid, what was
-- paid back, the bill. An order that has not changed has none of it. The host knows which statuses there are.
alter table orders add column taxes text;
alter table orders add column prices_include_tax bigint not null default 0;
alter table orders add column payment_due bigint;
alter table orders add column payment text;
alter table orders add column pieces text;
alter table orders add column refunds text;
alter table orders add column invoice text;
alter table orders add column gift_message text;
alter table orders add column cancel_reason text;
-- A number is one order's, also after a corrected bill has taken its place.
create table invoice_numbers (
    number text not null primary key,
    order_id bigint not null
);
-- Takes the check of the status away (https://www.sqlite.org/lang_altertable.html, section 7): a table that others refer to
-- cannot be written anew in a transaction. The tables made above have raised the schema's version, so that others read it again.
pragma writable_schema = on;
update sqlite_schema set sql = replace(sql, ' check (status in (''pending'', ''shipped'', ''delivered'', ''cancelled''))', '')
where type = 'table' and name = 'orders';
pragma writable_schema = reset;
