-- What other servers said of mails after a relay took them. A digest tells reports apart: who reports may do so twice.
create table notification_reports (
    id bigint generated always as identity primary key,
    state_id bigint not null,
    digest text not null,
    kind text not null,
    enhanced text,
    words text not null,
    reporter text not null,
    received_at bigint not null,
    unique (state_id, digest)
);
create index reports_kind on notification_reports (kind, state_id);
