// Every answer of the stand-in to a call that a bot makes, and every webhook body that follows, is
// judged by GitHub's own machine-readable descriptions.
import assert from 'node:assert/strict'
import { createSign } from 'node:crypto'
import { after, before, test } from 'node:test'
import { appId, caller, startGithub, startReceiver } from '../lib/github.mjs'
import { restJudge, webhookJudge } from '../lib/github_schema.mjs'

const rest = restJudge()
const hook = webhookJudge()
let github
let receiver
let person
let bot
let app
let installation
let complaints = []

const base64url = (value) => Buffer.from(JSON.stringify(value)).toString('base64url')
function jwt() {
    const now = Math.floor(Date.now() / 1000)
    const text = `${base64url({ alg: 'RS256', typ: 'JWT' })}.${base64url({
        iat: now - 60,
        exp: now + 540,
        iss: String(appId),
    })}`
    return `${text}.${createSign('RSA-SHA256').update(text).sign(github.privateKey, 'base64url')}`
}

// A caller whose answers are all judged.
function judged(token) {
    const call = caller(github.url, token)
    return async (method, where, body, want) => {
        const answer = await call(method, where, body)
        const path = where.replace(github.url, '')
        const found = rest.complaints(method, path, answer.status, answer.body)
        if (found?.length) complaints.push({ call: `${method} ${path} ${answer.status}`, found })
        if (want)
            assert.equal(answer.status, want, `${method} ${path}: ${JSON.stringify(answer.body)}`)
        return answer.body
    }
}

before(async () => {
    receiver = await startReceiver()
    github = await startGithub({ webhookUrl: receiver.url, args: ['--mergeable-lag', '0'] })
    const token = await github.user('alice', { name: 'Alice', email: 'alice@example.com' })
    await github.user('bob')
    await github.repo('alice/demo', {
        files: { 'README.md': 'hello\n', 'src/main.c': 'int main(void) {}\n' },
        collaborators: { bob: 'write' },
    })
    const made = await github.install('alice')
    installation = made.id
    person = judged(token)
    app = judged(jwt())
    const minted = await app('POST', `/app/installations/${installation}/access_tokens`, {}, 201)
    bot = judged(minted.token)
})
after(async () => {
    await github?.stop()
    receiver?.stop()
})

test('the judges are awake', () => {
    assert.notDeepEqual(rest.complaints('GET', '/repos/a/b', 200, { id: 1 }), [])
    assert.notDeepEqual(hook('issues', { action: 'opened' }), [])
})

test('apps', async () => {
    await app('GET', '/app', undefined, 200)
    await app('GET', '/app/installations', undefined, 200)
    await app('GET', `/app/installations/${installation}`, undefined, 200)
    await app('GET', '/repos/alice/demo/installation', undefined, 200)
    await app('GET', '/users/alice/installation', undefined, 200)
    await app('GET', '/app/hook/config', undefined, 200)
    await bot('GET', '/installation/repositories', undefined, 200)
    await app(
        'POST',
        `/app/installations/${installation}/access_tokens`,
        { repositories: ['demo'], permissions: { contents: 'read' } },
        201,
    )
    await app(
        'POST',
        `/app/installations/${installation}/access_tokens`,
        { repositories: ['nothing'] },
        422,
    )
})

