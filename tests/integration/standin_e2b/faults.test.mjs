// The switches that make the stand-in fail, and the ledger that tells what was asked.
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { after, before, beforeEach, test } from 'node:test'
import { startE2b } from '../lib/standins.mjs'
import { Box, request, summary, until } from './raw.mjs'

let e2b
let box
before(async () => {
    e2b = await startE2b({ args: ['--creates-per-second', '1000'] })
    box = await Box.create(e2b)
})
beforeEach(() => e2b.clearFaults())
after(() => e2b?.stop())
const json = (answer) => JSON.parse(answer.body)
const create = (body = {}) =>
    request(e2b.url, {
        method: 'POST',
        path: '/v2/sandboxes',
        headers: { 'X-API-Key': e2b.apiKey, 'Content-Type': 'application/json' },
        body: JSON.stringify({ templateID: 'base', timeout: 60, ...body }),
    })

test('status, delay, skip, times', async () => {
    await e2b.faults([
        {
            match: 'POST /v2/sandboxes',
            skip: 1,
            times: 2,
            action: 'status',
            status: 503,
            ms: 200,
            body: { code: 503, message: 'no', error_code: 'sandbox_capacity_unavailable' },
            headers: { 'Retry-After': '7' },
        },
    ])
    const first = await create()
    assert.equal(first.status, 201)
    for (let i = 0; i < 2; i++) {
        const started = Date.now()
        const answer = await create()
        assert.ok(Date.now() - started >= 195)
        assert.deepEqual([answer.status, json(answer).error_code], [503, 'sandbox_capacity_unavailable'])
        assert.equal(answer.headers['retry-after'], '7')
    }
    const last = await create()
    assert.equal(last.status, 201)
    for (const made of [first, last]) await box.api('DELETE', `/sandboxes/${json(made).sandboxID}`)
})

test('reset, hang, and a create that is lost but happened', async () => {
    await e2b.clearLedger()
    await e2b.faults([{ match: 'POST /v2/sandboxes', action: 'reset' }])
    await assert.rejects(create(), { code: 'ECONNRESET' })
    await e2b.faults({ match: 'POST /v2/sandboxes', action: 'lost' })
    await assert.rejects(create({ metadata: { attempt: 'lost' } }), { code: 'ECONNRESET' })
    const found = json(await box.api('GET', '/v2/sandboxes?metadata=attempt%3Dlost'))
    assert.equal(found.length, 1)
    await box.api('DELETE', `/sandboxes/${found[0].sandboxID}`)
    await e2b.faults({ match: 'GET /sandboxes/*', action: 'hang' })
    const hung = fetch(`${e2b.url}/sandboxes/${box.id}`, {
        headers: { 'X-API-Key': e2b.apiKey },
        signal: AbortSignal.timeout(200),
    })
    await assert.rejects(hung, { name: 'TimeoutError' })

    const rows = await until(async () => {
        const all = await e2b.ledger()
        return all.every((r) => 'ms' in r) && all
    })
    assert.deepEqual(
        rows.map((r) => [r.method, r.path.replace(/\/i[a-z0-9]{20}$/, ''), r.status, r.fault]),
        [
            ['POST', '/v2/sandboxes', 0, 'reset'],
            ['POST', '/v2/sandboxes', 201, 'lost'],
            ['GET', '/v2/sandboxes', 200, undefined],
            ['DELETE', '/sandboxes', 204, undefined],
            ['GET', '/sandboxes', 0, 'hang'],
        ],
    )
    assert.equal(rows[1].sandbox, found[0].sandboxID)
    assert.equal(rows[1].body.metadata.attempt, 'lost')
})

test('rate limit and concurrency', async () => {
    await e2b.options({ creates_per_second: 1 })
    const answers = [await create(), await create(), await create()]
    await e2b.options({ creates_per_second: 0 })
    const limited = answers.filter((a) => a.status === 429)
    assert.ok(limited.length >= 1)
    assert.deepEqual([limited[0].headers['retry-after'], json(limited[0]).message], ['1', 'Rate limit exceeded'])
    for (const a of answers.filter((x) => x.status === 201))
        await box.api('DELETE', `/sandboxes/${json(a).sandboxID}`)
    await e2b.options({ max_concurrent: 1 })
    const full = await create()
    assert.equal(full.status, 429)
    assert.equal(full.headers['retry-after'], undefined)
    assert.match(json(full).message, /^you have reached the maximum number of concurrent E2B sandboxes \(1\)/)
    await e2b.options({ max_concurrent: 20 })
})

