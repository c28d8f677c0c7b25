// The real git program over smart HTTP: clone, shallow and partial fetches, pushes of every kind
// and the words with which GitHub refuses some.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { createSign, randomBytes } from 'node:crypto'
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, before, test } from 'node:test'
import { promisify } from 'node:util'
import { caller, startGithub, startReceiver } from '../lib/github.mjs'

const run = promisify(execFile)
let github
let receiver
let folder
let owner
let installation

async function git(...args) {
    const options = { cwd: folder, maxBuffer: 1 << 24 }
    options.env = {
        ...process.env,
        GIT_TERMINAL_PROMPT: '0',
        GIT_CONFIG_GLOBAL: '/dev/null',
        GIT_AUTHOR_NAME: 'a',
        GIT_AUTHOR_EMAIL: 'a@example.com',
        GIT_COMMITTER_NAME: 'a',
        GIT_COMMITTER_EMAIL: 'a@example.com',
    }
    try {
        const { stdout, stderr } = await run('git', args, options)
        return { code: 0, text: stdout + stderr }
    } catch (error) {
        return { code: error.code, text: `${error.stdout}${error.stderr}` }
    }
}
async function good(...args) {
    const result = await git(...args)
    assert.equal(result.code, 0, `git ${args.join(' ')}: ${result.text}`)
    return result.text
}
const address = (token, full = 'alice/demo') =>
    github.url.replace('http://', token ? `http://x-access-token:${token}@` : 'http://') +
    `/${full}.git`
// A token of the installation, as the App would mint it.
async function mint(body = {}) {
    const part = (o) => Buffer.from(JSON.stringify(o)).toString('base64url')
    const now = Math.floor(Date.now() / 1000)
    const text = `${part({ alg: 'RS256' })}.${part({ iat: now - 60, exp: now + 500, iss: 12345 })}`
    const jwt = `${text}.${createSign('RSA-SHA256').update(text).sign(github.privateKey, 'base64url')}`
    const made = await caller(github.url, jwt)(
        'POST',
        `/app/installations/${installation}/access_tokens`,
        body,
    )
    assert.equal(made.status, 201)
    return made.body.token
}
async function commit(name, file, content) {
    await writeFile(path.join(folder, name, file), content)
    await good('-C', name, 'add', '-A')
    await good('-C', name, 'commit', '-q', '-m', `feat: ${file}`)
}

before(async () => {
    receiver = await startReceiver()
    github = await startGithub({ webhookUrl: receiver.url })
    folder = await mkdtemp(path.join(tmpdir(), 'squadbot-git-'))
    owner = await github.user('alice')
    await github.user('eve')
    await github.repo('alice/demo', {
        private: true,
        files: { 'README.md': 'hello\n', '.github/workflows/ci.yml': 'on: push\n' },
    })
    await github.repo('alice/open', { files: { a: 'b\n' } })
    installation = (await github.install('alice')).id
    for (let i = 0; i < 5; i++)
        await github.order('repos/alice/demo', { files: { [`f${i}`]: `${i}\n` } }, 'PATCH')
})
after(async () => {
    await github?.stop()
    receiver?.stop()
    if (folder) await rm(folder, { recursive: true, force: true })
})

test('who may read', async () => {
    await good('clone', '-q', address('', 'alice/open'), 'open')
    assert.match((await git('clone', '-q', address(''), 'no')).text, /could not read Username/)
    assert.match((await git('clone', '-q', address('ghs_wrong'), 'no')).text, /Authentication failed|Invalid username/)
    const other = (await github.order('tokens', { login: 'eve' })).token
    assert.match((await git('clone', '-q', address(other), 'no')).text, /not found/)
    assert.match((await git('-C', 'open', 'push', '-q', address(other, 'alice/open'), 'HEAD:x')).text, /403/)
    const reader = await mint({ permissions: { contents: 'read' } })
    await good('clone', '-q', address(reader), 'reader')
    const denied = await git('-C', 'reader', 'push', address(reader), 'HEAD:refs/heads/x')
    assert.match(denied.text, /Permission to alice\/demo\.git denied to squadbot\[bot\]/)
    const issues = await mint({ permissions: { issues: 'write' } })
    assert.notEqual((await git('ls-remote', address(issues))).code, 0)
})

test('shallow, deepened and partial', async () => {
    const token = await mint()
    await good('clone', '-q', '--depth', '1', address(token), 'shallow')
    assert.equal((await good('-C', 'shallow', 'rev-list', '--count', 'HEAD')).trim(), '1')
    await good('-C', 'shallow', 'fetch', '-q', '--depth', '3')
    assert.equal((await good('-C', 'shallow', 'rev-list', '--count', 'origin/main')).trim(), '3')
    await good('-C', 'shallow', 'fetch', '-q', '--unshallow')
    assert.equal((await good('-C', 'shallow', 'rev-list', '--count', 'origin/main')).trim(), '6')
    await good('clone', '-q', '--filter=blob:none', '--no-checkout', address(token), 'partial')
    await good('-C', 'partial', 'checkout', '-q', 'main')
    const old = (await good('-C', 'shallow', 'rev-parse', 'origin/main~2')).trim()
    await good('init', '-q', 'one')
    await good('-C', 'one', 'fetch', '-q', '--depth', '1', address(token), old)
    await good('-c', 'protocol.version=0', 'clone', '-q', address(token), 'v0')
})

