// Framing and the facts of sections 2 to 7 of the protocol page that the SDK would hide.
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { chmod, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { startE2b } from '../lib/standins.mjs'
import { Box, envelope, request, socketCall, summary, until } from './raw.mjs'

let e2b
let box
let port
let tools
before(async () => {
    tools = await mkdtemp(join(tmpdir(), 'squadbot-bin-'))
    await chmod(tools, 0o755)
    await writeFile(join(tools, 'agent'), '#!/bin/sh\necho agent "$@"\n', { mode: 0o755 })
    e2b = await startE2b({ args: ['--exact-json', '--plan-max-s', '7200', '--bin', tools] })
    port = Number(new URL(e2b.url).port)
    box = await Box.create(e2b)
})
after(async () => {
    await e2b?.stop()
    await rm(tools, { recursive: true })
})
const json = (answer) => JSON.parse(answer.body)

function unchunk(bytes) {
    let rest = bytes.subarray(bytes.indexOf('\r\n\r\n') + 4)
    const pieces = []
    for (;;) {
        const line = rest.indexOf('\r\n')
        const n = parseInt(rest.subarray(0, line).toString(), 16)
        if (!n) return Buffer.concat(pieces)
        pieces.push(rest.subarray(line + 2, line + 2 + n))
        rest = rest.subarray(line + 4 + n)
    }
}

test('the example of 5.1, byte by byte', async () => {
    const body = envelope(
        '{"process":{"cmd":"/bin/bash","args":["-l","-c","echo hi"],"envs":{"A":"1"},"cwd":"/home/user"},"stdin":false}',
    )
    assert.equal(body.length, 115)
    assert.equal(body.subarray(0, 6).toString('hex'), '000000006e7b')
    const head =
        'POST /process.Process/Start HTTP/1.1\r\n' +
        `Host: sandbox.e2b.app\r\nE2b-Sandbox-Id: ${box.id}\r\nE2b-Sandbox-Port: 49983\r\n` +
        `X-Access-Token: ${box.token}\r\nConnect-Protocol-Version: 1\r\nUser-Agent: taskbot/0.1\r\n` +
        'Content-Type: application/connect+json\r\nKeepalive-Ping-Interval: 50\r\n' +
        'Connection: close\r\nContent-Length: 115\r\n\r\n'
    const { bytes, error } = await socketCall(port, Buffer.concat([Buffer.from(head), body]))
    assert.equal(error, null)
    const text = bytes.toString('latin1')
    assert.match(text, /^HTTP\/1\.1 200 OK\r\n/)
    assert.match(text, /\r\nContent-Type: application\/connect\+json\r\n/)
    assert.match(text, /\r\nTransfer-Encoding: chunked\r\n/)
    const stream = unchunk(bytes)
    const pid = /"pid":(\d+)/.exec(stream.toString())[1]
    assert.deepEqual(
        stream,
        Buffer.concat([
            envelope(`{"event":{"start":{"pid":${pid}}}}`),
            envelope('{"event":{"data":{"stdout":"aGkK"}}}'),
            envelope('{"event":{"end":{"exited":true,"status":"exit status 0"}}}'),
            envelope('{}', 2),
        ]),
    )
})

test('ends: codes, signals, missing commands, folders, time', async () => {
    const run = async (...a) => summary(await box.shell(...a))
    assert.deepEqual((await run('exit 3')).end, {
        exitCode: 3,
        exited: true,
        status: 'exit status 3',
        error: 'exit status 3',
    })
    assert.deepEqual((await run('kill -9 $$')).end, {
        exitCode: -1,
        status: 'signal: killed',
        error: 'signal: killed',
    })
    const missing = await run('', { process: { cmd: '/no/such', args: [] } })
    assert.equal(missing.end.exitCode, 127)
    assert.deepEqual(missing.names.slice(0, 2), ['start', 'data'])
    assert.ok(missing.stderr.length > 0)
    assert.equal((await run('', { process: { cmd: '/etc/passwd', args: [] } })).end.exitCode, 126)
    const folder = await run('true', { process: { cwd: '/no/such' } })
    assert.deepEqual(folder.names, [])
    assert.deepEqual(folder.trailer, {
        error: { code: 'invalid_argument', message: "cwd '/no/such' does not exist" },
    })
    const home = { process: { cmd: 'pwd', args: [], cwd: '~' } }
    assert.equal((await run('', home)).stdout, '/home/user\n')

    await box.shell('mkdir -p /tmp/left; echo 0 >/tmp/left/n')
    const late = summary(
        await box.shell(
            '(trap "" TERM; for i in 1 2 3 4 5 6; do sleep 0.1; echo $i >/tmp/left/n; done) >/dev/null 2>&1 & exec sleep 1000',
            {},
            { headers: { 'Connect-Timeout-Ms': '250' } },
        ),
    )
    assert.deepEqual(late.names, ['start'])
    assert.deepEqual(late.trailer, {
        error: { code: 'deadline_exceeded', message: 'context deadline exceeded' },
    })
    // Only the leader was killed.
    const file = () => box.plain('GET', '/files?path=/tmp/left/n')
    await until(async () => (await file()).body.toString() === '6\n')
})

test('end waits for the pipes, not for the leader', async () => {
    const started = Date.now()
    const s = summary(await box.shell('(sleep 0.4; echo late) & echo early'))
    assert.ok(Date.now() - started >= 390)
    assert.equal(s.stdout, 'early\nlate\n')
    assert.deepEqual(s.end, { exited: true, status: 'exit status 0' })
})

test('a lost follower: the process goes on, its output is thrown away, Connect gives the rest', async () => {
    let pid
    await box
        .shell('echo one; until [ -e /tmp/go ]; do echo lost; sleep 0.02; done; sleep 0.3; echo two; exit 5', {}, {
            onEvent: (e, stop) => {
                pid ??= e.event.start?.pid
                if (e.event.data) stop()
            },
        })
        .catch(() => {})
    const listed = json(await box.unary('process.Process/List', {}))
    assert.equal(listed.processes.find((p) => p.pid === pid).config.cmd, '/bin/bash')
    await box.plain('POST', '/files?path=/tmp/go', {
        headers: { 'Content-Type': 'application/octet-stream' },
        body: '',
    })
    await new Promise((resolve) => setTimeout(resolve, 100)) // the loop ends with nobody listening
    const selector = { process: { pid } }
    const followers = await Promise.all([
        box.stream('process.Process/Connect', selector),
        box.stream('process.Process/Connect', selector),
    ])
    for (const f of followers.map(summary)) {
        assert.deepEqual(f.names, ['start', 'data', 'end'])
        assert.equal(f.stdout, 'two\n')
        assert.equal(f.end.exitCode, 5)
    }
    // The end is kept for a while …
    const kept = summary(await box.stream('process.Process/Connect', selector))
    assert.deepEqual(kept.names, ['start', 'end'])
    const { processes = [] } = json(await box.unary('process.Process/List', {}))
    assert.ok(!processes.some((p) => p.pid === pid))
    // … and then forgotten.
    await e2b.options({ end_kept_ms: 50 })
    const gone = await until(async () => {
        const s = summary(await box.stream('process.Process/Connect', selector))
        return s.trailer.error && s
    })
    await e2b.options({ end_kept_ms: 30000 })
    assert.deepEqual(gone.trailer.error, {
        code: 'not_found',
        message: `process with pid ${pid} not found`,
    })
})

test('input, signals, tags, stream input', async () => {
    const start = (script, more) => {
        let out
        const pid = new Promise((resolve) => {
            out = box.stream(
                'process.Process/Start',
                { process: { cmd: '/bin/bash', args: ['-c', script] }, ...more },
                { onEvent: (e) => e.event?.start && resolve(e.event.start.pid) },
            )
        })
        return { pid, out }
    }
    const cat = start('cat', { tag: 'task-42' })
    const pid = await cat.pid
    const selector = { process: { pid } }
    const input = { ...selector, input: { stdin: 'YWJj' } }
    assert.deepEqual(json(await box.unary('process.Process/SendInput', input)), {})
    const all = Buffer.concat([
        envelope({ start: selector }),
        envelope({ data: { input: { stdin: 'ZGVm' } } }),
        envelope({ keepalive: {} }),
    ])
    const streamed = await box.plain('POST', '/process.Process/StreamInput', {
        headers: { 'Content-Type': 'application/connect+json', 'Transfer-Encoding': 'chunked' },
        body: all,
    })
    assert.deepEqual(streamed.body, Buffer.concat([envelope('{}'), envelope('{}', 2)]))
    const byTag = await box.unary('process.Process/CloseStdin', { process: { tag: 'task-42' } })
    assert.deepEqual(json(byTag), {})
    const s = summary(await cat.out)
    assert.equal(s.stdout, 'abcdef')
    const late = await box.unary('process.Process/SendInput', input)
    assert.equal(late.status, 404)
    assert.equal(json(late).message, `process with pid ${pid} not found`)

    const off = start('sleep 1000', { stdin: false })
    const answer = await box.unary('process.Process/SendInput', {
        process: { pid: await off.pid },
        input: { stdin: 'YQ==' },
    })
    assert.deepEqual([answer.status, json(answer).message], [
        500,
        'error writing to stdin: stdin not enabled or closed',
    ])
    const term = { process: { pid: await off.pid }, signal: 'SIGNAL_SIGTERM' }
    assert.equal((await box.unary('process.Process/SendSignal', term)).status, 200)
    assert.equal(summary(await off.out).end.status, 'signal: terminated')
    assert.deepEqual([(await box.unary('process.Process/SendSignal', term)).status], [404])
})

test('keepalive in the asked interval', async () => {
    const s = summary(await box.shell('sleep 1.5', {}, { headers: { 'Keepalive-Ping-Interval': '1' } }))
    assert.deepEqual(s.names, ['start', 'keepalive', 'end'])
})

test('a follower that stops reading stops the process', async () => {
    let count = 0
    const script = 'for i in $(seq 400); do head -c 65536 /dev/zero; echo $i >/tmp/progress; done'
    const progress = async () => Number((await box.plain('GET', '/files?path=/tmp/progress')).body)
    let resume
    const out = new Promise((resolve, reject) => {
        const r = request(box.url, {
            method: 'POST',
            path: '/process.Process/Start',
            headers: box.headers({ 'Content-Type': 'application/connect+json' }),
            body: envelope({ process: { cmd: '/bin/bash', args: ['-c', script] }, stdin: false }),
            onData: (piece, req) => {
                if (count++ === 0) {
                    req.res.pause()
                    resume = () => req.res.resume()
                }
            },
        })
        r.then(resolve, reject)
    })
    let last = -1
    await until(async () => {
        const now = resume ? await progress() : -1
        const stuck = now > 0 && now === last
        last = now
        await new Promise((resolve) => setTimeout(resolve, 300))
        return stuck
    }, 15_000)
    assert.ok(last < 400)
    resume()
    await out
    assert.equal(await progress(), 400)
})

test('Connect forms: defaults left out, wrong method, type, user, body', async () => {
    assert.equal((await box.unary('process.Process/List', {})).body.toString(), '{}')
    await box.plain('POST', '/files?path=/tmp/empty', {
        headers: { 'Content-Type': 'application/octet-stream' },
        body: '',
    })
    const entry = json(await box.unary('filesystem.Filesystem/Stat', { path: '/tmp/empty' })).entry
    assert.equal('size' in entry, false)
    assert.equal((await box.plain('GET', '/process.Process/List')).status, 405)
    const typed = await box.unary('process.Process/List', {}, { 'Content-Type': 'text/plain' })
    assert.equal(typed.status, 415)
    assert.equal(typed.headers['accept-post'], 'application/json')
    const nobody = { Authorization: 'Basic ' + Buffer.from('nobody:').toString('base64') }
    const unary = await box.unary('process.Process/List', {}, nobody)
    assert.equal(unary.status, 401)
    assert.deepEqual(json(unary), { code: 'unauthenticated', message: "invalid username: 'nobody'" })
    const stream = summary(await box.shell('true', {}, { headers: nobody }))
    assert.equal(stream.trailer.error.code, 'unauthenticated')
    assert.equal((await box.unary('process.Process/List', [])).status, 400)
    const watch = await box.stream('filesystem.Filesystem/WatchDir', { path: '/tmp' })
    assert.equal(watch.all[0].json.error.code, 'unimplemented')
    const zero = summary(await box.shell('true', {}, { headers: { 'Connect-Timeout-Ms': '0' } }))
    assert.equal(zero.trailer.error.code, 'deadline_exceeded')
})

test('filesystem errors', async () => {
    const call = async (name, message) => {
        const answer = await box.unary(`filesystem.Filesystem/${name}`, message)
        return [answer.status, json(answer).code]
    }
    assert.deepEqual(await call('Stat', { path: 'no' }), [404, 'not_found'])
    assert.deepEqual(await call('MakeDir', { path: 'w/v' }), [200, undefined])
    assert.deepEqual(await call('MakeDir', { path: 'w/v' }), [409, 'already_exists'])
    assert.deepEqual(await call('ListDir', { path: 'no' }), [404, 'not_found'])
    assert.equal((await box.unary('filesystem.Filesystem/ListDir', { path: 'w/v' })).body.toString(), '{}')
    assert.deepEqual(await call('Move', { source: 'no', destination: 'x' }), [404, 'not_found'])
    assert.deepEqual(await call('Remove', { path: 'no/such' }), [200, undefined])
    assert.deepEqual(await call('Remove', { path: 'w' }), [200, undefined])
})

test('routing: headers, hosts, tokens, proxy errors', async () => {
    const get = (path, headers) => request(e2b.url, { path, headers })
    const health = (headers) => get('/health', headers)
    const routing = { 'E2b-Sandbox-Id': box.id, 'E2b-Sandbox-Port': '49983' }
    assert.equal((await health(routing)).status, 204)
    assert.equal((await health({})).status, 204) // the control plane's own
    const one = await health({ 'E2b-Sandbox-Id': box.id })
    assert.deepEqual([one.status, json(one).message], [400, 'missing header'])
    assert.equal((await health({ Host: `49983-${box.id}.e2b.app` })).status, 204)
    const port = await get('/', { Host: `3000-${box.id}.e2b.app` })
    assert.deepEqual([port.status, json(port)], [
        502,
        {
            sandboxId: box.id,
            message: 'The sandbox is running but port is not open',
            port: 3000,
            code: 502,
        },
    ])
    const none = await health({ ...routing, 'E2b-Sandbox-Id': 'i00000000000000000000' })
    assert.equal(none.headers['content-type'], 'application/json; charset=utf-8')
    assert.deepEqual(json(none), {
        sandboxId: 'i00000000000000000000',
        message: 'The sandbox was not found',
        code: 502,
    })
    const init = await get('/init', routing)
    assert.deepEqual([init.status, json(init).path], [404, '/init'])
    for (const token of [undefined, 'wrong']) {
        const answer = await request(e2b.url, {
            method: 'POST',
            path: '/process.Process/Start',
            headers: {
                ...routing,
                'Content-Type': 'application/connect+json',
                ...(token && { 'X-Access-Token': token }),
            },
            body: envelope({ process: { cmd: 'true' } }),
        })
        assert.equal(answer.status, 401)
        assert.match(json(answer).message, /^unauthorized access/)
    }
    assert.deepEqual(Object.keys(json(await box.plain('GET', '/envs'))).sort(), [
        'E2B_SANDBOX',
        'E2B_SANDBOX_ID',
        'E2B_TEMPLATE_ID',
    ])
    assert.equal(json(await box.plain('GET', '/metrics')).cpu_count, 2)
})

test('download: ranges, conditions, errors', async () => {
    const upload = (path, body) =>
        box.plain('POST', `/files?path=${encodeURIComponent(path)}`, {
            headers: { 'Content-Type': 'application/octet-stream' },
            body,
        })
    const up = await upload('/home/user/a.txt', 'hello')
    assert.equal(up.headers['content-type'], 'text/plain; charset=utf-8')
    assert.deepEqual(json(up), [{ path: '/home/user/a.txt', name: 'a.txt', type: 'file' }])
    await upload('/home/user/empty', '')
    const get = (path, headers) => box.plain('GET', `/files?path=${encodeURIComponent(path)}`, { headers })
    const part = await get('/home/user/a.txt', { Range: 'bytes=2-' })
    assert.deepEqual(
        [part.status, part.headers['content-range'], part.headers['content-length'], part.body.toString()],
        [206, 'bytes 2-4/5', '3', 'llo'],
    )
    assert.equal((await get('a.txt', { Range: 'bytes=-2' })).body.toString(), 'lo')
    assert.equal((await get('a.txt', { Range: 'bytes=1-2' })).body.toString(), 'el')
    const past = await get('a.txt', { Range: 'bytes=5-' })
    assert.deepEqual([past.status, past.headers['content-range']], [416, 'bytes */5'])
    const empty = await get('empty', { Range: 'bytes=0-' })
    assert.deepEqual([empty.status, empty.body.length], [200, 0])
    const whole = await get('a.txt')
    assert.equal((await get('a.txt', { 'If-Modified-Since': whole.headers['last-modified'] })).status, 304)
    const gone = await get('/x')
    assert.deepEqual([gone.status, json(gone)], [404, { code: 404, message: "path '/x' does not exist" }])
    assert.equal((await get('/home/user')).status, 400)
    const user = await box.plain('GET', '/files?path=a.txt&username=nobody')
    assert.equal(user.status, 401)
})

test('upload: the multipart example, compose, replace', async () => {
    const body =
        '--B\r\nContent-Disposition: form-data; name="file"; filename="/home/user/a.txt"\r\n' +
        'Content-Type: application/octet-stream\r\n\r\nhello\r\n--B--\r\n'
    const type = { 'Content-Type': 'multipart/form-data; boundary=B' }
    const one = await box.plain('POST', '/files?path=%2Fhome%2Fuser%2Fa.txt', { headers: type, body })
    assert.equal(one.status, 200)
    assert.equal((await box.plain('GET', '/files?path=a.txt')).body.toString(), 'hello')
    const several = body
        .replace('--B--\r\n', '')
        .replace('a.txt', 'p1')
        .concat('--B\r\nContent-Disposition: form-data; name="file"; filename="p2"\r\n\r\n\r\n--A\r\n--B--\r\n')
    const two = await box.plain('POST', '/files', { headers: type, body: several })
    assert.deepEqual(json(two).map((f) => f.path), ['/home/user/p1', '/home/user/p2'])
    const joined = await box.plain('POST', '/files/compose', {
        headers: { 'Content-Type': 'application/json' },
        body: '{"source_paths":["/home/user/p1","p2"],"destination":"/tmp/all"}',
    })
    assert.deepEqual(json(joined), { path: '/tmp/all', name: 'all', type: 'file' })
    assert.equal((await box.plain('GET', '/files?path=/tmp/all')).body.toString(), 'hello\r\n--A')
    assert.equal((await box.plain('GET', '/files?path=p1')).status, 404)
})

test('signatures', async () => {
    const sign = (...parts) =>
        'v1_' + createHash('sha256').update(parts.join(':')).digest('base64').replace(/=+$/, '')
    // The page's own vectors prove the formula; the stand-in must agree with the formula.
    assert.equal(
        sign('hello.txt', 'read', 'user', '0tQG31xiMp0IOQfaz9dcwi72L1CPo8e0'),
        'v1_gUtH/s9YCJWgCizjfUxuWfhFE4QSydOWEIIvfLwDr6E',
    )
    assert.equal(
        sign('/home/user/a.txt', 'write', 'root', 'a'.repeat(64), '1795198946'),
        'v1_EAhGW7wflYmCR1bIelauV4qHCcjKu/BLm+svT6CMhx8',
    )
    const routing = { 'E2b-Sandbox-Id': box.id, 'E2b-Sandbox-Port': '49983' }
    const call = async (method, query) => {
        const answer = await request(e2b.url, {
            method,
            path: `/files?${new URLSearchParams(query)}`,
            headers: { ...routing, 'Content-Type': 'application/octet-stream' },
            body: method === 'POST' ? 'signed' : undefined,
        })
        return [answer.status, answer.status === 401 ? json(answer).message : answer.body.toString()]
    }
    const far = String(Math.floor(Date.now() / 1000) + 60)
    const past = String(Math.floor(Date.now() / 1000) - 60)
    const path = '/home/user/s.txt'
    const write = {
        path,
        username: 'root',
        signature: sign(path, 'write', 'root', box.token, far),
        signature_expiration: far,
    }
    assert.equal((await call('POST', write))[0], 200)
    const read = { path, signature: sign(path, 'read', '', box.token) }
    assert.deepEqual(await call('GET', read), [200, 'signed'])
    assert.deepEqual(await call('GET', { path }), [401, 'missing signature query parameter'])
    assert.deepEqual(await call('POST', read), [401, 'invalid signature'])
    const late = { path, signature: sign(path, 'read', '', box.token, past), signature_expiration: past }
    assert.deepEqual(await call('GET', late), [401, 'signature is already expired'])
})

test('create: both routes and what they refuse', async () => {
    const create = async (route, body, key = e2b.apiKey) => {
        const answer = await request(e2b.url, {
            method: 'POST',
            path: route,
            headers: { ...(key && { 'X-API-Key': key }), 'Content-Type': 'application/json' },
            body: typeof body === 'string' ? body : JSON.stringify(body),
        })
        return { status: answer.status, ...json(answer) }
    }
    const v1 = await create('/sandboxes', { templateID: 'base' })
    assert.equal(v1.status, 201)
    assert.equal('envdAccessToken' in v1, false)
    const open = new Box(e2b.url, v1, e2b.apiKey)
    assert.equal((await request(e2b.url, { path: '/envs', headers: { 'E2b-Sandbox-Id': v1.sandboxID, 'E2b-Sandbox-Port': '49983' } })).status, 200)
    const info = json(await open.api('GET', `/sandboxes/${v1.sandboxID}-6532622b`))
    assert.equal(Date.parse(info.endAt) - Date.parse(info.startedAt), 15_000)
    assert.equal((await open.api('DELETE', `/sandboxes/${v1.sandboxID}`)).status, 204)
    const secure = await create('/sandboxes', { templateID: 'base', secure: true, timeout: 60 })
    assert.match(secure.envdAccessToken, /^[0-9a-f]{64}$/)
    await open.api('DELETE', `/sandboxes/${secure.sandboxID}`)

    const refused = [
        [{ templateID: 'base', timeout: 0 }, 400, /^Timeout must be greater than 0$/],
        [{ templateID: 'base', timeout: 7201 }, 400, /^Timeout cannot be greater than 2 hours$/],
        [{ timeout: 60 }, 400, /^validation error: /],
        ['{', 400, /^validation error: /],
        [{ templateID: 'base', metadata: { a: 1 } }, 400, /^validation error: /],
        [{ templateID: 'x' }, 404, /^template 'x' not found$/],
        [{ templateID: 'base:t' }, 404, /^tag 't' does not exist for template 'base'$/],
        [{ templateID: 'base', network: { denyOut: ['github.com'] } }, 400, /denyOut/],
        [{ templateID: 'base', network: { allowOut: ['github.com'] } }, 400, /0\.0\.0\.0\/0/],
        [{ templateID: 'base', autoPauseMemory: false }, 400, /autoPause/],
    ]
    for (const [body, status, message] of refused) {
        const answer = await create('/v2/sandboxes', body)
        assert.equal(answer.status, status, JSON.stringify(body))
        assert.equal(answer.code, status)
        assert.match(answer.message, message)
    }
    const good = { templateID: 'base', autoPauseMemory: false }
    assert.deepEqual(await create('/v2/sandboxes', good, null), {
        status: 401,
        code: 401,
        message: 'authorization header is missing',
    })
    assert.match((await create('/v2/sandboxes', good, 'e2b_x')).message, /^Invalid API key, please visit/)
    assert.deepEqual(json(await box.api('GET', '/sandboxes/IX!')), {
        code: 400,
        message: 'Invalid sandbox ID',
    })
})

test('list as the page encodes it, old list, next token', async () => {
    const made = await Box.create(e2b, { metadata: { task: '42', owner: 'bot', 'a b': 'c&d' } })
    const ids = async (path) => json(await box.api('GET', path)).map((s) => s.sandboxID)
    assert.deepEqual(await ids('/v2/sandboxes?metadata=task%3D42%26owner%3Dbot&state=running&limit=100'), [made.id])
    assert.deepEqual(await ids('/v2/sandboxes?metadata=a%252520b%3Dc%252526d'), [made.id])
    assert.deepEqual(await ids('/sandboxes?metadata=task%3D42'), [made.id])
    const page = await box.api('GET', '/v2/sandboxes?limit=1')
    assert.deepEqual([page.headers['x-total-running'], json(page).length], ['2', 1])
    const next = await box.api('GET', `/v2/sandboxes?limit=1&nextToken=${page.headers['x-next-token']}`)
    assert.deepEqual([json(next)[0].sandboxID, next.headers['x-next-token']], [box.id, undefined])
    assert.deepEqual(json(await box.api('GET', '/v2/sandboxes?nextToken=%21')), {
        code: 400,
        message: 'Invalid next token',
    })
    await box.api('DELETE', `/sandboxes/${made.id}`)
})

test('life: timeout, refreshes, connect, pause, resume, auto-pause', async () => {
    const b = await Box.create(e2b)
    const at = `/sandboxes/${b.id}`
    const left = async () =>
        Math.round((Date.parse(json(await b.api('GET', at)).endAt) - Date.now()) / 1000)
    const post = async (path, body) => (await b.api('POST', path, body)).status
    assert.equal(await post(`${at}/timeout`, { timeout: 30 }), 204)
    assert.equal(await left(), 30)
    assert.equal(await post(`${at}/timeout`, { timeout: 7300 }), 400)
    assert.equal(await post(`${at}/refreshes`, { duration: 5 }), 204)
    assert.equal(await left(), 30)
    assert.equal(await post(`${at}/refreshes`, { duration: 600 }), 204)
    assert.equal(await left(), 600)
    assert.equal(await post(`/v2${at}/connect`, { timeout: 60 }), 200)
    assert.equal(await left(), 600)
    assert.equal(await post(`/v2${at}/connect`), 200)
    assert.equal(await post(`${at}/connect`, {}), 400)
    assert.equal(await post(`${at}/resume`, { timeout: 60 }), 409)

    const cut = b.shell('echo up; sleep 1000')
    await until(async () => json(await b.unary('process.Process/List', {})).processes)
    assert.equal(await post(`${at}/pause`, { memory: true }), 204)
    const stream = await cut
    assert.ok(stream.broken)
    assert.equal(summary(stream).trailer, undefined)
    const again = await b.api('POST', `${at}/pause`)
    assert.deepEqual([again.status, json(again).message], [
        409,
        `Error pausing sandbox - sandbox '${b.id}' is already paused`,
    ])
    assert.equal((await b.plain('GET', '/health')).status, 502)
    assert.equal(await post(`/v2${at}/connect`, { timeout: 60 }), 201)
    assert.equal(json(await b.unary('process.Process/List', {})).processes.length, 1)
    assert.equal(await post(`${at}/pause`, { memory: false }), 204)
    assert.equal(await post(`${at}/resume`, { timeout: 60 }), 201)
    assert.deepEqual(json(await b.unary('process.Process/List', {})), {})
    assert.equal((await b.api('DELETE', at)).status, 204)
    assert.equal((await b.api('DELETE', at)).status, 404)

    const sleepy = await Box.create(e2b, { autoPause: true, autoResume: { enabled: true } })
    await e2b.expire(sleepy.id)
    assert.equal(json(await sleepy.api('GET', `/sandboxes/${sleepy.id}`)).state, 'paused')
    assert.equal((await sleepy.plain('GET', '/health')).status, 204) // woken by traffic
    await sleepy.api('POST', `/sandboxes/${sleepy.id}/timeout`, { timeout: 0 })
    await until(async () => json(await sleepy.api('GET', `/sandboxes/${sleepy.id}`)).state === 'paused')
    await sleepy.api('DELETE', `/sandboxes/${sleepy.id}`)
})

test('the end of a sandbox cuts streams and kills what runs', async () => {
    const b = await Box.create(e2b)
    const stream = b.shell('setsid sleep 4242 & echo up; sleep 1000')
    await until(async () => json(await b.unary('process.Process/List', {})).processes)
    await e2b.expire(b.id)
    const s = await stream
    assert.ok(s.broken)
    assert.deepEqual(summary(s).end, undefined)
    assert.equal((await b.plain('GET', '/health')).status, 502)
    const dead = (await e2b.sandboxes()).sandboxes.find((x) => x.sandboxID === b.id)
    assert.deepEqual([dead.state, dead.death], ['dead', 'expired'])
})

test('network rules, templates, logs', async () => {
    const put = await box.api('PUT', `/sandboxes/${box.id}/network`, {
        allowOut: ['github.com', 'api.github.com'],
        denyOut: ['0.0.0.0/0'],
    })
    assert.equal(put.status, 204)
    assert.deepEqual(json(await box.api('GET', `/sandboxes/${box.id}`)).network.allowOut, [
        'github.com',
        'api.github.com',
    ])
    const alias = json(await box.api('GET', '/templates/aliases/base'))
    assert.equal(alias.public, true)
    assert.equal((await box.api('GET', '/templates/aliases/none')).status, 404)
    const [template] = json(await box.api('GET', '/v2/templates?limit=1'))
    assert.equal(template.templateID, alias.templateID)
    const { logs } = json(await box.api('GET', `/v2/sandboxes/${box.id}/logs?limit=1&search=started`))
    assert.equal(logs[0].message, 'Process started')
    const lonely = await Box.create(e2b, { allow_internet_access: false })
    const s = summary(await lonely.shell(`exec 3<>/dev/tcp/127.0.0.1/${port}`))
    assert.notEqual(s.end.exitCode, undefined)
    await lonely.api('DELETE', `/sandboxes/${lonely.id}`)
})

test('blanks and random pieces change nothing for a right parser', async () => {
    await e2b.options({ blanks: true, split: true })
    const text = 'äöü€😀'.repeat(300)
    const seen = new Set()
    for (let i = 0; i < 4; i++) {
        const s = await box.shell(`printf %s '${text}'; exit 4`)
        assert.equal(summary(s).stdout, text)
        assert.ok(summary(s).names.length > 5)
        assert.equal(summary(s).end.exitCode, 4)
        seen.add(s.body.includes('": ')).add(s.body.includes('":{'))
    }
    assert.ok(seen.has(true))
    await e2b.options({ blanks: false, split: false })
})

test('nothing of the host is seen inside', async () => {
    const s = summary(
        await box.shell(
            'env | cut -d= -f1 | sort | tr "\\n" " "; ls /home; ls -A /tmp /root | grep -c squadbot; ' +
                'tr "\\0" " " </proc/1/cmdline; tr "\\0" " " </proc/1/environ; ls /proc | grep -c "^[0-9]"',
        ),
    )
    const lines = s.stdout.split('\n')
    assert.equal(
        lines[0].replace(/\s+user$/, ''),
        'E2B_SANDBOX E2B_SANDBOX_ID E2B_TEMPLATE_ID HOME LOGNAME PATH PWD SHLVL USER _',
    )
    assert.ok(!s.stdout.includes(e2b.apiKey))
    assert.match(s.stdout, /\/run\/envd --inside 3/)
    const link = summary(await box.shell('ln -sf /etc/shadow leak; ln -sfn / root; ln -sfn /.. up'))
    assert.deepEqual(link.end, { exited: true, status: 'exit status 0' })
    assert.equal((await box.plain('GET', '/files?path=leak')).status, 404)
    assert.equal((await box.plain('GET', `/files?path=up/${encodeURIComponent(e2b.dataDir)}`)).status, 404)
})

test('tools of the test are found first, also by a login shell', async () => {
    const s = summary(await box.shell('agent 1; bash -lc "agent 2"'))
    assert.equal(s.stdout, 'agent 1\nagent 2\n')
})

test('a stand-in that is killed leaves no process behind', async () => {
    const other = await startE2b()
    const b = await Box.create(other)
    const mark = `sleep 98${process.pid}`
    b.shell(`setsid ${mark} & echo up; wait`).catch(() => {})
    const running = async () => {
        let found = 0
        for (const pid of await readdir('/proc')) {
            if (!/^\d+$/.test(pid)) continue
            const line = await readFile(`/proc/${pid}/cmdline`, 'latin1').catch(() => '')
            found += line.replaceAll('\0', ' ').startsWith(mark)
        }
        return found
    }
    await until(running)
    other.child.kill('SIGKILL')
    await until(async () => (await running()) === 0)
    await other.stop()
})
