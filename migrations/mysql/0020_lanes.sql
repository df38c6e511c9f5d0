-- Mails that are not about an order have lanes of their own: a lane is an order's number, or for what is about a customer a
-- negative number made of theirs. What is urgent is claimed before what is not.
alter table notification_states drop foreign key notification_states_ibfk_1;
alter table notification_states
    rename column order_id to lane,
    rename column order_version to place;
alter table notification_events_queue
    rename column order_id to lane,
    rename column order_version to place,
    rename index order_id to lanes,
    add column urgency bigint not null default 1,
    drop index q_due,
    add index q_due (urgency, due_at, state_id);
-- The place of a customer's last mail in their lanes.
alter table users add column last_place bigint not null default 0;
