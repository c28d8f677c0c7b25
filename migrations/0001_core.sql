-- The spine: inbox → intents (outbox) → tasks → steps → events, plus sandboxes and installations.
-- What the schema can defend, it defends: identity of deliveries, one live task per subject, one
-- live owner per branch, legal states, no resurrection of finished tasks.

-- One id for all replicas on this database: marks our sandboxes at E2B.
CREATE TABLE instance (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    id  uuid NOT NULL DEFAULT gen_random_uuid()
);
INSERT INTO instance DEFAULT VALUES;

CREATE TYPE inbox_source AS ENUM ('github', 'tasks');
CREATE TYPE inbox_state AS ENUM ('new', 'done', 'ignored', 'dead');

-- Every accepted delivery, raw. The body stays bytes: JSON may hold \u0000, which jsonb refuses.
CREATE TABLE inbox (
    id          bigint GENERATED ALWAYS AS IDENTITY,
    source      inbox_source NOT NULL,
    swept       boolean NOT NULL DEFAULT false, -- found in GitHub's delivery log, same identity
    guid        text COLLATE "C" NOT NULL CHECK (length(guid) BETWEEN 1 AND 200),
    event       text NOT NULL CHECK (length(event) BETWEEN 1 AND 100),
    state       inbox_state NOT NULL DEFAULT 'new',
    received_at timestamptz NOT NULL DEFAULT now(),
    run_at      timestamptz NOT NULL DEFAULT now(),
    done_at     timestamptz,
    signature   bytea CHECK (signature IS NULL OR length(signature) = 32),
    error       text,
    body        bytea COMPRESSION lz4 NOT NULL,
    PRIMARY KEY (guid, source)
);
CREATE INDEX inbox_new ON inbox (id) WHERE state = 'new';

