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
    mode text not null,              -- autonomous interactive
    vendor text not null,            -- the one now at work, also after a failover
    model text not null,
    backup_vendor text,
    backup_model text,
    billing text not null,           -- api subscription
    account text not null,           -- the vendor account that the next run is charged to
    flow text not null,
    template text,
    submitted_by text not null,
    origin jsonb,                    -- where it came from when nobody asked by hand: kind, name, scheduled_for, missed
    retry_of text,
    continues_task text,
    depends_on text[] not null,
    depends_on_open text[] not null, -- those that have not ended yet
    admitted boolean not null,       -- it holds a slot of the queue
    admissions bigint not null,
    queued_at timestamptz not null,  -- since when it has been without a slot
    phase text not null,             -- queued preparing planning awaiting_approval running verifying publishing in_review
                                     -- parked blocked done failed cancelled
    outcome text,                    -- succeeded unverified no_change failed cancelled; null while the task lives
    attempt integer not null,
    attempts_max integer not null,
    host text,
    job text,                        -- the job that is asked for or running
    score double precision,          -- before money is spent, 0 to 100; null: not scored
    confidence text,                 -- low medium high
    forecast jsonb,                  -- samples, chance, wall_seconds, turns
    signals jsonb,                   -- source, value, weight, why
    gate_warnings text[] not null,
    plan_number bigint,              -- of the last plan
    plan_state text,                 -- waiting commented approved rejected unanswered
    decisions_open integer not null, -- questions of the agent that wait for a person
    escalations integer not null,
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
    review jsonb,                    -- of a pull request that is followed: what was seen, and the fix runs
    patch_job text,                  -- the job under whose id the patch is stored
    patch jsonb,                     -- reference of the stored patch: name, size_bytes, sha256, chunks, media_type
    turns bigint not null,
    input_tokens bigint not null,
    output_tokens bigint not null,
    cost_usd double precision,       -- null: unknown; the run at work is counted as far as it has reported
    cost_at_least_usd double precision not null,
    max_cost_usd double precision,
    wall_seconds double precision not null,
    max_wall_seconds double precision not null,
    budget_warned text[] not null,   -- cost wall
    submitted_at timestamptz not null,
    updated_at timestamptz not null,
    ended_at timestamptz,
    seq bigint not null              -- the last event folded into this row
);
create index task_by_age on penstock.task (submitted_at desc, task desc);
create index task_by_repo on penstock.task (repo, submitted_at desc, task desc);
create index task_by_phase on penstock.task (phase, submitted_at desc, task desc);

-- One row per job: prepare, plan, agent, compact, verify, publish.
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
    commands jsonb,                  -- verify: stage, command, exit_code, wall_seconds, tail, ended
    transcript jsonb                 -- what an agent printed: name, size_bytes, sha256, chunks, media_type
);
create index step_by_task on penstock.step (task, requested_at, job);

-- What an agent proposed to do, and what people said of it.
create table penstock.plan (
    job text primary key,            -- the run that proposed it
    task text not null,
    number bigint not null,
    state text not null,             -- waiting commented approved rejected unanswered
    plan jsonb not null,             -- summary, approach, steps, files_to_touch, risks, risk, acceptance_check
    comments jsonb not null,         -- comment, commented_by, via, at
    answered_by text,
    via text,
    reason text,
    silence text,                    -- park deny approve: what was made of it that nobody had answered
    proposed_at timestamptz not null,
    answered_at timestamptz,
    seq bigint not null              -- of the proposal
);
create index plan_by_task on penstock.plan (task, seq);

-- Messages to a task's agent.
create table penstock.message (
    task text not null,
    message text not null,
    sender text not null,
    from_task text,                  -- the task whose agent wrote it; null for a person
    text text not null,
    job text,                        -- the run that was told last
    accepted_at timestamptz not null,
    delivered_at timestamptz,
    consumed_at timestamptz,
    seq bigint not null,             -- of its acceptance
    primary key (task, message)
);
create index message_by_task on penstock.message (task, seq);

-- Questions of an agent to a person.
create table penstock.decision (
    task text not null,
    decision text not null,
    job text not null,               -- the run that raised it
    subject text not null,
    question text not null,
    options text[] not null,
    answer text,
    answered_by text,
    via text,
    raised_at timestamptz not null,
    answered_at timestamptz,
    delivered_at timestamptz,        -- when a run was told the answer
    consumed_at timestamptz,
    seq bigint not null,             -- of the question
    primary key (task, decision)
);
create index decision_by_task on penstock.decision (task, seq);

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
