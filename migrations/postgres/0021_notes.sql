-- What the shop said to the customer about the newest change.
alter table orders add column note text;
