-- Bearer tokens of the api. Not a projection: these rows exist only here. The token itself is never stored.
create schema penstock_api;

create table penstock_api.token (
    id text primary key,
    secret_sha256 bytea not null,
    name text not null,
    role text not null check (role in ('viewer', 'operator', 'admin')),
    created_at timestamptz not null default now(),
    expires_at timestamptz,
    last_used_at timestamptz
);
