// How the stand-in misbehaves on order: limits, lost and late webhooks, broken answers; and the
// refusals of the API that depend on the state of things.
import assert from 'node:assert/strict'
import { createSign } from 'node:crypto'
import { after, before, beforeEach, test } from 'node:test'
import { appId, caller, startGithub, startReceiver } from '../lib/github.mjs'

let github
let receiver
let person
let bot
let app
let installation

function jwt() {
    const part = (o) => Buffer.from(JSON.stringify(o)).toString('base64url')
    const now = Math.floor(Date.now() / 1000)
    const text = `${part({ alg: 'RS256' })}.${part({ iat: now - 60, exp: now + 500, iss: appId })}`
    return `${text}.${createSign('RSA-SHA256').update(text).sign(github.privateKey, 'base64url')}`
}
async function idle(limitMs = 10000) {
    const end = Date.now() + limitMs
    for (;;) {
        if ((await github.order('webhooks', {})).idle) return
        if (Date.now() > end) throw new Error('deliveries are still under way')
        await new Promise((resolve) => setTimeout(resolve, 20))
    }
}

before(async () => {
    receiver = await startReceiver()
    github = await startGithub({ webhookUrl: receiver.url, args: ['--mergeable-lag', '0'] })
    person = caller(github.url, await github.user('alice'))
    await github.user('bob')
    await github.repo('alice/demo', {
        files: { 'a.txt': 'one\ntwo\n' },
        collaborators: { bob: 'triage' },
    })
    installation = (await github.install('alice')).id
    app = caller(github.url, jwt())
    const minted = await app('POST', `/app/installations/${installation}/access_tokens`, {})
    bot = caller(github.url, minted.body.token)
})
beforeEach(async () => {
    await idle()
    await github.clearFaults()
    receiver.clear()
    receiver.state.status = 202
})
after(async () => {
    await github?.stop()
    receiver?.stop()
})
const issue = (title = 'x', more = {}) =>
    person('POST', '/repos/alice/demo/issues', { title, ...more })

test('headers that every request needs', async () => {
    const bare = await person('GET', '/user', undefined, { 'User-Agent': '' })
    assert.equal(bare.status, 403)
    assert.match(bare.body.message, /administrative rules/)
    const version = (v) => bot('GET', '/repos/alice/demo', undefined, { 'X-GitHub-Api-Version': v })
    assert.equal((await version('2001-01-01')).status, 400)
    assert.equal((await version('2022-11-28')).body.has_downloads, true)
    assert.equal((await version('2026-03-10')).body.has_downloads, undefined)
    assert.equal((await bot('GET', '/repos/alice/demo/')).status, 404)
    assert.equal((await bot('GET', '/api/v3/repos/alice/demo')).status, 200)
    assert.match((await bot('GET', '/meta')).headers.get('x-github-request-id'), /^[0-9a-f:]+$/)
})

test('rate limits', async () => {
    await github.order('limits', { remaining: 1, reset_in_s: 30 })
    const last = await bot('GET', '/repos/alice/demo')
    assert.equal(last.headers.get('x-ratelimit-remaining'), '0')
    const over = await bot('GET', '/repos/alice/demo')
    assert.equal(over.status, 403)
    assert.match(over.body.message, /^API rate limit exceeded for installation ID/)
    const reset = Number(over.headers.get('x-ratelimit-reset'))
    assert.ok(Math.abs(reset - Date.now() / 1000 - 30) < 5)
    assert.equal((await bot('GET', '/rate_limit')).body.resources.core.remaining, 0, 'and is free')
    const graph = await bot('POST', '/graphql', { query: '{ viewer { login } }' })
    assert.deepEqual([graph.status, graph.body.errors[0].type], [200, 'RATE_LIMITED'])
    await github.order('clock', { advance_s: 31 })
    assert.equal((await bot('GET', '/repos/alice/demo')).status, 200, 'the hour is over')

    await github.order('limits', { secondary: { times: 2, retry_after: 7 } })
    const one = await bot('GET', '/repos/alice/demo')
    assert.equal(one.status, 403)
    assert.equal(one.headers.get('retry-after'), '7')
    assert.match(one.body.message, /secondary rate limit/)
    await bot('GET', '/repos/alice/demo')
    assert.equal((await bot('GET', '/repos/alice/demo')).status, 200)
    await github.order('limits', { secondary: { times: 1, status: 429 } })
    const two = await bot('GET', '/repos/alice/demo')
    assert.deepEqual([two.status, two.headers.get('retry-after')], [429, null])
    await github.order('limits', { limit: 0 })
    const none = await bot('GET', '/repos/alice/demo')
    assert.equal(none.headers.get('x-ratelimit-limit'), null, 'as on GHES')
    await github.order('limits', { limit: 5000, remaining: 5000 })
    await github.order('clock', { advance_s: -31 })
})

