-- What the shop said to the customer about the newest change.
alter table orders add column note mediumtext character set utf8mb4 collate utf8mb4_bin;
