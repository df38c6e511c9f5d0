-- Signatures of components: added and never changed. Whether one is by a trusted key is asked when it matters.
create table plugin_signatures (
    digest text not null references plugin_components (digest),
    -- SHA-256 of the content.
    hash text not null,
    content text not null,
    created_at bigint not null,
    created_by text not null,
    primary key (digest, hash)
);
