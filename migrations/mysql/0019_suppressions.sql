-- Addresses that get no more mails, or none of a category. Found by a keyed hash, which is all that is kept of an address whose
-- user has left.
create table mail_suppressions (
    id bigint not null auto_increment primary key,
    address_key bigint not null,
    address_hash varchar(64) character set ascii collate ascii_bin not null,
    address varchar(320) character set utf8mb4 collate utf8mb4_bin,
    category varchar(20) character set ascii not null,
    cause varchar(20) character set ascii not null,
    source varchar(100) character set utf8mb4 collate utf8mb4_bin not null,
    note varchar(1000) character set utf8mb4 collate utf8mb4_bin not null,
    created_at bigint not null,
    expires_at bigint,
    unique (address_hash, category, cause)
) engine = innodb;
create index suppressions_key on mail_suppressions (address_key);
create index suppressions_expiry on mail_suppressions (expires_at);
