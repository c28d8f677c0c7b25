// The edge: every status that the contract promises for webhooks and the API, and everything that
// HTTP clients should not send (F40 to F45): ambiguous lengths, folded headers, slow and silent
// clients, requests behind requests. Sent as raw bytes where no client would.
import { test, before, after, describe } from 'node:test'
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { createHmac, randomBytes, randomUUID } from 'node:crypto'
import { chmod, mkdtemp, readFile, readdir, readlink, rm } from 'node:fs/promises'
import https from 'node:https'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import tls from 'node:tls'
import { promisify } from 'node:util'
import { exchange } from './lib/raw.mjs'
import { startBot, until } from './lib/world.mjs'

const run = promisify(execFile)
const secret = randomBytes(32).toString('hex')
const previous = randomBytes(32).toString('hex')
const token = randomBytes(32).toString('hex')
const nowhere = 'http://127.0.0.1:9'
const baseEnv = {
  GITHUB_TOKEN: 'ghp_0123456789abcdef0123456789abcdef0123',
  GITHUB_API_URL: nowhere,
  GITHUB_URL: nowhere,
  E2B_API_KEY: 'e2b_0123456789abcdef0123456789abcdef01234567',
  E2B_API_URL: nowhere,
  E2B_SANDBOX_URL: nowhere,
}
let bot
let dataDir

// Of the private cluster of a bot.
async function sql(text, dir = dataDir) {
  const pid = await readFile(path.join(dir, 'pg', 'data', 'postmaster.pid'), 'utf8')
  const info = `host=${pid.split('\n')[4]} user=squadbot dbname=postgres`
  const { stdout } = await run('psql', [info, '-AtX', '-v', 'ON_ERROR_STOP=1', '-c', text])
  return stdout.trim()
}

before(async () => {
  dataDir = await mkdtemp(path.join(tmpdir(), 'squadbot-edge-'))
  bot = await startBot({
    dataDir,
    env: {
      ...baseEnv,
      GITHUB_WEBHOOK_SECRET: secret,
      GITHUB_WEBHOOK_SECRET_PREVIOUS: previous,
      SQUADBOT_API_TOKEN: token,
    },
  })
})
after(async () => {
  if (bot) await bot.kill()
  await rm(dataDir, { recursive: true, force: true })
})

const sign = (body, key = secret) => `sha256=${createHmac('sha256', key).update(body).digest('hex')}`

// What GitHub would send; `change` replaces headers (undefined leaves one out).
function headersOf(body, change = {}) {
  const headers = {
    'content-type': 'application/json',
    'x-github-event': 'issues',
    'x-github-delivery': randomUUID(),
    'x-hub-signature-256': sign(body),
    ...change,
  }
  return Object.fromEntries(Object.entries(headers).filter(([, value]) => value !== undefined))
}
const post = (body, change, where = bot.url) =>
  fetch(`${where}/webhooks/github`, { method: 'POST', headers: headersOf(body, change), body })

// The same as raw bytes.
function rawPost(body, change = {}, extra = '') {
  const bytes = Buffer.from(body)
  const lines = Object.entries(headersOf(body, { 'content-length': String(bytes.length), ...change }))
  const head = lines.map(([name, value]) => `${name}: ${value}\r\n`).join('')
  return `POST /webhooks/github HTTP/1.1\r\nHost: localhost\r\n${head}${extra}\r\n${bytes.toString('latin1')}`
}

const api = (where, options = {}) =>
  fetch(`${bot.url}/api/v1/${where}`, {
    ...options,
    headers: { authorization: `Bearer ${token}`, ...options.headers },
  })

async function assertError(answer, status, kind) {
  assert.equal(answer.status, status)
  assert.match(answer.headers.get('content-type'), /^application\/json/)
  const { error } = await answer.json()
  assert.equal(typeof error.message, 'string')
  assert.equal(error.kind, kind)
  return error
}

const body = JSON.stringify({ action: 'opened', number: 1, note: 'a "quoted" \u20ac' })

