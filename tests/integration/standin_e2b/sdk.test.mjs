// The official SDK drives the stand-in: what it needs is there, in the form it expects.
import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { after, before, test } from 'node:test'
import {
    AuthenticationError,
    CommandExitError,
    InvalidArgumentError,
    NotFoundError,
    RateLimitError,
    Sandbox,
    SandboxError,
    TimeoutError,
} from 'e2b'
import { startE2b } from '../lib/standins.mjs'
import { until } from './raw.mjs'

let e2b
let box
before(async () => {
    e2b = await startE2b({ args: ['--max-concurrent', '6'] })
    Object.assign(process.env, e2b.env)
    box = await Sandbox.create({ timeoutMs: 300_000, metadata: { task: '42' }, envs: { CI: '1' } })
})
after(() => e2b?.stop())

test('create, info, connect, kill', async () => {
    const made = await Sandbox.create({ timeoutMs: 60_000, metadata: { 'a b': 'c&d', k: 'x' } })
    const info = await made.getInfo()
    assert.equal(info.sandboxId, made.sandboxId)
    assert.match(made.sandboxId, /^i[a-z0-9]{20}$/)
    assert.equal(info.state, 'running')
    assert.deepEqual(info.metadata, { 'a b': 'c&d', k: 'x' })
    assert.ok(Math.abs(info.endAt - info.startedAt - 60_000) < 1000)
    assert.ok(await made.isRunning())

    const other = await Sandbox.connect(made.sandboxId)
    await other.files.write('x', 'y')
    assert.equal(await made.files.read('x'), 'y')

    assert.equal(await made.kill(), true)
    assert.equal(await made.kill(), false)
    assert.equal(await made.isRunning(), false)
    await assert.rejects(made.getInfo(), NotFoundError)
    await assert.rejects(made.commands.run('true'), SandboxError)
    await assert.rejects(Sandbox.connect(made.sandboxId), NotFoundError)
})

test('list: filter as the SDK encodes it, states, pages', async () => {
    const some = []
    for (let i = 0; i < 3; i++)
        some.push(await Sandbox.create({ metadata: { 'ke y': 'v&a=l', n: String(i) } }))
    const all = async (query, limit) => {
        const pages = Sandbox.list({ query, limit })
        const ids = []
        while (pages.hasNext) ids.push(...(await pages.nextItems()).map((s) => s.sandboxId))
        return ids
    }
    const ids = some.map((s) => s.sandboxId)
    assert.deepEqual(await all({ metadata: { 'ke y': 'v&a=l' } }, 1), [...ids].reverse())
    assert.deepEqual(await all({ metadata: { 'ke y': 'v&a=l', n: '1' } }), [ids[1]])
    assert.deepEqual(await all({ metadata: { n: 'no' } }), [])
    assert.deepEqual(await all({ metadata: { n: '1' }, state: ['paused'] }), [])
    assert.ok((await all({ state: ['running'] }, 2)).includes(box.sandboxId))
    for (const s of some) await s.kill()
    assert.deepEqual(await all({ metadata: { 'ke y': 'v&a=l' } }), [])
})

test('time: set, shorten to an end, over the plan', async () => {
    const made = await Sandbox.create({ timeoutMs: 60_000 })
    await made.setTimeout(120_000)
    const info = await made.getInfo()
    assert.ok(Math.abs(info.endAt - Date.now() - 120_000) < 2000)
    await made.setTimeout(1000)
    await until(async () => !(await made.isRunning()))
    await assert.rejects(made.getInfo(), NotFoundError)
    await assert.rejects(Sandbox.create({ timeoutMs: 90_000_000 }), /400: Timeout cannot be greater than 24 hours/)
})

