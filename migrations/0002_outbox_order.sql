-- Jobs about one issue go one after the other: finds the earlier ones.
CREATE INDEX outbox_issue ON outbox ((payload->>'repository_id'), (payload->>'issue'), id)
    WHERE state = 'new';
