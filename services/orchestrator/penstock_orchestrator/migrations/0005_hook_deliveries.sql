-- Deliveries of webhooks that were taken: each one leads to something once, whichever process of the api it comes to and however
-- often. Its id is not covered by the forge's signature, so the same body under another id is the same delivery too.
create table penstock_api.hook_delivery (
    provider text not null,
    repo text not null,
    delivery text not null,
    body_sha256 bytea not null,
    event text not null,
    received_at timestamptz not null default now(),
    primary key (repo, provider, delivery),
    unique (repo, provider, body_sha256)
);
create index hook_delivery_received_at on penstock_api.hook_delivery (received_at);
