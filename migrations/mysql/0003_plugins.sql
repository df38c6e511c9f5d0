-- Components, their revisions and who serves. A component is what its SHA-256 says; a revision is a component with its
-- config; both are only ever added. Which revision serves is in plugin_slots, and how it came to that in the history.

alter table users add column role varchar(20) character set utf8mb4 collate utf8mb4_bin check (role in ('viewer', 'operator'));

create table plugin_components (
    digest varchar(64) character set utf8mb4 collate utf8mb4_bin primary key,
    bytes bigint not null,
    metadata mediumtext character set utf8mb4 collate utf8mb4_bin not null,
    created_at bigint not null,
    created_by varchar(100) character set utf8mb4 collate utf8mb4_bin not null
);

-- Parts of one MiB, so that no packet is too large.
create table plugin_parts (
    digest varchar(64) character set utf8mb4 collate utf8mb4_bin not null references plugin_components (digest),
    part bigint not null,
    content longblob not null,
    primary key (digest, part)
);

create table plugin_revisions (
    id bigint not null auto_increment primary key,
    slot varchar(100) character set utf8mb4 collate utf8mb4_bin not null check (slot in ('renderer', 'policy')),
    digest varchar(64) character set utf8mb4 collate utf8mb4_bin not null references plugin_components (digest),
    config mediumtext character set utf8mb4 collate utf8mb4_bin not null,
    config_hash varchar(64) character set utf8mb4 collate utf8mb4_bin not null,
    origin mediumtext character set utf8mb4 collate utf8mb4_bin not null,
    rests varchar(100) character set utf8mb4 collate utf8mb4_bin not null check (rests in ('ready', 'retired', 'quarantined')),
    report mediumtext character set utf8mb4 collate utf8mb4_bin not null,
    why mediumtext character set utf8mb4 collate utf8mb4_bin not null,
    created_at bigint not null,
    created_by varchar(100) character set utf8mb4 collate utf8mb4_bin not null
);
create index plugin_revisions_slot on plugin_revisions (slot, digest, config_hash);

-- Raised version: another routing. A null revision: the built-in of the host.
create table plugin_slots (
    slot varchar(100) character set utf8mb4 collate utf8mb4_bin primary key,
    version bigint not null,
    active bigint references plugin_revisions (id),
    previous bigint references plugin_revisions (id),
    shadow bigint references plugin_revisions (id),
    canary bigint references plugin_revisions (id),
    percent bigint not null,
    plan mediumtext character set utf8mb4 collate utf8mb4_bin not null,
    changed_at bigint not null
);
insert into plugin_slots (slot, version, percent, plan, changed_at) values ('renderer', 1, 0, '', 0), ('policy', 1, 0, '', 0);

create table plugin_history (
    id bigint not null auto_increment primary key,
    slot varchar(100) character set utf8mb4 collate utf8mb4_bin not null,
    version bigint not null,
    revision bigint,
    action varchar(100) character set utf8mb4 collate utf8mb4_bin not null,
    percent bigint not null,
    why mediumtext character set utf8mb4 collate utf8mb4_bin not null,
    created_at bigint not null,
    created_by varchar(100) character set utf8mb4 collate utf8mb4_bin not null
);
create index plugin_history_slot on plugin_history (slot, id);
