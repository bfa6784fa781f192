-- The read model: a projection of the event log. Every row here can be dropped and comes back from the log, byte for byte;
-- so nothing here may come from the clock, from chance or from a person.
create schema penstock;

-- How far the projector has come; moves in the transaction that writes the rows.
create table penstock.projection (
    name text primary key,
    seq bigint not null
);

create table penstock.task (
    task text primary key,
    repo text not null,
    title text not null,
    description text not null,
    acceptance text not null,
    priority integer not null,
    labels text[] not null,
    vendor text not null,
    model text not null,
    flow text not null,
    submitted_by text not null,
    phase text not null,             -- queued preparing running verifying publishing parked blocked done failed cancelled
    outcome text,                    -- succeeded unverified no_change failed cancelled; null while the task lives
    attempt integer not null,
    attempts_max integer not null,
    host text,
    job text,                        -- the job that is asked for or running
    waiting_for text not null,       -- why it is not moving, in words; empty where it is at its end
    can_move text not null,          -- who or what can move it
    wake_at timestamptz,             -- when it moves by itself
    reason text,                     -- the class of the last failure, park or block
    message text,
    branch text,
    base_commit text,
    head_commit text,
    delivery_kind text,
    delivery_url text,
    patch_job text,                  -- the job under whose id the patch is stored
    patch jsonb,                     -- reference of the stored patch: name, size_bytes, sha256, chunks, media_type
    turns bigint not null,
    input_tokens bigint not null,
    output_tokens bigint not null,
    cost_usd double precision,       -- null: unknown
    wall_seconds double precision not null,
    submitted_at timestamptz not null,
    updated_at timestamptz not null,
    ended_at timestamptz,
    seq bigint not null              -- the last event folded into this row
);
create index task_by_age on penstock.task (submitted_at desc, task desc);
create index task_by_repo on penstock.task (repo, submitted_at desc, task desc);
create index task_by_phase on penstock.task (phase, submitted_at desc, task desc);

-- One row per job: prepare, agent, verify, publish.
create table penstock.step (
    job text primary key,
    task text not null,
    kind text not null,
    attempt integer not null,
    host text,
    epoch bigint,
    requested_at timestamptz not null,
    claimed_at timestamptz,
    ended_at timestamptz,
    ended text,                      -- succeeded failed lost stopped
    error_class text,
    message text,
    session_id text,
    vendor_version text,
    sandbox text,
    turns bigint,
    input_tokens bigint,
    output_tokens bigint,
    cost_usd double precision,
    wall_seconds double precision,
    commands jsonb                   -- verify: stage, command, exit_code, wall_seconds, tail, ended
);
create index step_by_task on penstock.step (task, requested_at, job);

-- The timeline: the very bytes of each event.
create table penstock.event (
    seq bigint primary key,
    event_id text not null,
    task text not null,
    repo text not null,
    type text not null,
    at timestamptz not null,
    body bytea not null
);
create index event_by_task on penstock.event (task, seq);
