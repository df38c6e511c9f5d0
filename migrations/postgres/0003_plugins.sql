-- Components, their revisions and who serves. A component is what its SHA-256 says; a revision is a component with its
-- config; both are only ever added. Which revision serves is in plugin_slots, and how it came to that in the history.

alter table users add column role text check (role in ('viewer', 'operator'));

create table plugin_components (
    digest text primary key,
    bytes bigint not null,
    metadata text not null,
    created_at bigint not null,
    created_by text not null
);

-- Parts of one MiB, so that no packet is too large.
create table plugin_parts (
    digest text not null references plugin_components (digest),
    part bigint not null,
    content bytea not null,
    primary key (digest, part)
);

create table plugin_revisions (
    id bigint primary key generated always as identity,
    slot text not null check (slot in ('renderer', 'policy')),
    digest text not null references plugin_components (digest),
    config text not null,
    config_hash text not null,
    origin text not null,
    rests text not null check (rests in ('ready', 'retired', 'quarantined')),
    report text not null,
    why text not null,
    created_at bigint not null,
    created_by text not null
);
create index plugin_revisions_slot on plugin_revisions (slot, digest, config_hash);

-- Raised version: another routing. A null revision: the built-in of the host.
create table plugin_slots (
    slot text primary key,
    version bigint not null,
    active bigint references plugin_revisions (id),
    previous bigint references plugin_revisions (id),
    shadow bigint references plugin_revisions (id),
    canary bigint references plugin_revisions (id),
    percent bigint not null,
    plan text not null,
    changed_at bigint not null
);
insert into plugin_slots (slot, version, percent, plan, changed_at) values ('renderer', 1, 0, '', 0), ('policy', 1, 0, '', 0);

create table plugin_history (
    id bigint primary key generated always as identity,
    slot text not null,
    version bigint not null,
    revision bigint,
    action text not null,
    percent bigint not null,
    why text not null,
    created_at bigint not null,
    created_by text not null
);
create index plugin_history_slot on plugin_history (slot, id);