describe('POST /webhooks/github', () => {
  test('stores a delivery once', async () => {
    const guid = randomUUID()
    for (const result of ['accepted', 'duplicate', 'duplicate']) {
      const answer = await post(body, { 'x-github-delivery': guid })
      assert.equal(answer.status, 202)
      assert.deepEqual(await answer.json(), { delivery: guid, result })
    }
    assert.equal(await sql(`SELECT convert_from(body, 'UTF8') FROM inbox WHERE guid = '${guid}'`), body)
  })

  test('ignores ping and events that nobody wants, and keeps neither', async () => {
    for (const event of ['ping', 'star', 'something_new']) {
      const guid = randomUUID()
      const answer = await post(body, { 'x-github-event': event, 'x-github-delivery': guid })
      assert.equal(answer.status, 202)
      assert.deepEqual(await answer.json(), { delivery: guid, result: 'ignored' })
      assert.equal(await sql(`SELECT count(*) FROM inbox WHERE guid = '${guid}'`), '0')
    }
  })

  test('accepts the previous secret too', async () => {
    assert.equal((await post(body, { 'x-hub-signature-256': sign(body, previous) })).status, 202)
  })

  const other = randomBytes(32).toString('hex')
  const refusals = [
    ['no signature', 401, { 'x-hub-signature-256': undefined }],
    ['an empty signature', 401, { 'x-hub-signature-256': '' }],
    ['another secret', 401, { 'x-hub-signature-256': sign(body, other) }],
    ['the signature of another body', 401, { 'x-hub-signature-256': sign(`${body} `) }],
    ['upper-case digits', 401, { 'x-hub-signature-256': sign(body).toUpperCase() }],
    ['no prefix', 401, { 'x-hub-signature-256': sign(body).slice(7) }],
    ['SHA-1', 401, { 'x-hub-signature-256': sign(body).replace('sha256', 'sha1') }],
    ['a short signature', 401, { 'x-hub-signature-256': sign(body).slice(0, -1) }],
    ['a long signature', 401, { 'x-hub-signature-256': `${sign(body)}0` }],
    ['no content type', 415, { 'content-type': '' }],
    ['a form', 415, { 'content-type': 'application/x-www-form-urlencoded' }],
    ['text', 415, { 'content-type': 'text/json' }],
    ['no event', 400, { 'x-github-event': undefined }],
    ['an empty event', 400, { 'x-github-event': '' }],
    ['no delivery', 400, { 'x-github-delivery': undefined }],
    ['a delivery that is too long', 400, { 'x-github-delivery': 'a'.repeat(201) }],
    ['a delivery with spaces', 400, { 'x-github-delivery': 'a b' }],
  ]
  for (const [name, status, change] of refusals)
    test(`${status} for ${name}`, async () => {
      const before = await sql('SELECT count(*) FROM inbox')
      await assertError(await post(body, change), status, status === 401 ? 'denied' : 'input')
      assert.equal(await sql('SELECT count(*) FROM inbox'), before)
    })

  test('takes a content type with parameters and a GUID of 200 characters', async () => {
    const guid = randomBytes(100).toString('hex')
    const change = { 'content-type': 'Application/JSON; charset=utf-8', 'x-github-delivery': guid }
    assert.deepEqual(await (await post(body, change)).json(), { delivery: guid, result: 'accepted' })
  })

  test('the signature comes first: whatever else is wrong, it is 401', async () => {
    const change = { 'x-hub-signature-256': sign('x'), 'content-type': 'text/plain', 'x-github-event': '' }
    await assertError(await post('{', change), 401, 'denied')
  })

  const broken = ['', ' ', '{', '{"a":1}x', '{"a":\u0001}', "{'a':1}", '{"a":01}', '"\\ud800"', '[1,]', '['.repeat(600) + ']'.repeat(600)]
  test('400 for what is not JSON', async () => {
    for (const text of broken) await assertError(await post(text), 400, 'input')
    const bytes = Buffer.from('{"a":"\xff"}', 'latin1')
    await assertError(await post(bytes), 400, 'input')
  })

  const limit = 25 * 1024 * 1024
  const large = (n) => `"${'x'.repeat(n - 2)}"`
  test('takes 25 MiB, refuses one byte more with 413', async () => {
    const most = large(limit)
    assert.equal((await post(most)).status, 202)
    await assertError(await post(large(limit + 1)), 413, 'input')
    await assertError(await post(large(limit + 1), { 'x-hub-signature-256': 'sha256=0' }), 413, 'input')
  })
  test('413 reaches a client that is still sending', async () => {
    for (let i = 0; i < 3; i++) await assertError(await post(large(limit + 7000000)), 413, 'input')
    const claim = `POST /webhooks/github HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n`
    const { answers } = await exchange(bot.url, [claim, 'x'.repeat(3000000)], { wanted: 1 })
    assert.equal(answers[0].status, 413)
    assert.equal(JSON.parse(answers[0].body).error.kind, 'input')
    const chunked = `POST /webhooks/github HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n`
    const chunk = `100000\r\n${'x'.repeat(1 << 20)}\r\n`
    const second = await exchange(bot.url, [chunked, ...Array(30).fill(chunk)], { wanted: 1, limitMs: 15000 })
    assert.equal(second.answers[0]?.status, 413)
  })

  test('503 with Retry-After while the database refuses, and nothing is lost later', async () => {
    const guid = randomUUID()
    await sql('ALTER TABLE inbox RENAME TO inbox_away')
    try {
      const answer = await post(body, { 'x-github-delivery': guid })
      assert.equal(answer.headers.get('retry-after'), '10')
      await assertError(answer, 503, 'upstream')
    } finally {
      await sql('ALTER TABLE inbox_away RENAME TO inbox')
    }
    assert.equal((await (await post(body, { 'x-github-delivery': guid })).json()).result, 'accepted')
  })

  test('counts what it did', async () => {
    const text = await (await fetch(`${bot.url}/metrics`)).text()
    for (const result of ['accepted', 'duplicate'])
      assert.match(text, new RegExp(`webhook_deliveries_total\\{event="issues",result="${result}"\\} [1-9]`))
    assert.match(text, /webhook_deliveries_total\{event="ping",result="ignored"\} [1-9]/)
    assert.doesNotMatch(text, /something_new/)
    assert.match(text, /http_requests_total\{route="\/webhooks\/github",code="202"\} [1-9]/)
    assert.match(text, /webhook_request_seconds_count [1-9]/)
  })
})