test('streams: cut in an envelope, ended without trailer, slow', async () => {
    await e2b.faults({ match: 'DATA POST /process.Process/Start', action: 'cut', after_bytes: 60 })
    const cut = await box.shell('echo 0123456789; echo x; sleep 0.2; echo 0123456789')
    assert.equal(cut.broken, 'ECONNRESET')
    assert.equal(cut.body.length, 60)
    assert.ok(cut.rest.length > 0)
    await e2b.faults({ match: 'DATA POST /process.Process/Start', action: 'noend' })
    const open = await box.shell('echo hi')
    assert.equal(open.broken, null)
    assert.deepEqual([summary(open).end.exited, summary(open).trailer], [true, undefined])
    await e2b.faults({ match: 'DATA POST /process.Process/Start', action: 'slow', bytes: 20, ms: 20 })
    const started = Date.now()
    assert.equal(summary(await box.shell('echo hi')).stdout, 'hi\n')
    assert.ok(Date.now() - started > 100)
})

test('the proxy: transient 502 on a live sandbox, 429, a changed token, a full disk', async () => {
    await e2b.faults([
        {
            match: 'DATA *',
            action: 'status',
            status: 502,
            body: { sandboxId: box.id, message: 'The sandbox was not found', code: 502 },
        },
        { match: 'DATA *', action: 'status', status: 429, body: '<html>busy</html>' },
        { match: 'DATA POST /files[?]*', action: 'status', status: 507, body: { code: 507, message: 'full' } },
    ])
    assert.equal((await box.plain('GET', '/health')).status, 502)
    const busy = await box.plain('GET', '/health')
    assert.deepEqual([busy.status, busy.body.toString()], [429, '<html>busy</html>'])
    assert.equal((await box.plain('GET', '/health')).status, 204)
    const upload = () =>
        box.plain('POST', '/files?path=x', { headers: { 'Content-Type': 'application/octet-stream' }, body: 'x' })
    assert.equal((await upload()).status, 507)
    assert.equal((await upload()).status, 200)
    await e2b.changeToken(box.id)
    assert.equal((await box.unary('process.Process/List', {})).status, 401)
    box.token = json(await box.api('GET', `/sandboxes/${box.id}`)).envdAccessToken
    assert.equal((await box.unary('process.Process/List', {})).status, 200)
})

test('a large upload and download', async () => {
    const size = Number(process.env.SQUADBOT_BIG_MB ?? 64) << 20
    const made = summary(await box.shell(`head -c ${size} /dev/urandom >big && sha256sum <big | cut -c1-64`))
    const response = await fetch(`${e2b.url}/files?path=big`, { headers: box.headers() })
    const hash = createHash('sha256')
    for await (const piece of response.body) hash.update(piece)
    assert.equal(hash.digest('hex'), made.stdout.trim())
    // Sent back in chunks, as a pack of unknown length would be.
    const file = `${e2b.dataDir}/${box.id}/home/user/big`
    const up = await fetch(`${e2b.url}/files?path=copy`, {
        method: 'POST',
        headers: box.headers({ 'Content-Type': 'application/octet-stream' }),
        body: createReadStream(file),
        duplex: 'half',
    })
    assert.equal(up.status, 200)
    const same = summary(await box.shell('cmp big copy && rm big copy && echo same'))
    assert.equal(same.stdout, 'same\n')
})

test('many at once leave nothing behind', async () => {
    const boxes = await Promise.all(Array.from({ length: 12 }, () => Box.create(e2b)))
    const outputs = await Promise.all(boxes.map((b) => b.shell('echo $E2B_SANDBOX_ID; sleep 0.1')))
    assert.deepEqual(outputs.map((o) => summary(o).stdout.trim()), boxes.map((b) => b.id))
    await Promise.all(boxes.map((b) => b.api('DELETE', `/sandboxes/${b.id}`)))
    const { active, peak } = await e2b.sandboxes()
    assert.equal(active, 1)
    assert.ok(peak >= 13)
})
