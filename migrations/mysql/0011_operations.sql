-- Long work of operators: installs, reloads and replays, with how far each is and what came of it.
create table plugin_operations (
    id bigint not null auto_increment primary key,
    kind varchar(100) character set utf8mb4 collate utf8mb4_bin not null check (kind in ('install', 'reload', 'replay')),
    slot varchar(100) character set utf8mb4 collate utf8mb4_bin not null,
    revision bigint,
    state varchar(100) character set utf8mb4 collate utf8mb4_bin not null check (state in ('running', 'succeeded', 'failed', 'cancelled')),
    -- 1: its host is to stop it.
    is_cancelled bigint not null,
    progress mediumtext character set utf8mb4 collate utf8mb4_bin not null,
    problem varchar(100) character set utf8mb4 collate utf8mb4_bin,
    detail mediumtext character set utf8mb4 collate utf8mb4_bin,
    created_at bigint not null,
    created_by varchar(100) character set utf8mb4 collate utf8mb4_bin not null,
    -- Its host writes it every few seconds while it runs.
    updated_at bigint not null
) engine = innodb;
create index plugin_operations_state on plugin_operations (state, updated_at);

-- Compiled code, sealed by the hosts' secret, under the name that its host, its version and its processor give it; in
-- parts of one MiB, so that no packet is too large.
create table plugin_code (
    name varchar(64) character set utf8mb4 collate utf8mb4_bin not null,
    part bigint not null,
    digest varchar(64) character set utf8mb4 collate utf8mb4_bin not null,
    version varchar(100) character set utf8mb4 collate utf8mb4_bin not null,
    content longblob not null,
    primary key (name, part)
) engine = innodb;
