-- What other servers said of mails after a relay took them. A digest tells reports apart: who reports may do so twice.
create table notification_reports (
    id bigint not null auto_increment primary key,
    state_id bigint not null,
    digest varchar(64) character set ascii collate ascii_bin not null,
    kind varchar(20) character set ascii collate ascii_bin not null,
    enhanced varchar(20) character set ascii collate ascii_bin,
    words varchar(1000) character set utf8mb4 collate utf8mb4_bin not null,
    reporter varchar(100) character set utf8mb4 collate utf8mb4_bin not null,
    received_at bigint not null,
    unique (state_id, digest)
) engine = innodb;
create index reports_kind on notification_reports (kind, state_id);