describe('other paths', () => {
  test('probes and metrics', async () => {
    assert.equal((await fetch(`${bot.url}/healthz`)).status, 200)
    assert.equal((await fetch(`${bot.url}/readyz`)).status, 200)
    const answer = await fetch(`${bot.url}/metrics`)
    assert.equal(answer.headers.get('content-type'), 'text/plain; version=0.0.4; charset=utf-8')
    assert.equal(answer.headers.get('x-content-type-options'), 'nosniff')
    assert.equal(answer.headers.get('server'), null)
    for (const where of ['healthz', 'readyz', 'metrics', 'api/v1/tasks']) {
      const head = await fetch(`${bot.url}/${where}`, {
        method: 'HEAD',
        headers: { authorization: `Bearer ${token}` },
      })
      assert.equal(head.status, 200, where)
      assert.equal(await head.text(), '')
    }
  })

  test('404 for everything that is not a route by its only spelling', async () => {
    const paths = ['/', '/nope', '/healthz/', '/healthz/x', '/HEALTHZ', '//healthz', '/x/../healthz', '/%68ealthz', '/./healthz', '/webhooks/github/', '/api/v1/tasks/', '/api/v1/tasks/a%2Fb', '/api/v1/tasks/a/b', `/api/v1/tasks/${'a'.repeat(65)}`]
    for (const p of paths) {
      const { answers } = await exchange(bot.url, `GET ${p} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${token}\r\n\r\n`, { wanted: 1 })
      assert.equal(answers[0].status, 404, p)
      assert.equal(JSON.parse(answers[0].body).error.kind, 'gone', p)
    }
  })

  test('405 names what is allowed', async () => {
    for (const [method, p, allow] of [
      ['GET', '/webhooks/github', 'POST'],
      ['POST', '/healthz', 'GET, HEAD'],
      ['DELETE', '/api/v1/tasks', 'GET, HEAD'],
      ['GET', '/api/v1/tasks/x/cancel', 'POST'],
      ['POST', '/api/v1/tasks/x/events', 'GET'],
    ]) {
      const answer = await fetch(bot.url + p, { method })
      assert.equal(answer.headers.get('allow'), allow, p)
      await assertError(answer, 405, 'input')
    }
  })
})