test('faults and the ledger', async () => {
    await github.clearLedger()
    await github.faults([
        { match: 'POST /repos/*/issues', times: 1, action: 'status', status: 502, body: { message: 'Server Error' } },
        { match: 'GET /repos/alice/demo', times: 1, action: 'reset' },
        { match: 'POST /repos/*/comments', times: 1, action: 'lost' },
        { match: 'GET /user', times: 1, action: 'cut', after_bytes: 10 },
    ])
    assert.equal((await issue('first')).status, 502)
    const made = await issue('second')
    assert.equal(made.status, 201)
    await assert.rejects(bot('GET', '/repos/alice/demo'))
    const at = `/repos/alice/demo/issues/${made.body.number}/comments`
    await assert.rejects(bot('POST', at, { body: 'done though' }))
    assert.equal((await bot('GET', at)).body.length, 1, 'the lost answer’s work was done')
    await assert.rejects(person('GET', '/user'))
    const rows = (await github.ledger()).filter((row) => row.method === 'POST')
    assert.deepEqual(
        rows.map((row) => [row.path, row.status, row.login, row.body?.title ?? row.body?.body]),
        [
            ['/repos/alice/demo/issues', 502, undefined, 'first'],
            ['/repos/alice/demo/issues', 201, 'alice', 'second'],
            [at, 201, 'squadbot[bot]', 'done though'],
        ],
    )
    assert.equal(rows[2].fault, 'lost')
    assert.equal(rows[2].installation, installation)
})

test('webhooks: held, reversed, doubled, forged, dropped, forgotten', async () => {
    await github.order('webhooks', { hold: true })
    await issue('held', { labels: ['squadbot', 'docs'] })
    assert.deepEqual(receiver.names(), [])
    await github.order('webhooks', { hold: false, release: 'reverse' })
    await receiver.until('issues.opened')
    await idle()
    assert.deepEqual(receiver.names(), ['issues.labeled', 'issues.labeled', 'issues.opened'])

    receiver.clear()
    await github.order('webhooks', { duplicate: 1, match: 'issues.opened' })
    await issue('twice')
    const rows = await receiver.until('issues.opened', 2)
    assert.equal(rows[0].guid, rows[1].guid)

    receiver.clear()
    await github.order('webhooks', { bad_signature: 1 })
    await issue('forged')
    assert.equal((await receiver.until('issues.opened'))[0].signed, false)

    await github.order('webhooks', { drop: 1, forget: 0 })
    await issue('dropped')
    await github.order('webhooks', { forget: 1 })
    const before = (await github.call('GET', '/_standin/deliveries')).length
    await issue('forgotten')
    await idle()
    const log = await github.call('GET', '/_standin/deliveries')
    assert.equal(log.length, before)
    assert.deepEqual([log[0].status_code, log[0].status], [0, 'failed to connect to host'])
})

