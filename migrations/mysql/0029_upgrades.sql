-- The oldest program, by the number of its schema, that works on this schema: those that are older do not start on it.
create table schema_programs (
    id bigint not null primary key,
    oldest bigint not null
) engine = innodb;
insert into schema_programs (id, oldest) values (1, 28);
-- Which schema a host's program knows; hosts of before do not say.
alter table hosts add column schema_known bigint not null default 28;