describe('ambiguous requests', () => {
  // Behind each stands a well-formed, signed delivery that must not be processed.
  const n = Buffer.byteLength(body)
  const hidden = (guid) => rawPost(body, { 'x-github-delivery': guid })
  const get = 'GET /healthz HTTP/1.1\r\n'
  const rows = [
    ['two different Content-Length', rawPost(body, {}, `Content-Length: ${n + 1}\r\n`)],
    ['the same Content-Length twice', rawPost(body, {}, `Content-Length: ${n}\r\n`)],
    ['a Content-Length list', rawPost(body, { 'content-length': `${n}, ${n}` })],
    ['a signed Content-Length', rawPost(body, { 'content-length': `+${n}` })],
    ['a negative Content-Length', rawPost(body, { 'content-length': '-1' })],
    ['an empty Content-Length', rawPost(body, { 'content-length': '' })],
    ['a hexadecimal Content-Length', rawPost(body, { 'content-length': '0x10' })],
    ['Content-Length and chunked', rawPost('0\r\n\r\n', {}, 'Transfer-Encoding: chunked\r\n')],
    ['chunked and Content-Length', rawPost('0\r\n\r\n', { 'content-length': undefined }, 'Transfer-Encoding: chunked\r\nContent-Length: 5\r\n')],
    ['identity, then chunked', `${get}Host: x\r\nTransfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`],
    ['chunked twice', `${get}Host: x\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`],
    ['gzip, chunked', `${get}Host: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n`],
    ['chunked in HTTP/1.0', `GET /healthz HTTP/1.0\r\nHost: x\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`],
    ['a space before the colon', `${get}Host: x\r\nContent-Length : 5\r\n\r\nhello`],
    ['a folded line', `${get}Host: x\r\nX-A: b\r\n c\r\n\r\n`],
    ['a folded line that hides a length', `${get}Host: x\r\nX-A: b\r\n\tContent-Length: 5\r\n\r\n`],
    ['lines that end with LF', 'GET /healthz HTTP/1.1\nHost: x\n\n'],
    ['one line that ends with LF', `${get}Host: x\nX-A: b\r\n\r\n`],
    ['an LF that ends the head', `${get}Host: x\r\n\n`],
    ['a CR inside a value', `${get}Host: x\r\nX-A: b\rc\r\n\r\n`],
    ['NUL in a value', `${get}Host: x\r\nX-A: b\0c\r\n\r\n`],
    ['a header without name', `${get}Host: x\r\n: b\r\n\r\n`],
    ['a header without colon', `${get}Host: x\r\nnothing\r\n\r\n`],
    ['no Host', `${get}X-A: b\r\n\r\n`],
    ['two Hosts', `${get}Host: x\r\nHost: y\r\n\r\n`],
    ['a Host with a path', `${get}Host: x/y\r\n\r\n`],
    ['the whole URL as target', 'GET http://evil.example/healthz HTTP/1.1\r\nHost: x\r\n\r\n'],
    ['no path as target', 'OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n'],
    ['an authority as target', 'CONNECT evil.example:443 HTTP/1.1\r\nHost: x\r\n\r\n'],
    ['a fragment in the target', 'GET /healthz#x HTTP/1.1\r\nHost: x\r\n\r\n'],
    ['an unknown method', 'G@T /healthz HTTP/1.1\r\nHost: x\r\n\r\n'],
    ['a method in lower case', 'get /healthz HTTP/1.1\r\nHost: x\r\n\r\n'],
    ['HTTP/1.9', 'GET /healthz HTTP/1.9\r\nHost: x\r\n\r\n'],
    ['two spaces', 'GET  /healthz HTTP/1.1\r\nHost: x\r\n\r\n'],
    ['an empty line in front', `\r\n${get}Host: x\r\n\r\n`],
    ['101 headers', `${get}Host: x\r\n${'X-A: b\r\n'.repeat(100)}\r\n`],
    ['HTTP/2 by prior knowledge', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0'],
    ['something that is not HTTP', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03'],
    ['a broken chunk', `POST /webhooks/github HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n\r\n`],
  ]
  for (const [name, bytes] of rows)
    test(`400 and close: ${name}`, async () => {
      const guid = randomUUID()
      const { answers, closed } = await exchange(bot.url, bytes + hidden(guid))
      assert.deepEqual(answers.map((a) => a.status), [400])
      assert.ok(closed, 'the connection is closed')
      assert.equal(await sql(`SELECT count(*) FROM inbox WHERE guid = '${guid}'`), '0')
    })

  test('headers over 64 KiB: 431 and close', async () => {
    const { answers, closed } = await exchange(bot.url, `${get}Host: x\r\nX-A: ${'b'.repeat(70000)}\r\n\r\n`)
    assert.deepEqual([answers.map((a) => a.status), closed], [[431], true])
  })
  test('headers of 600 KB: refused and closed', async () => {
    const { answers, closed } = await exchange(bot.url, `${get}Host: x\r\nX-A: ${'b'.repeat(600000)}\r\n\r\n`)
    assert.ok(closed && answers.every((a) => a.status >= 400), 'no success')
  })
  test('an expectation that we do not know: 417', async () => {
    const { answers } = await exchange(bot.url, rawPost(body, {}, 'Expect: 200-ok\r\n'))
    assert.equal(answers[0].status, 417)
  })
  test('an h2c upgrade is not taken', async () => {
    const bytes = `${get}Host: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n`
    const { answers } = await exchange(bot.url, bytes, { wanted: 1 })
    assert.equal(answers[0].status, 200)
  })
})

describe('connections', () => {
  test('clean requests follow each other on one connection, sent one by one or together', async () => {
    const guids = [1, 2, 3].map(() => randomUUID())
    const bytes = guids.map((guid) => rawPost(body, { 'x-github-delivery': guid }))
    const { answers, closed } = await exchange(bot.url, bytes.join(''), { wanted: 3 })
    assert.equal(closed, false)
    assert.deepEqual(
      answers.map((a) => [a.status, JSON.parse(a.body).delivery, a.headers.connection]),
      guids.map((guid) => [202, guid, 'keep-alive']),
    )
  })
  test('a request in small pieces', async () => {
    const bytes = rawPost(body)
    const socket = connect({ host: '127.0.0.1', port: new URL(bot.url).port, noDelay: true })
    let text = ''
    socket.on('data', (piece) => (text += piece))
    for (let i = 0; i < bytes.length; i += 7) {
      socket.write(bytes.slice(i, i + 7), 'latin1')
      await new Promise((resolve) => setImmediate(resolve))
    }
    await until('an answer', () => text.includes('accepted'), 5000)
    socket.destroy()
  })
  test('a chunked request is answered and closes the connection', async () => {
    const guid = randomUUID()
    const head = rawPost('', { ...headersOf(body), 'x-github-delivery': guid, 'content-length': undefined, 'transfer-encoding': 'chunked' })
    const half = body.length >> 1
    const chunks = [body.slice(0, half), body.slice(half)].map((c) => `${Buffer.byteLength(c).toString(16)};ext=1\r\n${c}\r\n`)
    const bytes = Buffer.from(`${head}${chunks.join('')}0\r\nTrailer: x\r\n\r\n${rawPost(body)}`)
    const { answers, closed } = await exchange(bot.url, bytes.toString('latin1'))
    assert.deepEqual(answers.map((a) => [a.status, a.headers.connection]), [[202, 'close']])
    assert.ok(closed)
  })
  test('Connection: close and HTTP/1.0 close', async () => {
    for (const bytes of ['GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n', 'GET /healthz HTTP/1.0\r\n\r\n']) {
      const { answers, closed } = await exchange(bot.url, bytes)
      assert.deepEqual([answers.map((a) => a.status), closed], [[200], true])
    }
  })
  test('Expect: 100-continue', async () => {
    const { answers, text } = await exchange(bot.url, rawPost(body, {}, 'Expect: 100-continue\r\n'), { wanted: 1 })
    assert.match(text, /^HTTP\/1\.1 100 Continue/)
    assert.equal(answers[0].status, 202)
  })
  test('a client that leaves before its answer does no harm', async () => {
    const guids = Array.from({ length: 50 }, () => randomUUID())
    await Promise.all(
      guids.map(
        (guid) =>
          new Promise((resolve) => {
            const socket = connect({ host: '127.0.0.1', port: new URL(bot.url).port })
            socket.on('connect', () => socket.write(rawPost(body, { 'x-github-delivery': guid }), () => socket.resetAndDestroy()))
            socket.on('close', resolve)
            socket.on('error', () => {})
          }),
      ),
    )
    assert.equal((await post(body)).status, 202)
  })
})

const sockets = async () => {
  const dir = `/proc/${bot.child.pid}/fd`
  const links = await Promise.all((await readdir(dir)).map((fd) => readlink(path.join(dir, fd)).catch(() => '')))
  return links.filter((link) => link.startsWith('socket:')).length
}

describe('slow clients', { concurrency: true }, () => {
  const closesIn = async (pieces) => {
    const { closed, ms } = await exchange(bot.url, pieces, { limitMs: 14000 })
    assert.ok(closed && ms > 5000, `closed ${closed} after ${ms} ms`)
  }
  test('an idle connection is closed', () => closesIn([]))
  test('a head that never ends is closed', () => closesIn(['GET /healthz HTTP/1.1\r\nHost: x\r\nX-A:']))
  test('a body that never ends is closed', () => closesIn([rawPost(body).slice(0, -5)]))
  test('a head that drips is closed', async () => {
    const socket = connect({ host: '127.0.0.1', port: new URL(bot.url).port })
    socket.on('error', () => {})
    let closed = false
    socket.on('close', () => (closed = true))
    socket.write('GET /healthz HTTP/1.1\r\nHost: x\r\nX-A: ')
    const drip = setInterval(() => socket.write('b'), 200)
    await until('closed', () => closed, 14000)
    clearInterval(drip)
  })
  test('a client that never reads is dropped', async () => {
    const id = `never-reads-${randomBytes(4).toString('hex')}`
    await addTask(id, 'waiting')
    await sql(`INSERT INTO task_events (task_id, kind, data) SELECT '${id}', 'log', jsonb_build_object('stream', 'stdout', 'text', repeat('x', 60000)) FROM generate_series(1, 400)`)
    const before = await sockets()
    const clients = ['log', 'events'].map((what) => {
      const socket = connect({ host: '127.0.0.1', port: new URL(bot.url).port })
      socket.on('error', () => {})
      socket.pause()
      socket.write(`GET /api/v1/tasks/${id}/${what} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${token}\r\n\r\n`)
      return socket
    })
    await until('both are served', async () => (await sockets()) >= before + 2, 5000)
    await until('both are dropped', async () => (await sockets()) <= before, 40000)
    for (const socket of clients) socket.destroy()
  })
})

// ---------------------------------------------------------------------------------------- the API

async function addTask(id, state, more = {}) {
  const row = { id, state, source: 'api', repository_id: 1, repository: 'acme/hello', title: `Task ${id}`, ...more }
  if (!['queued', 'running', 'waiting'].includes(state)) row.finished_at = '2026-11-20T18:00:00Z'
  const text = JSON.stringify(row).replaceAll("'", "''")
  const names = Object.keys(row).join(', ')
  await sql(`INSERT INTO task_executions (${names}) SELECT ${names} FROM jsonb_populate_record(NULL::task_executions, '${text}')`)
}
const addEvent = (id, kind, data) =>
  sql(`INSERT INTO task_events (task_id, kind, data) VALUES ('${id}', '${kind}', '${JSON.stringify(data).replaceAll("'", "''")}'); SELECT pg_notify('events', '${id}')`)

describe('the API', () => {
  test('wants its token', async () => {
    for (const authorization of [undefined, '', 'Bearer', 'Bearer wrong', `Basic ${token}`, `Bearer ${token}x`, `Bearer ${token.slice(1)}`]) {
      const headers = authorization === undefined ? {} : { authorization }
      const answer = await fetch(`${bot.url}/api/v1/tasks`, { headers })
      assert.equal(answer.headers.get('www-authenticate'), 'Bearer')
      await assertError(answer, 401, 'denied')
    }
    assert.equal((await api('tasks')).status, 200)
    assert.equal((await api('tasks', { headers: { authorization: `bearer ${token}` } })).status, 200)
  })

  test('tells a task with every member', async () => {
    await addTask('plain', 'waiting')
    assert.deepEqual(Object.keys(await (await api('tasks/plain')).json()), [
      'id', 'state', 'step', 'repository', 'issue', 'title', 'branch', 'base', 'head_sha', 'pull_request', 'sandbox_id', 'agent', 'squad', 'requested_by', 'attempt', 'queue_position', 'error', 'cost_usd', 'tokens', 'commits', 'created_at', 'started_at', 'finished_at',
    ])
    await addTask('full', 'failed', {
      issue: 7, title: 'Say "hi" \\ \u20ac', git_branch: 'task-7', base: 'main', head_sha: 'a'.repeat(40), pull_request: 9, pull_request_url: 'https://github.com/acme/hello/pull/9', pull_request_state: 'draft', error_kind: 'agent', error_message: 'it\nfailed', cost_usd: 1.25, tokens_input: 10, tokens_output: 20, commit_history: [{ sha: 'b'.repeat(40), message: 'feat: x' }], requested_by: 'ada', squad: 's1', agent: 'tests', attempt: 2, created_at: '2026-11-20T17:00:00.5Z', started_at: '2026-11-20T17:00:01Z',
    })
    const task = await (await api('tasks/full')).json()
    assert.deepEqual(task, {
      id: 'full', state: 'failed', step: null, repository: 'acme/hello', issue: 7, title: 'Say "hi" \\ \u20ac', branch: 'task-7', base: 'main', head_sha: 'a'.repeat(40), pull_request: { number: 9, url: 'https://github.com/acme/hello/pull/9', state: 'draft' }, sandbox_id: null, agent: 'tests', squad: 's1', requested_by: 'ada', attempt: 2, queue_position: null, error: { kind: 'agent', message: 'it\nfailed' }, cost_usd: 1.25, tokens: { input: 10, output: 20 }, commits: [{ sha: 'b'.repeat(40), message: 'feat: x' }], created_at: '2026-11-20T17:00:00.500Z', started_at: '2026-11-20T17:00:01.000Z', finished_at: '2026-11-20T18:00:00.000Z',
    })
    await assertError(await api('tasks/nobody'), 404, 'gone')
  })

  test('lists by filter and page', async () => {
    for (let i = 0; i < 5; i++) await addTask(`page-${i}`, 'succeeded', { repository: 'acme/pages', squad: i < 2 ? 's-pages' : null })
    const ids = []
    let cursor = ''
    do {
      const page = await (await api(`tasks?repository=acme/pages&limit=2${cursor}`)).json()
      ids.push(...page.items.map((t) => t.id))
      cursor = page.next_cursor === null ? null : `&cursor=${page.next_cursor}`
    } while (cursor !== null)
    assert.deepEqual([...ids].sort(), [0, 1, 2, 3, 4].map((i) => `page-${i}`))
    assert.equal((await (await api('tasks?squad=s-pages')).json()).items.length, 2)
    assert.equal((await (await api('tasks?repository=acme%2Fpages&state=failed')).json()).items.length, 0)
  })

  for (const [query, name] of [
    ['state=nope', 'state'], ['state=', 'state'], ['limit=0', 'limit'], ['limit=101', 'limit'], ['limit=1e1', 'limit'], ['limit=', 'limit'], ['repository=acme', 'repository'], ['repository=a/b/c', 'repository'], ['repository=%', 'repository'], ['squad=', 'squad'], ['cursor=zz', 'cursor'], ['nope=1', 'nope'], ['state=failed&state=queued', 'state'], ['state=%00', 'state'],
  ])
    test(`400 for ?${query} names ${name}`, async () => {
      const error = await assertError(await api(`tasks?${query}`), 400, 'input')
      assert.match(error.message, new RegExp(name))
    })
  test('no other route takes parameters', async () => {
    for (const where of ['tasks/plain?x=1', 'tasks/plain/log?x=1', 'tasks/plain/events?x=1'])
      assert.match((await assertError(await api(where), 400, 'input')).message, /x/)
  })

  test('cancels and retries', async () => {
    const order = (id, what, text) => api(`tasks/${id}/${what}`, { method: 'POST', body: text })
    await addTask('stop-me', 'waiting')
    const answer = await order('stop-me', 'cancel')
    assert.equal(answer.status, 202)
    assert.equal(answer.headers.get('location'), '/api/v1/tasks/stop-me')
    await answer.json()
    await addTask('stopped', 'cancelled')
    assert.equal((await order('stopped', 'cancel', '{}')).status, 200)
    await addTask('done', 'succeeded')
    await assertError(await order('done', 'cancel'), 409, 'conflict')
    await assertError(await order('nobody', 'cancel'), 404, 'gone')
    await assertError(await order('nobody', 'retry'), 404, 'gone')
    await addTask('alive', 'waiting')
    await assertError(await order('alive', 'retry'), 409, 'conflict')
    await assertError(await order('alive', 'cancel', '{"x":1}'), 400, 'input')
    await assertError(await order('alive', 'cancel', '{'), 400, 'input')
  })

  test('gives the log and the patch', async () => {
    await addTask('logged', 'succeeded')
    await addEvent('logged', 'step', { step: 'agent', status: 'started' })
    for (let i = 0; i < 3; i++) await addEvent('logged', 'log', { stream: i % 2 ? 'stderr' : 'stdout', text: `line ${i} \u20ac "x"` })
    const log = await api('tasks/logged/log')
    assert.match(log.headers.get('content-type'), /^text\/plain/)
    assert.equal(await log.text(), [0, 1, 2].map((i) => `line ${i} \u20ac "x"\n`).join(''))
    await sql(`INSERT INTO task_events (task_id, kind, data) SELECT 'logged', 'log', jsonb_build_object('stream', 'stdout', 'text', n::text) FROM generate_series(1, 3000) n`)
    const lines = (await (await api('tasks/logged/log')).text()).split('\n')
    assert.equal(lines.length, 3004)
    assert.equal(lines[3002], '3000')
    await assertError(await api('tasks/nobody/log'), 404, 'gone')
    await assertError(await api('tasks/logged/patch'), 404, 'gone')
    await sql(`UPDATE task_executions SET patch = '\\x646966660a' WHERE id = 'logged'`)
    const patch = await api('tasks/logged/patch')
    assert.match(patch.headers.get('content-type'), /^text\/x-patch/)
    assert.equal(await patch.text(), 'diff\n')
  })
})

// Reads a stream into events; `events` grows, `ended` resolves when the server ends it.
function follow(id, headers = {}) {
  const abort = new AbortController()
  const stream = { events: [], comments: [], text: '', stop: () => abort.abort() }
  stream.ended = (async () => {
    const answer = await api(`tasks/${id}/events`, { headers, signal: abort.signal })
    stream.status = answer.status
    stream.type = answer.headers.get('content-type')
    if (answer.status !== 200) return
    let rest = ''
    for await (const piece of answer.body.pipeThrough(new TextDecoderStream())) {
      stream.text += piece
      rest += piece
      for (let end; (end = rest.indexOf('\n\n')) >= 0; rest = rest.slice(end + 2)) {
        const block = rest.slice(0, end)
        if (block.startsWith(':')) stream.comments.push(block)
        else {
          const event = Object.fromEntries(block.split('\n').map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 2)]))
          if (event.data) event.data = JSON.parse(event.data)
          if (event.event) stream.events.push(event)
        }
      }
    }
  })().catch((error) => error.name === 'AbortError' || Promise.reject(error))
  return stream
}

