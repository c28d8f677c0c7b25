// GitHub's official client, unchanged, against the stand-in: App authentication with both token
// formats, paging, conditional requests, clock skew, webhooks and their verification.
import assert from 'node:assert/strict'
import { createSign } from 'node:crypto'
import { after, before, test } from 'node:test'
import { Webhooks } from '@octokit/webhooks'
import { App, Octokit } from 'octokit'
import { appId, caller, clientId, secret, startGithub, startReceiver } from '../lib/github.mjs'

let github
let receiver
let app
let person
let installation
const quiet = { debug() {}, info() {}, warn() {}, error() {} }

const client = (auth) =>
    new Octokit({
        auth,
        baseUrl: github.url,
        log: quiet,
        retry: { enabled: false },
        throttle: { enabled: false },
    })
const makeApp = (id) =>
    new App({
        appId: id,
        privateKey: github.privateKey,
        webhooks: { secret },
        log: quiet,
        Octokit: Octokit.defaults({
            baseUrl: github.url,
            log: quiet,
            retry: { enabled: false },
            throttle: { enabled: false },
        }),
    })

before(async () => {
    receiver = await startReceiver()
    github = await startGithub({ webhookUrl: receiver.url })
    person = client(await github.user('alice'))
    await github.repo('alice/demo', { private: true, files: { 'README.md': 'hello\n' } })
    await github.repo('alice/other', { private: true, files: { a: 'b\n' } })
    installation = (await github.install('alice')).id
    app = makeApp(appId)
})
after(async () => {
    await github?.stop()
    receiver?.stop()
})

const repository = { owner: 'alice', repo: 'demo' }

test('app id and client id are both issuers', async () => {
    const { data } = await app.octokit.rest.apps.getAuthenticated()
    assert.equal(data.id, appId)
    const other = await makeApp(clientId).octokit.rest.apps.getAuthenticated()
    assert.equal(other.data.client_id, clientId)
    await assert.rejects(makeApp(999).octokit.rest.apps.getAuthenticated(), { status: 404 })
})

test('label to pull request to merge to deleted branch', async () => {
    const { data: issue } = await person.rest.issues.create({
        ...repository,
        title: 'Say goodbye',
        labels: ['squadbot'],
    })
    const [labeled] = await receiver.until('issues.labeled')
    assert.equal(labeled.payload.label.name, 'squadbot')
    assert.equal(labeled.payload.installation.id, installation)
    const bot = await app.getInstallationOctokit(labeled.payload.installation.id)
    const { data: main } = await bot.rest.git.getRef({ ...repository, ref: 'heads/main' })
    await bot.rest.git.createRef({ ...repository, ref: 'refs/heads/task-1', sha: main.object.sha })
    await bot.rest.repos.createOrUpdateFileContents({
        ...repository,
        path: 'bye.txt',
        message: 'feat: bye',
        content: Buffer.from('bye\n').toString('base64'),
        branch: 'task-1',
    })
    const { data: pull } = await bot.rest.pulls.create({
        ...repository,
        title: 'Say goodbye',
        head: 'task-1',
        base: 'main',
        body: `Closes #${issue.number}`,
    })
    assert.equal(pull.user.login, 'squadbot[bot]')
    const first = await bot.rest.pulls.get({ ...repository, pull_number: pull.number })
    assert.equal(first.data.mergeable, null, 'computed later')
    const second = await bot.rest.pulls.get({ ...repository, pull_number: pull.number })
    assert.equal(second.data.mergeable, true)
    assert.equal(second.data.mergeable_state, 'clean')
    await person.rest.pulls.merge({ ...repository, pull_number: pull.number })
    const closed = (await receiver.until('pull_request.closed'))[0].payload
    assert.equal(closed.pull_request.merged, true)
    assert.equal(closed.pull_request.merged_by.login, 'alice')
    await receiver.until('issues.closed')
    await bot.rest.git.deleteRef({ ...repository, ref: 'heads/task-1' })
    const gone = (await receiver.until('delete'))[0].payload
    assert.equal(gone.ref, 'task-1')
    assert.equal(gone.sender.type, 'Bot')
    await assert.rejects(bot.rest.git.deleteRef({ ...repository, ref: 'heads/task-1' }), {
        status: 422,
        message: /Reference does not exist/,
    })
})

