-- Which host forgets what is old: one at a time. Its one row is renewed while it works.
create table retention_lease (
    id bigint primary key,
    host text not null,
    until_at bigint not null
);
insert into retention_lease (id, host, until_at) values (1, '', 0);
