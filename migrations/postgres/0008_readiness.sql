-- Hosts write a row here and take it away again, to see whether the database can be written to.

create table readiness_probes (
    id bigint generated always as identity primary key,
    filler text not null
);