test('repository, branches, refs, contents', async () => {
    await bot('GET', '/repos/alice/demo', undefined, 200)
    await person('GET', '/repos/alice/demo', undefined, 200)
    await bot('GET', '/repos/alice/demo/branches', undefined, 200)
    const main = await bot('GET', '/repos/alice/demo/branches/main', undefined, 200)
    const sha = main.commit.sha
    await bot('GET', '/repos/alice/demo/git/ref/heads/main', undefined, 200)
    await bot('GET', '/repos/alice/demo/git/ref/heads%2Fmain', undefined, 200)
    await bot('POST', '/repos/alice/demo/git/refs', { ref: 'refs/heads/task-9', sha }, 201)
    await bot('POST', '/repos/alice/demo/git/refs', { ref: 'refs/heads/task-9', sha }, 422)
    await bot('GET', '/repos/alice/demo/git/matching-refs/heads/task-', undefined, 200)
    const file = await bot('GET', '/repos/alice/demo/contents/README.md', undefined, 200)
    await bot('GET', '/repos/alice/demo/contents/src', undefined, 200)
    await bot('GET', '/repos/alice/demo/contents/absent', undefined, 404)
    const content = Buffer.from('more\n').toString('base64')
    await bot(
        'PUT',
        '/repos/alice/demo/contents/README.md',
        { message: 'docs: more', content, sha: file.sha, branch: 'task-9' },
        200,
    )
    await bot(
        'PUT',
        '/repos/alice/demo/contents/a/new.txt',
        { message: 'feat: new', content, branch: 'task-9' },
        201,
    )
    await bot('PUT', '/repos/alice/demo/contents/README.md', {
        ...{ message: 'x', content, sha: 'f'.repeat(40), branch: 'task-9' },
    })
    const commit = await bot('GET', '/repos/alice/demo/commits/task-9', undefined, 200)
    assert.equal(commit.commit.verification.verified, true, 'the App’s own commits are signed')
    await bot('GET', '/repos/alice/demo/commits', undefined, 200)
    const compared = await bot('GET', '/repos/alice/demo/compare/main...task-9', undefined, 200)
    assert.equal(compared.ahead_by, 2)
    const blob = await bot('POST', '/repos/alice/demo/git/blobs', { content: 'b' }, 201)
    await bot('GET', `/repos/alice/demo/git/blobs/${blob.sha}`, undefined, 200)
    const tree = await bot(
        'POST',
        '/repos/alice/demo/git/trees',
        {
            base_tree: commit.commit.tree.sha,
            tree: [{ path: 'b', mode: '100644', type: 'blob', sha: blob.sha }],
        },
        201,
    )
    await bot('GET', `/repos/alice/demo/git/trees/${tree.sha}?recursive=1`, undefined, 200)
    const made = await bot(
        'POST',
        '/repos/alice/demo/git/commits',
        { message: 'feat: b', tree: tree.sha, parents: [commit.sha] },
        201,
    )
    await bot('GET', `/repos/alice/demo/git/commits/${made.sha}`, undefined, 200)
    await bot('PATCH', '/repos/alice/demo/git/refs/heads/task-9', { sha: made.sha }, 200)
    await bot('PATCH', '/repos/alice/demo/git/refs/heads/task-9', { sha }, 422)
    await bot('DELETE', '/repos/alice/demo/git/refs/heads/task-9', undefined, 204)
    await bot('DELETE', '/repos/alice/demo/git/refs/heads/task-9', undefined, 422)
    await bot('GET', '/repos/alice/demo/collaborators/bob/permission', undefined, 200)
    await bot('GET', '/repos/alice/demo/collaborators/nobody/permission', undefined, 404)
    await bot('GET', '/users/squadbot%5Bbot%5D', undefined, 200)
    await person('GET', '/user', undefined, 200)
    await bot('GET', '/meta', undefined, 200)
    await bot('GET', '/rate_limit', undefined, 200)
})

