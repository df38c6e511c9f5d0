-- While there is a row, no host claims a notification.

create table notification_pause (
    id bigint primary key check (id = 1),
    since bigint not null,
    who varchar(100) character set utf8mb4 collate utf8mb4_bin not null,
    why mediumtext character set utf8mb4 collate utf8mb4_bin not null
) engine = innodb;