-- A delivery that leads to intents is remembered by its signature too: the GUID header is not
-- signed, so a captured request could come again under another GUID.
CREATE TABLE inbox_acted (
    signature bytea PRIMARY KEY CHECK (length(signature) = 32),
    guid      text NOT NULL,
    at        timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE installations (
    id            bigint PRIMARY KEY,
    account_login text NOT NULL,
    account_id    bigint NOT NULL,
    account_type  text NOT NULL,
    permissions   jsonb NOT NULL DEFAULT '{}',
    events        jsonb NOT NULL DEFAULT '[]',
    suspended_at  timestamptz,
    deleted_at    timestamptz,
    updated_at    timestamptz NOT NULL DEFAULT now()
);

CREATE TYPE task_state AS ENUM ('queued', 'running', 'waiting', 'succeeded', 'no_changes', 'failed',
                                'cancelled', 'needs_human');

CREATE FUNCTION task_is_live(s task_state) RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN s IN ('queued', 'running', 'waiting');

CREATE TABLE task_executions (
    id                text PRIMARY KEY CHECK (id ~ '^[A-Za-z0-9._-]{1,64}$' AND id !~ '\.\.|\.lock$'),
    state             task_state NOT NULL DEFAULT 'queued',
    step              text,
    source            text NOT NULL CHECK (source IN ('label', 'comment', 'event', 'api', 'retry', 'sweep')),
    installation_id   bigint, -- NULL with GITHUB_TOKEN
    repository_id     bigint NOT NULL,
    repository        text NOT NULL,
    issue             integer CHECK (issue > 0),
    title             text NOT NULL,
    description       text NOT NULL DEFAULT '',
    requested_by      text,
    requested_by_id   bigint,
    trigger_comment   bigint,
    base              text,
    base_sha          text CHECK (base_sha ~ '^[0-9a-f]{40}([0-9a-f]{24})?$'),
    git_branch        text CHECK (git_branch ~ '^task-[A-Za-z0-9._-]+$'),
    head_sha          text CHECK (head_sha ~ '^[0-9a-f]{40}([0-9a-f]{24})?$'),
    commit_history    jsonb NOT NULL DEFAULT '[]',
    facts             jsonb NOT NULL DEFAULT '{}',
    pull_request      integer CHECK (pull_request > 0),
    pull_request_url  text,
    pull_request_state text CHECK (pull_request_state IN ('draft', 'open', 'merged', 'closed')),
    branch_deleted_at timestamptz,
    status_comment    bigint,
    sandbox_id        uuid,
    agent             text,
    squad             text,
    reviewers         jsonb NOT NULL DEFAULT '[]',
    limits            jsonb NOT NULL DEFAULT '{}',
    metadata          jsonb NOT NULL DEFAULT '{}',
    attempt           integer NOT NULL DEFAULT 1,
    crashes           integer NOT NULL DEFAULT 0,
    error_kind        text,
    error_message     text,
    cost_usd          numeric(14, 6) NOT NULL DEFAULT 0 CHECK (cost_usd >= 0),
    tokens_input      bigint NOT NULL DEFAULT 0,
    tokens_output     bigint NOT NULL DEFAULT 0,
    patch             bytea COMPRESSION lz4,
    cancel_requested  boolean NOT NULL DEFAULT false,
    cancel_reason     text,
    lease_owner       text,
    lease_epoch       bigint NOT NULL DEFAULT 0,
    lease_until       timestamptz,
    run_at            timestamptz NOT NULL DEFAULT now(),
    created_at        timestamptz NOT NULL DEFAULT now(),
    started_at        timestamptz,
    finished_at       timestamptz,
    CHECK (task_is_live(state) = (finished_at IS NULL)),
    CHECK (state <> 'running' OR (lease_owner IS NOT NULL AND lease_until IS NOT NULL))
) WITH (fillfactor = 80);
-- One live task an issue, one live owner a branch.
CREATE UNIQUE INDEX task_live_issue ON task_executions (repository_id, issue)
    WHERE task_is_live(state) AND issue IS NOT NULL;
CREATE UNIQUE INDEX task_live_branch ON task_executions (repository_id, git_branch)
    WHERE task_is_live(state) AND git_branch IS NOT NULL;
CREATE INDEX task_queued ON task_executions (run_at, created_at, id) WHERE state = 'queued';
-- Not over lease_until: a heartbeat then needs no new index entry.
CREATE INDEX task_running ON task_executions (lease_owner) WHERE state = 'running';
CREATE INDEX task_created ON task_executions (created_at DESC, id DESC);
CREATE INDEX task_state_created ON task_executions (state, created_at DESC, id DESC);
CREATE INDEX task_repository_created ON task_executions (repository, created_at DESC, id DESC);
CREATE INDEX task_squad_created ON task_executions (squad, created_at DESC, id DESC)
    WHERE squad IS NOT NULL;
CREATE INDEX task_branch ON task_executions (repository_id, git_branch, created_at DESC)
    WHERE git_branch IS NOT NULL;
CREATE INDEX task_pull_request ON task_executions (repository_id, pull_request)
    WHERE pull_request IS NOT NULL;
CREATE INDEX task_issue ON task_executions (repository_id, issue) WHERE issue IS NOT NULL;

-- The only legal moves. Finished is finished; "retry" makes a finished task queued again as a new
-- attempt, which is a deliberate act and says so by raising attempt.
CREATE FUNCTION task_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.state = OLD.state THEN
        RETURN NEW;
    END IF;
    IF (OLD.state = 'queued' AND NEW.state IN ('running', 'cancelled', 'failed', 'needs_human'))
       OR (OLD.state = 'running' AND NEW.state <> 'running')
       OR (OLD.state = 'waiting' AND NEW.state IN ('queued', 'running', 'cancelled', 'failed', 'needs_human'))
       OR (NOT task_is_live(OLD.state) AND NEW.state = 'queued' AND NEW.attempt > OLD.attempt)
    THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'task %: illegal move from % to %', OLD.id, OLD.state, NEW.state
        USING ERRCODE = 'check_violation';
END $$;
CREATE TRIGGER task_guard BEFORE UPDATE OF state ON task_executions
    FOR EACH ROW EXECUTE FUNCTION task_guard();

CREATE TYPE step_state AS ENUM ('started', 'done', 'failed');

-- The journal: the intent row is committed before the effect, the result after it.
CREATE TABLE task_steps (
    task_id     text NOT NULL REFERENCES task_executions ON DELETE CASCADE,
    attempt     integer NOT NULL,
    name        text NOT NULL,
    state       step_state NOT NULL,
    tries       integer NOT NULL DEFAULT 1,
    epoch       bigint NOT NULL,
    intent      jsonb NOT NULL DEFAULT '{}',
    result      jsonb NOT NULL DEFAULT '{}',
    error       text,
    started_at  timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz,
    PRIMARY KEY (task_id, attempt, name)
);

-- What happened, in order, for streams and people. A log line is an event of kind 'log'.
CREATE TABLE task_events (
    id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    task_id text NOT NULL REFERENCES task_executions ON DELETE CASCADE,
    kind    text NOT NULL,
    at      timestamptz NOT NULL DEFAULT now(),
    data    jsonb NOT NULL
);
CREATE INDEX task_events_task ON task_events (task_id, id);

-- How far the agent's log was stored: moves in the same transaction as the lines.
CREATE TABLE task_log_position (
    task_id text NOT NULL REFERENCES task_executions ON DELETE CASCADE,
    attempt integer NOT NULL,
    stream  text NOT NULL,
    bytes   bigint NOT NULL CHECK (bytes >= 0),
    PRIMARY KEY (task_id, attempt, stream)
);

CREATE TYPE sandbox_status AS ENUM ('CREATED', 'RUNNING', 'PAUSED', 'TERMINATED', 'ERROR');

CREATE TABLE sandboxes (
    id            uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    nonce         text NOT NULL UNIQUE, -- in the sandbox's metadata: finds it after a lost answer
    e2b_id        text UNIQUE,
    status        sandbox_status NOT NULL DEFAULT 'CREATED',
    repository    text,
    repository_id bigint,
    task_id       text REFERENCES task_executions ON DELETE SET NULL,
    agent_id      text,
    template      text NOT NULL,
    cpu_count     integer,
    memory_mb     integer,
    metadata      jsonb NOT NULL DEFAULT '{}',
    cost_usd      numeric(14, 6) NOT NULL DEFAULT 0,
    created_at    timestamptz NOT NULL DEFAULT now(),
    last_used_at  timestamptz NOT NULL DEFAULT now(),
    expires_at    timestamptz,
    terminated_at timestamptz
);
CREATE INDEX sandboxes_task ON sandboxes (task_id);
CREATE INDEX sandboxes_status ON sandboxes (status);
-- A task owns at most one live sandbox.
CREATE UNIQUE INDEX sandboxes_live_task ON sandboxes (task_id)
    WHERE status IN ('CREATED', 'RUNNING', 'PAUSED') AND task_id IS NOT NULL;

ALTER TABLE task_executions ADD FOREIGN KEY (sandbox_id) REFERENCES sandboxes ON DELETE SET NULL;

CREATE TYPE outbox_state AS ENUM ('new', 'done', 'dead');

-- Small durable jobs that talk to the outside: admit a trigger, answer a command, delete a merged
-- branch. The key makes a repeated intent harmless.
CREATE TABLE outbox (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    key         text NOT NULL UNIQUE,
    kind        text NOT NULL,
    payload     jsonb NOT NULL,
    state       outbox_state NOT NULL DEFAULT 'new',
    attempts    integer NOT NULL DEFAULT 0,
    lease_owner text,
    run_at      timestamptz NOT NULL DEFAULT now(), -- a claim moves it to the lease's end
    error       text,
    created_at  timestamptz NOT NULL DEFAULT now(),
    done_at     timestamptz
);
CREATE INDEX outbox_new ON outbox (run_at, id) WHERE state = 'new';