test('issues', async () => {
    const issue = await person(
        'POST',
        '/repos/alice/demo/issues',
        { title: 'Add a page', body: 'please', labels: ['squadbot', 'docs'], assignees: ['bob'] },
        201,
    )
    const at = `/repos/alice/demo/issues/${issue.number}`
    await bot('GET', at, undefined, 200)
    await bot('GET', '/repos/alice/demo/issues?state=all&labels=docs', undefined, 200)
    await bot('POST', `${at}/reactions`, { content: 'eyes' }, 201)
    await bot('POST', `${at}/reactions`, { content: 'eyes' }, 200)
    const comment = await bot('POST', `${at}/comments`, { body: 'working' }, 201)
    assert.equal(comment.performed_via_github_app.slug, 'squadbot')
    await bot('PATCH', `/repos/alice/demo/issues/comments/${comment.id}`, { body: 'done' }, 200)
    await bot('GET', `/repos/alice/demo/issues/comments/${comment.id}`, undefined, 200)
    await bot('POST', `/repos/alice/demo/issues/comments/${comment.id}/reactions`, {
        content: 'rocket',
    })
    await bot('GET', `${at}/comments`, undefined, 200)
    await bot('POST', `${at}/labels`, { labels: ['running'] }, 200)
    await bot('DELETE', `${at}/labels/running`, undefined, 200)
    await bot('DELETE', `${at}/labels/running`, undefined, 404)
    await bot('POST', '/repos/alice/demo/labels', { name: 'x', color: 'ff0000' }, 201)
    await bot('POST', '/repos/alice/demo/labels', { name: 'x', color: 'ff0000' }, 422)
    await bot('GET', '/repos/alice/demo/labels', undefined, 200)
    await bot('POST', `${at}/assignees`, { assignees: ['alice', 'nobody'] }, 201)
    await bot('PATCH', at, { title: 'Add two pages' }, 200)
    await bot('DELETE', `/repos/alice/demo/issues/comments/${comment.id}`, undefined, 204)
    await bot('PATCH', `/repos/alice/demo/issues/comments/${comment.id}`, { body: 'x' }, 404)
    await person('PATCH', at, { state: 'closed', state_reason: 'not_planned' }, 200)
    await person('PATCH', at, { state: 'open' }, 200)
    await bot('GET', '/repos/alice/demo/issues/999', undefined, 404)
    await bot('POST', '/repos/alice/demo/issues', {}, 422)
})

test('pull requests, reviews, checks', async () => {
    const main = await bot('GET', '/repos/alice/demo/branches/main', undefined, 200)
    const ref = 'refs/heads/task-1'
    await bot('POST', '/repos/alice/demo/git/refs', { ref, sha: main.commit.sha }, 201)
    const open = { title: 'T', head: 'task-1', base: 'main', body: 'Closes #1' }
    const none = await bot('POST', '/repos/alice/demo/pulls', open, 422)
    assert.match(none.errors[0].message, /^No commits between main and task-1$/)
    await bot('POST', '/repos/alice/demo/pulls', { ...open, head: 'absent' }, 422)
    await bot(
        'PUT',
        '/repos/alice/demo/contents/page.md',
        { message: 'feat: page', content: 'aGk=', branch: 'task-1' },
        201,
    )
    const pull = await bot('POST', '/repos/alice/demo/pulls', { ...open, draft: true }, 201)
    const twice = await bot('POST', '/repos/alice/demo/pulls', open, 422)
    assert.match(twice.errors[0].message, /^A pull request already exists for alice:task-1\.$/)
    const at = `/repos/alice/demo/pulls/${pull.number}`
    await bot('GET', at, undefined, 200)
    await bot('GET', '/repos/alice/demo/pulls?head=alice:task-1&state=all', undefined, 200)
    await bot('PATCH', at, { title: 'T2', body: 'Fixes #1' }, 200)
    await bot('GET', `${at}/files`, undefined, 200)
    await bot('GET', `${at}/commits`, undefined, 200)
    await bot('GET', `${at}/merge`, undefined, 404)
    await bot('POST', `${at}/requested_reviewers`, { reviewers: ['bob'] }, 201)
    await bot('POST', `${at}/requested_reviewers`, { reviewers: ['nobody'] }, 422)
    await bot('DELETE', `${at}/requested_reviewers`, { reviewers: ['bob'] }, 200)
    await bot('GET', `/repos/alice/demo/commits/${pull.head.sha}/pulls`, undefined, 200)
    const check = await bot(
        'POST',
        '/repos/alice/demo/check-runs',
        {
            name: 'squadbot',
            head_sha: pull.head.sha,
            status: 'in_progress',
            output: { title: 'Running', summary: 'step 1' },
        },
        201,
    )
    await bot('PATCH', `/repos/alice/demo/check-runs/${check.id}`, { conclusion: 'success' }, 200)
    await bot('GET', `/repos/alice/demo/commits/${pull.head.sha}/check-runs`, undefined, 200)
    await person('POST', `/repos/alice/demo/statuses/${pull.head.sha}`, { state: 'success' }, 201)
    await person('GET', `/repos/alice/demo/commits/${pull.head.sha}/status`, undefined, 200)
    const review = await person('POST', `${at}/reviews`, {
        event: 'REQUEST_CHANGES',
        body: 'no',
        comments: [{ path: 'page.md', line: 1, body: 'here' }],
    })
    assert.equal(review.state, 'CHANGES_REQUESTED')
    await bot('GET', `${at}/reviews`, undefined, 200)
    const remarks = await bot('GET', `${at}/comments`, undefined, 200)
    await bot('POST', `${at}/comments/${remarks[0].id}/replies`, { body: 'mended' }, 201)
    await person('PUT', `${at}/merge`, {}, 405)
    await github.order('clock', { advance_s: 0 })
    const id = (await bot('GET', at, undefined, 200)).node_id
    const ready = await caller(github.url, await github.user('alice'))('POST', '/graphql', {
        query: 'mutation($id: ID!) { markPullRequestReadyForReview(input: {pullRequestId: $id}) { pullRequest { isDraft } } }',
        variables: { id },
    })
    assert.deepEqual(ready.body, {
        data: { markPullRequestReadyForReview: { pullRequest: { isDraft: false } } },
    })
    await person('PUT', `${at}/merge`, { sha: 'e'.repeat(40) }, 409)
    const merged = await person('PUT', `${at}/merge`, { merge_method: 'squash' }, 200)
    assert.equal(merged.merged, true)
    await bot('GET', `${at}/merge`, undefined, 204)
    const after = await bot('GET', at, undefined, 200)
    assert.equal(after.merged_by.login, 'alice')
    assert.equal((await bot('GET', '/repos/alice/demo/issues/1')).state, 'closed')
    await bot('DELETE', '/repos/alice/demo/git/refs/heads/task-1', undefined, 204)
})

