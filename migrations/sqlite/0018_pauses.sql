-- Parts of the queue that are paused: no host offers a mail to such a relay, or sends a mail of such a kind.
create table notification_part_pauses (
    part text not null check (part in ('relay', 'kind')),
    name text not null,
    since bigint not null,
    who text not null,
    why text not null,
    primary key (part, name)
);
