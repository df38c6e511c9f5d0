-- What a notification tells stays; where it stands changes. Apart, an end rewrites a few bytes and not all of it.

create table notification_payloads (
    state_id integer primary key,
    payload text not null
);
insert into notification_payloads (state_id, payload) select id, payload from notification_states;
alter table notification_states drop column payload;