test('webhooks are accepted by the official verifier', async () => {
    const webhooks = new Webhooks({ secret })
    const seen = []
    webhooks.onAny((event) => seen.push(event.name))
    for (const row of receiver.got)
        await webhooks.verifyAndReceive({
            id: row.guid,
            name: row.event,
            payload: row.raw,
            signature: row.headers['x-hub-signature-256'],
        })
    assert.equal(seen.length, receiver.got.length)
    const { headers } = receiver.got[0]
    assert.match(headers['user-agent'], /^GitHub-Hookshot\//)
    assert.equal(headers['content-type'], 'application/json')
    assert.equal(headers['x-github-hook-installation-target-type'], 'integration')
    assert.equal(headers['x-github-hook-installation-target-id'], String(appId))
    assert.match(headers['x-github-hook-id'], /^\d+$/)
})

test('token formats, scopes, revocation, expiry', async () => {
    const mint = (more, headers) =>
        app.octokit.rest.apps.createInstallationAccessToken({
            installation_id: installation,
            ...more,
            headers,
        })
    const long = (await mint({})).data
    assert.ok(long.token.length >= 520 && long.token.startsWith(`ghs_${appId}_`))
    assert.match(long.token, /^gh[a-z]_[A-Za-z0-9._-]{20,}$/)
    const short = (await mint({}, { 'x-github-stateless-s2s-token': 'disabled' })).data
    assert.equal(short.token.length, 40)
    assert.ok(Math.abs(Date.parse(short.expires_at) - Date.now() - 3600_000) < 60_000)

    const scoped = (await mint({ repositories: ['demo'], permissions: { contents: 'read' } })).data
    assert.equal(scoped.repository_selection, 'selected')
    assert.deepEqual(
        scoped.repositories.map((r) => r.full_name),
        ['alice/demo'],
    )
    const narrow = client(scoped.token)
    await narrow.rest.repos.getContent({ ...repository, path: 'README.md' })
    await assert.rejects(narrow.rest.repos.get({ owner: 'alice', repo: 'other' }), { status: 404 })
    await assert.rejects(
        narrow.rest.issues.create({ ...repository, title: 'x' }),
        (error) =>
            error.status === 403 &&
            error.response.headers['x-accepted-github-permissions'] === 'issues=write' &&
            /Resource not accessible by integration/.test(error.message),
    )
    await assert.rejects(mint({ permissions: { administration: 'write' } }), { status: 422 })
    await assert.rejects(mint({ repositories: ['absent'] }), { status: 422 })

    await narrow.rest.apps.revokeInstallationAccessToken()
    await assert.rejects(narrow.rest.repos.get(repository), { status: 401 })
    await client(short.token).rest.repos.get(repository)
    await github.order('tokens/expire', {})
    app = makeApp(appId) // the old one remembers a token that is dead now
    await assert.rejects(client(short.token).rest.repos.get(repository), { status: 401 })
})

test('suspended and deleted installations', async () => {
    const extra = await github.user('carol')
    assert.ok(extra)
    const { id } = await github.install('carol')
    const mint = () =>
        app.octokit.rest.apps.createInstallationAccessToken({ installation_id: id })
    await github.order(`installations/${id}`, { suspended: true }, 'PATCH')
    await assert.rejects(mint(), { status: 403 })
    await github.order(`installations/${id}`, { suspended: false }, 'PATCH')
    await mint()
    await github.order(`installations/${id}`, { deleted: true }, 'PATCH')
    await assert.rejects(mint(), { status: 404 })
    await receiver.until('installation.deleted')
})

test('clock skew is told and octokit mends it', async () => {
    const part = (o) => Buffer.from(JSON.stringify(o)).toString('base64url')
    const signed = (claims) => {
        const text = `${part({ alg: 'RS256', typ: 'JWT' })}.${part(claims)}`
        return `${text}.${createSign('RSA-SHA256').update(text).sign(github.privateKey, 'base64url')}`
    }
    const now = Math.floor(Date.now() / 1000)
    const ask = async (claims) => (await caller(github.url, signed(claims))('GET', '/app')).body
    assert.equal(
        (await ask({ iat: now, exp: now + 1200, iss: appId })).message,
        "'Expiration time' claim ('exp') is too far in the future",
    )
    assert.match((await ask({ iat: now + 300, exp: now + 500, iss: appId })).message, /^'Issued at' claim/)
    assert.match((await ask({ iat: now, exp: String(now), iss: appId })).message, /must be a numeric value/)
    const forged = `${signed({ iat: now, exp: now + 60, iss: appId }).slice(0, -8)}AAAAAAAA`
    const refused = await caller(github.url, forged)('GET', '/app')
    assert.equal(refused.status, 401)
    assert.equal(refused.body.message, 'A JSON web token could not be decoded')

    await github.order('clock', { advance_s: 3000 })
    const { data } = await makeApp(appId).octokit.rest.apps.getAuthenticated()
    assert.equal(data.id, appId)
    await github.order('clock', { advance_s: -3000 })
})

test('paging and conditional requests', async () => {
    for (let i = 0; i < 7; i++)
        await person.rest.issues.create({ ...repository, title: `issue ${i}` })
    const bot = await app.getInstallationOctokit(installation)
    const all = await bot.paginate(bot.rest.issues.listForRepo, {
        ...repository,
        per_page: 3,
        state: 'all',
    })
    assert.equal(all.length, 9)
    const page = await bot.rest.issues.listForRepo({ ...repository, per_page: 3, state: 'all' })
    assert.match(page.headers.link, /[?&]page=2>; rel="next", <[^>]+page=3>; rel="last"/)

    const token = (await bot.auth({ type: 'installation' })).token
    const call = caller(github.url, token)
    const answer = await call('GET', '/repos/alice/demo')
    const etag = answer.headers.get('etag')
    assert.match(etag, /^W\/"[0-9a-f]{64}"$/)
    const before = Number(answer.headers.get('x-ratelimit-remaining'))
    const same = await call('GET', '/repos/alice/demo', undefined, { 'If-None-Match': etag })
    assert.equal(same.status, 304)
    assert.equal(Number(same.headers.get('x-ratelimit-remaining')), before, '304 is free')
    const { data } = await app.octokit.rest.apps.createInstallationAccessToken({
        installation_id: installation,
    })
    const other = await caller(github.url, data.token)('GET', '/repos/alice/demo', undefined, {
        'If-None-Match': etag,
    })
    assert.equal(other.status, 200, 'an ETag belongs to its token')
})

test('graphql', async () => {
    const bot = await app.getInstallationOctokit(installation)
    const { data: issue } = await bot.rest.issues.get({ ...repository, issue_number: 1 })
    const answer = await bot.graphql(
        `query($owner: String!, $name: String!, $n: Int = 2) {
            repository(owner: $owner, name: $name) {
                pull: pullRequest(number: $n) {
                    ...fields
                    reviewThreads(first: 50) { nodes { id isResolved } }
                    closingIssuesReferences(first: 10) { nodes { number } }
                }
                issues(first: 2, states: [OPEN]) { totalCount pageInfo { hasNextPage endCursor } nodes { number } }
            }
            rateLimit { cost remaining resetAt }
        }
        fragment fields on PullRequest { isDraft mergeable mergeStateStatus reviewDecision headRefOid mergeCommit { oid } }`,
        { owner: 'alice', name: 'demo' },
    )
    assert.equal(answer.repository.pull.isDraft, false)
    assert.match(answer.repository.pull.mergeCommit.oid, /^[0-9a-f]{40}$/)
    assert.deepEqual(answer.repository.pull.closingIssuesReferences.nodes, [{ number: 1 }])
    assert.equal(answer.repository.issues.totalCount, 7)
    assert.equal(answer.repository.issues.pageInfo.hasNextPage, true)
    await assert.rejects(
        bot.graphql('{ repository(owner: "alice", name: "absent") { id } }'),
        (error) => error.errors[0].type === 'NOT_FOUND',
    )
    await assert.rejects(bot.graphql('{ repository(owner: "alice", name: "demo") { nonsense } }'))
    const head = await bot.rest.git.getRef({ ...repository, ref: 'heads/main' })
    const made = await bot.graphql(
        `mutation($input: CreateCommitOnBranchInput!) {
            createCommitOnBranch(input: $input) { commit { oid signature { isValid } } }
        }`,
        {
            input: {
                branch: { repositoryNameWithOwner: 'alice/demo', branchName: 'main' },
                expectedHeadOid: head.data.object.sha,
                message: { headline: 'feat: signed' },
                fileChanges: {
                    additions: [{ path: 'signed.txt', contents: 'aGkK' }],
                    deletions: [{ path: 'bye.txt' }],
                },
            },
        },
    )
    assert.equal(made.createCommitOnBranch.commit.signature.isValid, true)
    await assert.rejects(
        bot.graphql(
            `mutation { createCommitOnBranch(input: {branch: {repositoryNameWithOwner: "alice/demo", branchName: "main"}, expectedHeadOid: "${'0'.repeat(40)}", message: {headline: "x"}, fileChanges: {}}) { commit { oid } } }`,
        ),
        (error) => error.errors[0].type === 'STALE_DATA',
    )
    assert.ok(issue.node_id)
})