test('pause and resume keep files and processes', async () => {
    const made = await Sandbox.create({ timeoutMs: 60_000 })
    await made.files.write('kept', '1')
    const run = await made.commands.run('i=0; while :; do echo $((i+=1)) >n; sleep 0.01; done', {
        background: true,
    })
    const count = async (b) => Number(await b.files.read('n').catch(() => '0')) || 0
    await until(async () => (await count(made)) > 2)
    assert.equal(await made.pause(), true)
    await assert.rejects(run.wait()) // the stream is gone
    assert.equal(await made.isRunning(), false)
    const paused = await Sandbox.list({ query: { state: ['paused'] } }).nextItems()
    assert.deepEqual(paused.map((s) => s.sandboxId), [made.sandboxId])

    const again = await Sandbox.connect(made.sandboxId, { timeoutMs: 60_000 })
    assert.equal(await again.files.read('kept'), '1')
    const before_ = await count(again)
    await until(async () => (await count(again)) > before_)
    assert.deepEqual((await again.commands.list()).map((p) => p.pid), [run.pid])
    assert.equal(await again.commands.kill(run.pid), true)
    await again.kill()
})

test('files', async () => {
    const { files } = box
    await files.write('dir/a.txt', 'hello')
    assert.equal(await files.read('/home/user/dir/a.txt'), 'hello')
    const blob = randomBytes(3 << 20)
    await files.write('/tmp/blob', new Blob([blob]))
    const back = Buffer.from(await files.read('/tmp/blob', { format: 'bytes' }))
    assert.deepEqual(createHash('sha256').update(back).digest(), createHash('sha256').update(blob).digest())
    const many = await files.write([
        { path: 'm/1', data: 'one' },
        { path: 'm/2', data: 'two' },
    ])
    assert.deepEqual(many.map((f) => f.path), ['/home/user/m/1', '/home/user/m/2'])
    assert.deepEqual((await files.list('m')).map((e) => [e.name, e.type, Number(e.size)]), [
        ['1', 'file', 3],
        ['2', 'file', 3],
    ])
    assert.deepEqual((await files.list('.', { depth: 2 })).map((e) => e.path).filter((p) => /dir/.test(p)), [
        '/home/user/dir',
        '/home/user/dir/a.txt',
    ])
    assert.equal(await files.exists('m/1'), true)
    assert.equal(await files.exists('m/3'), false)
    const info = await files.getInfo('dir/a.txt')
    assert.equal(info.permissions, '-rw-r--r--')
    assert.equal(info.owner, 'user')
    assert.equal((await files.rename('m/1', '/tmp/deep/er/1')).path, '/tmp/deep/er/1')
    assert.equal(await files.read('/tmp/deep/er/1'), 'one')
    assert.equal(await files.makeDir('new/dir'), true)
    assert.equal(await files.makeDir('new/dir'), false)
    await files.remove('new')
    await files.remove('new')
    assert.equal(await files.exists('new/dir'), false)
    await files.write('zipped', 'z'.repeat(100_000), { gzip: true })
    assert.equal((await files.read('zipped')).length, 100_000)
    await files.write('tagged', 'x', { metadata: { color: 'red' } })
    assert.deepEqual((await files.getInfo('tagged')).metadata, { color: 'red' })
    await assert.rejects(files.read('nothing'), NotFoundError)
    await assert.rejects(files.read('dir'), InvalidArgumentError)
    await assert.rejects(files.list('dir/a.txt'), InvalidArgumentError)
    await assert.rejects(files.rename('nothing', 'x'), NotFoundError)
})

test('files by signed address', async () => {
    await box.files.write('signed', 'content')
    const headers = { 'E2b-Sandbox-Id': box.sandboxId, 'E2b-Sandbox-Port': '49983' }
    const good = new URL(await box.downloadUrl('signed', { useSignatureExpiration: 60 }))
    const at = (url) => fetch(e2b.url + url.pathname + url.search, { headers })
    assert.equal(await (await at(good)).text(), 'content')
    good.searchParams.set('path', 'other')
    const bad = await at(good)
    assert.equal(bad.status, 401)
    assert.equal((await bad.json()).message, 'invalid signature')
})

