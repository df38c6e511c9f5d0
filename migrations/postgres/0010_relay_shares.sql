-- What each host may use of what a relay takes from all of them, and how many mails it was given in a day.

-- Its one row is locked while shares are given out.
create table relay_lock (
    id bigint primary key
);
insert into relay_lock (id) values (1);

create table relay_shares (
    relay text not null,
    host text not null,
    connections bigint not null,
    per_second bigint not null,
    wants bigint not null,
    renewed_at bigint not null,
    primary key (relay, host)
);

create table relay_days (
    relay text not null,
    began_at bigint not null,
    mails bigint not null,
    primary key (relay, began_at)
);
