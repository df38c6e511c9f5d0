-- What a notification tells stays; where it stands changes. Apart, an end rewrites a few bytes and not all of it.

-- Before anything is read: a host of before could still be writing.
lock table notification_states in access exclusive mode;

-- On the row's own page up to 8 KiB, and never compressed: it is read once, soon.
create table notification_payloads (
    state_id bigint primary key,
    payload text not null
) with (toast_tuple_target = 8160);
alter table notification_payloads alter column payload set storage external;
insert into notification_payloads (state_id, payload) select id, payload from notification_states;
alter table notification_states drop column payload;
alter table notification_states reset (toast_tuple_target);