describe('event streams', { concurrency: true }, () => {
  test('replay, then live, then the end', async () => {
    await addTask('stream', 'waiting')
    await addEvent('stream', 'step', { step: 'clone', status: 'started' })
    await addEvent('stream', 'log', { stream: 'stdout', text: 'before' })
    const first = follow('stream')
    await until('the replay', () => first.events.length === 2)
    assert.equal(first.type, 'text/event-stream')
    assert.match(first.text, /^retry: 2000\n\n/)
    const late = follow('stream', { 'last-event-id': first.events[0].id })
    await until('the rest', () => late.events.length === 1)
    for (let i = 0; i < 20; i++) await addEvent('stream', 'log', { stream: 'stderr', text: `live ${i}` })
    await until('the live ones', () => first.events.length === 22 && late.events.length === 21)
    await sql(`WITH t AS (UPDATE task_executions SET state = 'cancelled', finished_at = now() WHERE id = 'stream' RETURNING id) INSERT INTO task_events (task_id, kind, data) SELECT id, 'task_state', '{"state":"cancelled"}' FROM t; SELECT pg_notify('events', 'stream')`)
    await Promise.all([first.ended, late.ended])
    assert.deepEqual(first.events.slice(1), late.events)
    assert.deepEqual(first.events.map((e) => e.event), ['step', ...Array(21).fill('log'), 'task_state', 'end'])
    const ids = first.events.filter((e) => e.id).map((e) => Number(e.id))
    assert.deepEqual(ids, [...ids].sort((a, b) => a - b))
    assert.equal(new Set(ids).size, 23)
    const { data } = first.events[1]
    assert.match(data.at, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
    assert.deepEqual({ ...data, at: 0 }, { task: 'stream', at: 0, stream: 'stdout', text: 'before' })
    assert.deepEqual({ ...first.events.at(-1).data, at: 0 }, { task: 'stream', at: 0, state: 'cancelled' })

    // Later: nothing to come back for, unless something was missed.
    for (const headers of [{}, { 'last-event-id': String(ids.at(-1)) }]) {
      const again = follow('stream', headers)
      await again.ended
      assert.equal(again.status, 204)
    }
    const missed = follow('stream', { 'last-event-id': String(ids.at(-3)) })
    await missed.ended
    assert.deepEqual(missed.events, first.events.slice(-3))
    const whole = follow('stream', { 'last-event-id': '0' })
    await whole.ended
    assert.deepEqual(whole.events, first.events)
  })

  test('a long history arrives whole, with events that come meanwhile', async () => {
    await addTask('long', 'waiting')
    const add = (from, to) =>
      sql(`INSERT INTO task_events (task_id, kind, data) SELECT 'long', 'log', jsonb_build_object('stream', 'stdout', 'text', n::text) FROM generate_series(${from}, ${to}) n; SELECT pg_notify('events', 'long')`)
    await add(1, 4000)
    const streams = Array.from({ length: 5 }, () => follow('long'))
    for (let n = 4000; n < 8000; n += 500) await add(n + 1, n + 500)
    await until('all of it', () => streams.every((s) => s.events.length >= 8000))
    for (const s of streams) {
      assert.deepEqual(s.events.map((e) => Number(e.data.text)), Array.from({ length: 8000 }, (_, i) => i + 1))
      s.stop()
      await s.ended
    }
    await until('none is counted any more', async () => /squadbot_sse_connections 0\n/.test(await (await fetch(`${bot.url}/metrics`)).text()), 40000)
  })

  test('404, bad Last-Event-ID, heartbeat', async () => {
    await assertError(await api('tasks/nobody/events'), 404, 'gone')
    for (const id of ['x', '-1', '1.5', '99999999999999999999', ' '])
      if (id.trim()) await assertError(await api('tasks/plain/events', { headers: { 'last-event-id': id } }), 400, 'input')
    await addTask('quiet', 'waiting')
    const stream = follow('quiet')
    await until('a heartbeat', () => stream.comments.length > 0, 20000)
    stream.stop()
    await stream.ended
  })
})

describe('TLS', () => {
  let bot2
  let dir
  const ask = (method, where, { headers, body: text, ...more } = {}) =>
    new Promise((resolve, reject) => {
      const { port } = new URL(bot2.url)
      const request = https.request({ host: '127.0.0.1', port, method, path: where, headers, rejectUnauthorized: false, ...more }, (answer) => {
        let data = ''
        answer.on('data', (piece) => (data += piece))
        answer.on('end', () => resolve({ status: answer.statusCode, text: data }))
      })
      request.on('error', reject)
      request.end(text)
    })
  before(async () => {
    dir = await mkdtemp(path.join(tmpdir(), 'squadbot-edge-'))
    await chmod(dir, 0o711) // PostgreSQL runs as another user when we are root
    const [key, cert] = ['key.pem', 'cert.pem'].map((name) => path.join(dir, name))
    await run('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-keyout', key, '-out', cert, '-days', '1', '-subj', '/CN=localhost'])
    const env = { ...baseEnv, GITHUB_WEBHOOK_SECRET: secret, SQUADBOT_API_TOKEN: token }
    bot2 = await startBot({ dataDir: path.join(dir, 'data'), env: { ...env, SQUADBOT_TLS_CERT_FILE: cert, SQUADBOT_TLS_KEY_FILE: key } })
  })
  after(async () => {
    if (bot2) assert.equal(await bot2.kill(), 0)
    await rm(dir, { recursive: true, force: true })
  })
  test('serves https', async () => {
    const agent = new https.Agent({ keepAlive: true, maxSockets: 2 })
    for (let i = 0; i < 20; i++) {
      const answer = await ask('POST', '/webhooks/github', { headers: headersOf(body), body, agent })
      assert.equal(answer.status, 202, answer.text)
    }
    agent.destroy()
    const large = `"${'x'.repeat(5000000)}"`
    assert.equal((await ask('POST', '/webhooks/github', { headers: headersOf(large), body: large })).status, 202)
    assert.match((await ask('GET', '/metrics')).text, /squadbot_/)
  })
  test('speaks HTTP/1.1 only, TLS 1.2 at least', async () => {
    const { port } = new URL(bot2.url)
    const shake = (options) =>
      new Promise((resolve) => {
        const socket = tls.connect({ host: '127.0.0.1', port, rejectUnauthorized: false, ...options })
        socket.on('secureConnect', () => resolve(socket.alpnProtocol || socket.getProtocol()) || socket.destroy())
        socket.on('error', () => resolve('refused'))
      })
    assert.equal(await shake({ ALPNProtocols: ['h2', 'http/1.1'] }), 'http/1.1')
    assert.equal(await shake({ ALPNProtocols: ['h2'] }), 'refused')
    assert.equal(await shake({ minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1' }), 'refused')
    assert.equal(await shake({ maxVersion: 'TLSv1.2' }), 'TLSv1.2')
    assert.equal(await shake({}), 'TLSv1.3')
  })
  test('plain HTTP on the TLS port is refused', async () => {
    const { answers } = await exchange(bot2.url, 'GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n')
    assert.deepEqual(answers, [])
  })
})

describe('without an API token', () => {
  let local
  let dir
  before(async () => {
    dir = await mkdtemp(path.join(tmpdir(), 'squadbot-edge-'))
    local = await startBot({ dataDir: dir, env: baseEnv })
  })
  after(async () => {
    if (local) await local.kill()
    await rm(dir, { recursive: true, force: true })
  })
  const ask = async (headers) => {
    const lines = Object.entries({ Host: 'localhost', ...headers }).map(([k, v]) => `${k}: ${v}\r\n`)
    const { answers } = await exchange(local.url, `GET /api/v1/tasks HTTP/1.1\r\n${lines.join('')}\r\n`, { wanted: 1 })
    return answers[0].status
  }
  test('programs on this machine may, proxies and web pages may not', async () => {
    assert.equal(await ask({}), 200)
    assert.equal(await ask({ Host: `127.0.0.1:${new URL(local.url).port}` }), 200)
    assert.equal(await ask({ Host: '[::1]:8080' }), 200)
    assert.equal(await ask({ Host: 'evil.example' }), 403)
    assert.equal(await ask({ Host: 'localhost.evil.example' }), 403)
    assert.equal(await ask({ 'X-Forwarded-For': '203.0.113.9' }), 403)
    assert.equal(await ask({ Forwarded: 'for=203.0.113.9' }), 403)
    assert.equal(await ask({ Origin: 'https://evil.example' }), 403)
  })
  test('without a webhook secret deliveries get 503', async () => {
    await assertError(await post(body, {}, local.url), 503, 'auth')
  })
  test('every 202 is a row, also when it is stopped under load', async () => {
    const dir2 = await mkdtemp(path.join(tmpdir(), 'squadbot-edge-'))
    // A connection that cannot be closed in time leaves its loop's memory to the end of the process:
    // h2o cannot free a loop with live timers. Leaks are looked for in every other test.
    const env = { ...baseEnv, GITHUB_WEBHOOK_SECRET: secret, ASAN_OPTIONS: 'detect_leaks=0' }
    const busy = await startBot({ dataDir: dir2, env })
    const accepted = []
    let cut = 0
    let going = true
    const client = async () => {
      while (going) {
        const guid = randomUUID()
        try {
          const answer = await post(body, { 'x-github-delivery': guid }, busy.url)
          if (answer.status === 202) accepted.push(guid)
          await answer.arrayBuffer()
        } catch (error) {
          if (/ECONNREFUSED/.test(String(error.cause?.code))) break
          cut++
        }
      }
    }
    const clients = Array.from({ length: 16 }, client)
    await until('some were accepted', () => accepted.length > 200)
    assert.equal(await busy.kill(), 0)
    going = false
    await Promise.all(clients)
    await busy.start()
    const rows = new Set((await sql('SELECT guid FROM inbox', dir2)).split('\n'))
    assert.deepEqual(accepted.filter((guid) => !rows.has(guid)), [])
    await busy.kill()
    await rm(dir2, { recursive: true, force: true })
    assert.ok(cut <= 32, `${cut} requests got no answer`)
  })
})