test('commands: output, environment, folder, user, exit', async () => {
    const out = await box.commands.run('echo "$A $CI $HOME $(pwd)"; echo e >&2', {
        envs: { A: 'a' },
        cwd: '/tmp',
    })
    assert.equal(out.stdout, 'a 1 /home/user /tmp\n')
    assert.equal(out.stderr, 'e\n')
    assert.equal(out.exitCode, 0)
    assert.equal((await box.commands.run('echo $HOME; pwd', { user: 'root' })).stdout, '/root\n/root\n')
    await assert.rejects(box.commands.run('exit 7'), (e) => e instanceof CommandExitError && e.exitCode === 7)
    await assert.rejects(box.commands.run('nothing-like-this'), (e) => e.exitCode === 127)
    await assert.rejects(box.commands.run('true', { cwd: '/no' }), InvalidArgumentError)
    const big = await box.commands.run('head -c 5000000 /dev/zero | tr "\\0" ä')
    assert.equal(big.stdout.length > 2_000_000, true)
    let seen = ''
    await box.commands.run('for i in 1 2 3; do echo $i; sleep 0.05; done', { onStdout: (t) => (seen += t) })
    assert.equal(seen, '1\n2\n3\n')
    assert.match((await box.commands.run('git --version && id -un')).stdout, /git version.*\nuser\n/)
})

test('commands: background, connect, stdin, kill, timeout', async () => {
    const cat = await box.commands.run('cat; echo done', { background: true, stdin: true })
    const other = await box.commands.connect(cat.pid)
    await box.commands.sendStdin(cat.pid, 'line\n')
    await box.commands.closeStdin(cat.pid)
    assert.equal((await cat.wait()).stdout, 'line\ndone\n')
    assert.equal((await other.wait()).stdout, 'line\ndone\n')

    const long = await box.commands.run('sleep 1000', { background: true })
    assert.ok((await box.commands.list()).some((p) => p.pid === long.pid && p.args.includes('sleep 1000')))
    assert.equal(await long.kill(), true)
    await assert.rejects(long.wait(), (e) => e.exitCode === -1 && /signal: killed/.test(e.error))
    assert.equal(await box.commands.kill(long.pid), false)
    await assert.rejects(box.commands.run('sleep 1000', { timeoutMs: 300 }), TimeoutError)
    await until(async () => (await box.commands.list()).length === 0)
})

test('a terminal', async () => {
    let text = ''
    const pty = await box.pty.create({ cols: 77, rows: 20, onData: (d) => (text += Buffer.from(d)) })
    await box.pty.sendInput(pty.pid, new TextEncoder().encode('stty size; echo $TERM\n'))
    await until(() => /20 77\r\n/.test(text) && /xterm-256color\r\n/.test(text))
    await box.pty.resize(pty.pid, { cols: 100, rows: 30 })
    await box.pty.sendInput(pty.pid, new TextEncoder().encode('stty size\n'))
    await until(() => /30 100\r\n/.test(text))
    assert.equal(await box.pty.kill(pty.pid), true)
})

test('error classes', async () => {
    await assert.rejects(Sandbox.create({ apiKey: 'e2b_' + 'f'.repeat(40) }), AuthenticationError)
    await assert.rejects(Sandbox.create('no-such-template'), /404: template 'no-such-template' not found/)
    await assert.rejects(Sandbox.create('base:no-such-tag'), /404: tag 'no-such-tag'/)
    const some = []
    await assert.rejects(async () => {
        for (;;) some.push(await Sandbox.create({ retries: 0 }))
    }, RateLimitError)
    const { active, peak } = await e2b.sandboxes()
    assert.deepEqual([active, peak], [6, 6])
    await Promise.all(some.map((s) => s.kill()))
    assert.equal((await e2b.sandboxes()).active, 1)
})

test('metrics', async () => {
    await until(async () => (await box.getMetrics()).length > 0, 12_000)
    const [point] = await box.getMetrics()
    assert.equal(point.cpuCount, 2)
    assert.ok(point.memUsed > 0 && point.diskTotal > point.diskUsed)
})