test('rules', async () => {
    await github.order(
        'repos/alice/demo',
        {
            protection: [
                {
                    pattern: 'main',
                    kind: 'ruleset',
                    rules: [
                        { type: 'non_fast_forward' },
                        { type: 'deletion' },
                        {
                            type: 'pull_request',
                            parameters: {
                                dismiss_stale_reviews_on_push: false,
                                require_code_owner_review: false,
                                require_last_push_approval: false,
                                required_approving_review_count: 1,
                                required_review_thread_resolution: false,
                            },
                        },
                    ],
                },
            ],
        },
        'PATCH',
    )
    const rules = await bot('GET', '/repos/alice/demo/rules/branches/main', undefined, 200)
    assert.equal(rules.length, 3)
    assert.deepEqual(await bot('GET', '/repos/alice/demo/rules/branches/task-2'), [])
    await bot('GET', '/repos/alice/demo/rulesets', undefined, 200)
    await bot('GET', '/repos/alice/demo/branches/main', undefined, 200)
})

test('delivery log', async () => {
    const rows = await app('GET', '/app/hook/deliveries?per_page=5', undefined, 200)
    await app('GET', `/app/hook/deliveries/${rows[0].id}`, undefined, 200)
    await app('POST', `/app/hook/deliveries/${rows[0].id}/attempts`, undefined, 202)
})

test('no answer breaks the description', () => {
    assert.deepEqual(complaints, [])
    assert.ok(rest.seen.size > 70, `${rest.seen.size} kinds of answers were judged`)
})

test('no webhook breaks the description', async () => {
    await github.order('ping', {})
    await receiver.until('ping')
    for (const name of [
        ...['installation.created', 'issues.opened', 'issues.labeled', 'issues.unlabeled'],
        ...['issues.assigned', 'issues.edited', 'issues.closed', 'issues.reopened'],
        ...['issue_comment.created', 'issue_comment.edited', 'issue_comment.deleted'],
        ...['pull_request.opened', 'pull_request.edited', 'pull_request.closed'],
        ...['pull_request.ready_for_review', 'pull_request.review_requested'],
        ...['pull_request_review.submitted', 'pull_request_review_comment.created'],
        ...['check_run.created', 'check_run.completed', 'push', 'create', 'delete'],
    ])
        await receiver.until(name)
    const wrong = new Map()
    for (const row of receiver.got) {
        assert.ok(row.signed, `${receiver.name(row)} is signed`)
        const found = hook(row.event, row.payload)
        if (found.length) wrong.set(receiver.name(row), found.slice(0, 8))
    }
    assert.deepEqual(Object.fromEntries(wrong), {})
})