test('the delivery log: failures, cursor, redelivery', async () => {
    receiver.state.status = 503
    await github.order('webhooks', { match: null })
    await issue('refused')
    await receiver.until('issues.opened')
    await idle()
    receiver.state.status = 202
    const failed = await app('GET', '/app/hook/deliveries?status=failure&per_page=1')
    assert.equal(failed.body[0].status_code, 503)
    assert.equal(failed.body[0].event, 'issues')
    assert.equal(failed.body[0].installation_id, installation)
    const again = await app('POST', `/app/hook/deliveries/${failed.body[0].id}/attempts`)
    assert.equal(again.status, 202)
    const rows = await receiver.until('issues.opened', 2)
    assert.equal(rows[0].guid, rows[1].guid)
    await idle()
    const newest = await app('GET', '/app/hook/deliveries?per_page=1')
    assert.deepEqual(
        [newest.body[0].redelivery, newest.body[0].guid, newest.body[0].status],
        [true, rows[0].guid, 'OK'],
    )
    const full = await app('GET', `/app/hook/deliveries/${newest.body[0].id}`)
    assert.equal(full.body.request.payload.issue.title, 'refused')
    assert.equal(full.body.request.headers['X-GitHub-Delivery'], rows[0].guid)

    const seen = new Set()
    let next = '/app/hook/deliveries?per_page=4'
    while (next) {
        const page = await app('GET', next)
        for (const row of page.body) seen.add(row.id)
        next = /<([^>]+)>; rel="next"/.exec(page.headers.get('link') ?? '')?.[1]
    }
    assert.equal(seen.size, (await github.call('GET', '/_standin/deliveries')).length)
    assert.equal((await app('GET', '/app/hook/deliveries?cursor=nonsense')).status, 422)

    await github.order('webhooks', { timeout_ms: 200 })
    receiver.state.hang = true
    await issue('slow')
    await receiver.until('issues.opened', 3)
    await idle()
    receiver.state.hang = false
    assert.equal((await app('GET', '/app/hook/deliveries?per_page=1')).body[0].status, 'timed out')
    await github.order('webhooks', { timeout_ms: 10000 })
})

test('an Enterprise server, a deleted issue', async () => {
    await github.order('config', { enterprise: '3.17.0' }, 'PATCH')
    const { number } = (await issue('short-lived')).body
    const [row] = await receiver.until('issues.opened')
    assert.equal(row.headers['x-github-enterprise-version'], '3.17.0')
    const meta = await bot('GET', '/meta')
    assert.equal(meta.headers.get('x-github-enterprise-version'), '3.17.0')
    await github.order('config', { enterprise: null }, 'PATCH')
    await github.order('repos/alice/demo', { delete_issues: [number] }, 'PATCH')
    await receiver.until('issues.deleted')
    assert.equal((await bot('GET', `/repos/alice/demo/issues/${number}`)).status, 410)
})

test('roles and locks', async () => {
    const eve = caller(github.url, await github.user('eve'))
    const bob = caller(github.url, await github.user('bob'))
    const { number } = (await issue('locked')).body
    const at = `/repos/alice/demo/issues/${number}`
    assert.equal((await eve('POST', `${at}/labels`, { labels: ['x'] })).status, 403)
    assert.equal((await bob('POST', `${at}/labels`, { labels: ['x'] })).status, 200)
    assert.equal((await eve('POST', `${at}/comments`, { body: 'hi' })).status, 201)
    await person('PUT', `${at}/lock`, {})
    const locked = await eve('POST', `${at}/comments`, { body: 'hi' })
    assert.equal(locked.status, 403)
    assert.match(locked.body.message, /locked/)
    const permission = async (login) =>
        (await bot('GET', `/repos/alice/demo/collaborators/${login}/permission`)).body
    assert.deepEqual(
        [(await permission('bob')).permission, (await permission('bob')).role_name],
        ['read', 'triage'],
    )
    assert.equal((await permission('alice')).permission, 'admin')
})

