-- Mails that are not about an order have lanes of their own: a lane is an order's number, or for what is about a customer a
-- negative number made of theirs. What is urgent is claimed before what is not. SQLite drops no constraint: the table is
-- written anew.
create table notification_lanes (
    id integer primary key autoincrement,
    lane bigint not null,
    place bigint not null,
    message_id text not null unique,
    kind text not null,
    state text not null check (state in ('not sent', 'sent', 'failed', 'skipped', 'held')),
    attempts bigint not null,
    reason text not null,
    created_at bigint not null,
    completed_at bigint,
    unique (lane, place)
);
insert into notification_lanes (id, lane, place, message_id, kind, state, attempts, reason, created_at, completed_at)
    select id, order_id, order_version, message_id, kind, state, attempts, reason, created_at, completed_at
    from notification_states order by id;
-- No number is given twice, not even that of a row that was deleted.
insert into sqlite_sequence (name, seq) select 'notification_lanes', 0
    where not exists (select 1 from sqlite_sequence where name = 'notification_lanes');
update sqlite_sequence
    set seq = coalesce((select s.seq from sqlite_sequence s where s.name = 'notification_states'), 0)
    where name = 'notification_lanes';
drop table notification_states;
alter table notification_lanes rename to notification_states;
create index states_unsent on notification_states (state, id) where state in ('failed', 'skipped', 'held');

alter table notification_events_queue rename column order_id to lane;
alter table notification_events_queue rename column order_version to place;
alter table notification_events_queue add column urgency bigint not null default 1;
drop index q_due;
create index q_due on notification_events_queue (urgency, due_at, state_id);
-- The place of a customer's last mail in their lanes.
alter table users add column last_place bigint not null default 0;