test('a push moves the branch, the pull request and tells', async () => {
    const token = await mint()
    await good('clone', '-q', address(token), 'work')
    await good('-C', 'work', 'checkout', '-q', '-b', 'task-1')
    await commit('work', 'new.txt', 'one\n')
    await good('-C', 'work', 'push', '-q', 'origin', 'task-1')
    const call = caller(github.url, owner)
    const pull = await call('POST', '/repos/alice/demo/pulls', {
        ...{ title: 'T', head: 'task-1', base: 'main' },
    })
    assert.equal(pull.status, 201)
    const pushed = (await receiver.until('push')).find((r) => r.payload.ref === 'refs/heads/task-1')
    assert.equal(pushed.payload.created, true)
    assert.equal(pushed.payload.pusher.name, 'squadbot[bot]')
    assert.deepEqual(pushed.payload.commits[0].added, ['new.txt'])
    receiver.clear()
    await commit('work', 'new.txt', 'two\n')
    await good('-C', 'work', 'push', '-q', 'origin', 'task-1')
    const head = (await good('-C', 'work', 'rev-parse', 'HEAD')).trim()
    const [synced] = await receiver.until('pull_request.synchronize')
    assert.equal(synced.payload.after, head)
    assert.equal(synced.payload.pull_request.head.sha, head)
    const got = await call('GET', '/repos/alice/demo/pulls/1')
    assert.equal(got.body.head.sha, head)
    assert.match(await good('ls-remote', address(token), 'refs/pull/1/head'), new RegExp(head))
    await good('-C', 'work', 'push', '-q', 'origin', ':task-1')
    await receiver.until('pull_request.closed')
})

test('refusals have GitHub’s words', async () => {
    const token = await mint()
    const push = (...args) => git('-C', 'work', 'push', 'origin', ...args)
    await good('-C', 'work', 'remote', 'set-url', 'origin', address(token))
    await good('-C', 'work', 'checkout', '-q', '-b', 'flow', 'origin/main')
    await commit('work', '.github/workflows/ci.yml', 'on: pull_request\n')
    const workflow = await push('flow')
    assert.match(
        workflow.text,
        /! \[remote rejected\] flow -> flow \(refusing to allow a GitHub App to create or update workflow `\.github\/workflows\/ci\.yml` without `workflows` permission\)/,
    )
    await github.order(
        'repos/alice/demo',
        {
            protection: [
                {
                    pattern: 'main',
                    kind: 'protection',
                    rules: [{ type: 'pull_request' }, { type: 'non_fast_forward' }],
                },
                {
                    pattern: 'task-*',
                    rules: [
                        { type: 'commit_message_pattern', parameters: { pattern: '^feat: ' } },
                    ],
                },
            ],
        },
        'PATCH',
    )
    await good('-C', 'work', 'checkout', '-q', '-b', 'task-2', 'origin/main')
    await commit('work', 'x', 'x\n')
    const guarded = await push('task-2:main')
    assert.match(guarded.text, /remote: error: GH006: Protected branch update failed for refs\/heads\/main/)
    assert.match(guarded.text, /\(protected branch hook declined\)/)
    await good('-C', 'work', 'push', '-q', 'origin', 'task-2')
    await good('-C', 'work', 'commit', '-q', '--amend', '-m', 'nonsense')
    const rule = await push('+task-2:task-3')
    assert.match(rule.text, /remote: error: GH013: Repository rule violations found for refs\/heads\/task-3/)
    assert.match(rule.text, /push declined due to repository rule violations/)
    const two = await push('origin/main:refs/heads/fine', '+task-2:task-4')
    assert.match(two.text, /\[new branch\] +origin\/main -> fine/)
    assert.match(two.text, /\[remote rejected\] task-2 -> task-4/)
    assert.match((await push(':refs/pull/1/head')).text, /deny|hidden/)
    await github.order('repos/alice/demo', { archived: true }, 'PATCH')
    assert.match((await push('task-2:y')).text, /archived so it is read-only/)
    await github.order('repos/alice/demo', { archived: false, protection: [] }, 'PATCH')
})

test('libgit2’s way: chunked, protocol v0, no side band asked', async () => {
    const token = await mint()
    await good('-C', 'work', 'checkout', '-q', '-b', 'chunked', 'origin/main')
    await commit('work', 'big', randomBytes(3 << 20))
    await good('-C', 'work', '-c', 'http.postBuffer=65536', '-c', 'protocol.version=0', 'push', '-q', address(token), 'chunked')
})

test('a renamed repository redirects', async () => {
    const call = caller(github.url, owner)
    const renamed = await call('PATCH', '/repos/alice/open', { name: 'opened' })
    assert.equal(renamed.status, 200)
    const moved = await call('GET', '/repos/alice/open')
    assert.equal(moved.status, 301)
    const there = await call('GET', moved.headers.get('location'))
    assert.equal(there.body.full_name, 'alice/opened')
    await good('clone', '-q', address('', 'alice/open'), 'again')
})

test('a pack of 200 MB streams both ways', async () => {
    const size = 200 << 20
    await github.repo('alice/large', { private: true, files: { a: 'a\n' } })
    await good('clone', '-q', address(owner, 'alice/large'), 'large')
    for (let i = 0; i < 4; i++) await writeFile(path.join(folder, 'large', `b${i}`), randomBytes(size / 4))
    await good('-C', 'large', '-c', 'core.compression=0', 'add', '-A')
    await good('-C', 'large', '-c', 'core.compression=0', 'commit', '-q', '-m', 'feat: large')
    await good('-C', 'large', '-c', 'core.compression=0', 'push', '-q', 'origin', 'HEAD:main')
    await good('clone', '-q', '--bare', address(owner, 'alice/large'), 'back')
    const status = await stat(path.join(folder, 'back'))
    assert.ok(status.isDirectory())
    const text = await readFile(`/proc/${github.child.pid}/status`, 'utf8')
    const peakKiB = Number(/VmHWM:\s+(\d+)/.exec(text)[1])
    assert.ok(peakKiB < 64 * 1024, `the stand-in's peak was ${peakKiB} KiB`)
})