const put = (branch, file, text, message = 'feat: x') =>
    github.order('repos/alice/demo', { files: { [file]: text }, branch, message }, 'PATCH')
const open = async (head, more = {}) => {
    const made = await bot('POST', '/repos/alice/demo/pulls', {
        ...{ title: head, head, base: 'main' },
        ...more,
    })
    assert.equal(made.status, 201, JSON.stringify(made.body))
    return made.body
}

test('merging: conflict, rebase, blocked, auto-merge, branch deletion', async () => {
    await put('one', 'a.txt', 'ONE\ntwo\n')
    await put('two', 'a.txt', 'eins\ntwo\n')
    await put('three', 'c.txt', 'c\n')
    await put('three', 'd.txt', 'd\n', 'feat: second')
    const one = await open('one')
    const two = await open('two')
    const three = await open('three')
    const merge = (n, body = {}) => person('PUT', `/repos/alice/demo/pulls/${n}/merge`, body)
    assert.equal((await merge(one.number)).status, 200)
    const dirty = (await bot('GET', `/repos/alice/demo/pulls/${two.number}`)).body
    assert.deepEqual([dirty.mergeable, dirty.mergeable_state], [false, 'dirty'])
    assert.equal((await merge(two.number)).status, 405)
    const behind = await bot('PUT', `/repos/alice/demo/pulls/${three.number}/update-branch`, {
        expected_head_sha: three.head.sha,
    })
    assert.equal(behind.status, 202)
    await person('PATCH', '/repos/alice/demo', { delete_branch_on_merge: true })
    assert.equal((await merge(three.number, { merge_method: 'squash' })).status, 200)
    await receiver.until('delete')
    assert.equal((await bot('GET', '/repos/alice/demo/git/ref/heads/three')).status, 404)

    await put('four', 'e.txt', 'e\n')
    await put('four', 'f.txt', 'f\n', 'feat: f')
    const four = await open('four')
    assert.equal((await merge(four.number, { merge_method: 'rebase' })).status, 200)
    const commits = (await bot('GET', '/repos/alice/demo/commits?per_page=2')).body
    assert.deepEqual(
        commits.map((c) => [c.commit.message, c.parents.length]),
        [
            ['feat: f', 1],
            ['feat: x', 1],
        ],
    )

    await github.order(
        'repos/alice/demo',
        {
            settings: { allow_auto_merge: true },
            protection: [
                {
                    pattern: 'main',
                    rules: [
                        {
                            type: 'required_status_checks',
                            parameters: {
                                strict_required_status_checks_policy: false,
                                required_status_checks: [{ context: 'ci' }],
                            },
                        },
                    ],
                },
            ],
        },
        'PATCH',
    )
    await put('five', 'g.txt', 'g\n')
    const five = await open('five')
    const blocked = (await bot('GET', `/repos/alice/demo/pulls/${five.number}`)).body
    assert.equal(blocked.mergeable_state, 'blocked')
    assert.equal((await merge(five.number)).status, 405)
    const enabled = await bot('POST', '/graphql', {
        query: 'mutation($id: ID!) { enablePullRequestAutoMerge(input: {pullRequestId: $id, mergeMethod: SQUASH}) { pullRequest { autoMergeRequest { mergeMethod } } } }',
        variables: { id: five.node_id },
    })
    assert.deepEqual(enabled.body, {
        data: {
            enablePullRequestAutoMerge: {
                pullRequest: { autoMergeRequest: { mergeMethod: 'SQUASH' } },
            },
        },
    })
    receiver.clear()
    await person('POST', `/repos/alice/demo/statuses/${five.head.sha}`, {
        state: 'success',
        context: 'ci',
    })
    const merged = (await receiver.until('pull_request.closed'))[0].payload
    assert.equal(merged.pull_request.merged, true)
    await github.order('repos/alice/demo', { protection: [] }, 'PATCH')
})

