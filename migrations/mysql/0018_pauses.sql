-- Parts of the queue that are paused: no host offers a mail to such a relay, or sends a mail of such a kind.
create table notification_part_pauses (
    part varchar(10) character set ascii not null check (part in ('relay', 'kind')),
    name varchar(100) character set utf8mb4 collate utf8mb4_bin not null,
    since bigint not null,
    who varchar(100) character set utf8mb4 collate utf8mb4_bin not null,
    why mediumtext character set utf8mb4 collate utf8mb4_bin not null,
    primary key (part, name)
) engine = innodb;
