-- Addresses that get no more mails, or none of a category. Found by a keyed hash, which is all that is kept of an address whose
-- user has left.
create table mail_suppressions (
    id integer primary key autoincrement,
    address_key bigint not null,
    address_hash text not null,
    address text,
    category text not null,
    cause text not null,
    source text not null,
    note text not null,
    created_at bigint not null,
    expires_at bigint,
    unique (address_hash, category, cause)
);
create index suppressions_key on mail_suppressions (address_key);
create index suppressions_expiry on mail_suppressions (expires_at);
