-- Whose a claim is: a number of the host's run, and the claim's epoch. A host of before does not write it, and raises the epoch: what
-- it claims belongs to nobody.
alter table notification_events_queue add column holder bigint not null default 0;
-- The number of a host's run; 0 once its claims were given to others. And the process that it is, by which hosts of the same machine
-- know that it has ended.
alter table hosts add column holder bigint not null default 0;
alter table hosts add column machine text not null default '';
alter table hosts add column pid bigint not null default 0;
alter table hosts add column pid_started bigint not null default 0;
