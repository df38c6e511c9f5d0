-- An address that a link was followed of, and one that is to replace it once that has happened. Passwords are counted: a link
-- to set another one works for the one that it was made for.
alter table users add column email_verified_at bigint;
alter table users add column pending_email text;
alter table users add column password_no bigint not null default 0;

-- From which network a session was begun: a keyed hash.
alter table sessions add column network text;
create index sessions_network on sessions (user_id, network);

-- Who wants another password. Whether there is such a user is looked up afterwards, so that the answer cannot tell.
create table password_reset_requests (
    id integer primary key autoincrement,
    email text not null,
    created_at bigint not null
);

-- The last mails of users who have left: what they say is forgotten once they have ended.
create table farewells (
    state_id integer primary key
);
