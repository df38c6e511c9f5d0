-- While there is a row, no host claims a notification.

create table notification_pause (
    id integer primary key check (id = 1),
    since bigint not null,
    who text not null,
    why text not null
);
