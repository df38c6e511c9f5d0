-- Signatures of components: added and never changed. Whether one is by a trusted key is asked when it matters.
create table plugin_signatures (
    digest varchar(64) character set utf8mb4 collate utf8mb4_bin not null references plugin_components (digest),
    -- SHA-256 of the content.
    hash varchar(64) character set utf8mb4 collate utf8mb4_bin not null,
    content mediumtext character set utf8mb4 collate utf8mb4_bin not null,
    created_at bigint not null,
    created_by varchar(100) character set utf8mb4 collate utf8mb4_bin not null,
    primary key (digest, hash)
);
