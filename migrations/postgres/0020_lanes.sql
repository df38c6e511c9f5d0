-- Mails that are not about an order have lanes of their own: a lane is an order's number, or for what is about a customer a
-- negative number made of theirs. What is urgent is claimed before what is not.
alter table notification_states drop constraint notification_states_order_id_fkey;
alter table notification_states rename column order_id to lane;
alter table notification_states rename column order_version to place;
alter table notification_events_queue rename column order_id to lane;
alter table notification_events_queue rename column order_version to place;
alter table notification_events_queue add column urgency bigint not null default 1;
drop index q_due;
create index q_due on notification_events_queue (urgency, due_at, state_id);
-- The place of a customer's last mail in their lanes.
alter table users add column last_place bigint not null default 0;
