-- Which variant of a mail its policy chose.
alter table notification_attempts add column ab_variant text;