test('the App may not touch workflows through the API either', async () => {
    const body = { message: 'x', content: 'eA==', branch: 'main' }
    const refused = await bot('PUT', '/repos/alice/demo/contents/.github/workflows/ci.yml', body)
    assert.equal(refused.status, 403)
    assert.match(refused.headers.get('x-accepted-github-permissions'), /workflows=write/)
})

test('a fork’s pull request', async () => {
    const eve = caller(github.url, await github.user('eve'))
    assert.equal((await eve('POST', '/repos/alice/demo/forks', {})).status, 202)
    await github.order('repos/eve/demo', { files: { z: 'z\n' }, branch: 'fix' }, 'PATCH')
    const made = await eve('POST', '/repos/alice/demo/pulls', {
        ...{ title: 'From outside', head: 'eve:fix', base: 'main' },
    })
    assert.equal(made.status, 201)
    assert.equal(made.body.head.repo.full_name, 'eve/demo')
    assert.equal(made.body.author_association, 'NONE')
    const ref = await bot('GET', `/repos/alice/demo/git/ref/pull/${made.body.number}/head`)
    assert.equal(ref.body.object.sha, made.body.head.sha)
    const push = await bot('PUT', '/repos/eve/demo/contents/q', { message: 'x', content: 'eA==' })
    assert.equal(push.status, 403)
    const { number } = made.body
    assert.equal((await person('PUT', `/repos/alice/demo/pulls/${number}/merge`, {})).status, 200)
})

test('check runs', async () => {
    const { sha } = (await bot('GET', '/repos/alice/demo/commits/main')).body
    const at = '/repos/alice/demo/check-runs'
    const check = { name: 'squadbot', head_sha: sha }
    assert.equal((await bot('POST', at, { ...check, status: 'completed' })).status, 422)
    assert.equal((await bot('POST', at, { ...check, output: { title: 'x' } })).status, 422)
    assert.equal((await person('POST', at, check)).status, 403, 'only Apps')
    const note = { path: 'a.txt', start_line: 1, end_line: 1, annotation_level: 'notice', message: 'm' }
    const output = { title: 't', summary: 's', annotations: Array(50).fill(note) }
    const made = await bot('POST', at, { ...check, output })
    assert.equal(made.body.status, 'queued')
    const more = await bot('PATCH', `${at}/${made.body.id}`, {
        conclusion: 'failure',
        output: { ...output, annotations: [note] },
    })
    assert.deepEqual([more.body.output.annotations_count, more.body.status], [51, 'completed'])
    const many = { ...output, annotations: Array(51).fill(note) }
    assert.equal((await bot('PATCH', `${at}/${made.body.id}`, { output: many })).status, 422)
    await person('POST', `${at}/${made.body.id}/standin-press`, { identifier: 'retry' })
    const pressed = (await receiver.until('check_run.requested_action'))[0].payload
    assert.equal(pressed.requested_action.identifier, 'retry')
    await person('POST', `${at}/${made.body.id}/rerequest`)
    await receiver.until('check_run.rerequested')
})

test('a manifest’s code works once', async () => {
    await github.order('manifests', {
        code: 'abc',
        app: { client_secret: 's', webhook_secret: 'w', pem: github.privateKey },
    })
    const nobody = caller(github.url)
    const made = await nobody('POST', '/app-manifests/abc/conversions')
    assert.equal(made.status, 201)
    assert.equal(made.body.slug, 'squadbot')
    assert.equal((await nobody('POST', '/app-manifests/abc/conversions')).status, 404)
})

test('the secondary limit can really be counted', async () => {
    await github.order('limits', { enforce: true })
    let status = 201
    let made = 0
    for (; made < 200 && status === 201; made++) status = (await issue(`n${made}`)).status
    assert.equal(status, 403)
    assert.ok(made <= 82, `${made} in one minute`)
    await github.order('limits', { enforce: false })
})
