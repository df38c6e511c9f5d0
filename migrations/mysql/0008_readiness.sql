-- Hosts write a row here and take it away again, to see whether the database can be written to.

create table readiness_probes (
    id bigint primary key auto_increment,
    filler mediumtext character set utf8mb4 collate utf8mb4_bin not null
) engine = innodb;
