// The program as an operator types it: exit statuses, messages, doctor, migrate, the task client.
import { test, before, after } from 'node:test'
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import path from 'node:path'
import { buildDir } from './lib/standins.mjs'
import { startWorld } from './lib/world.mjs'

let w
before(async () => {
  w = await startWorld()
})
after(async () => w && (await w.stop()))

const run = (args, env = {}) =>
  new Promise((resolve) => {
    const child = spawn(path.join(buildDir, 'squadbot'), args, {
      env: { PATH: process.env.PATH, HOME: process.env.HOME, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let out = ''
    let err = ''
    child.stdout.on('data', (piece) => (out += piece))
    child.stderr.on('data', (piece) => (err += piece))
    child.on('close', (code) => resolve({ code, out, err }))
  })

const rows = [
  ['--version', ['--version'], {}, 0, /^squadbot \d+\.\d+\.\d+\n$/],
  ['--help', ['--help'], {}, 0, /serve[\s\S]*migrate[\s\S]*doctor[\s\S]*task/],
  ['help COMMAND', ['help', 'serve'], {}, 0, /--no-migrate/],
  ['nothing', [], {}, 2, /usage:/],
  ['unknown command', ['dance'], {}, 2, /no command "dance"/],
  ['unknown option', ['serve', '--dance'], {}, 2, /--dance/],
  ['number out of range', ['serve'], { SQUADBOT_MAX_TASKS: '0' }, 2, /SQUADBOT_MAX_TASKS.*1.*10000/],
  ['no number', ['serve'], { SQUADBOT_MAX_TASKS: 'many' }, 2, /SQUADBOT_MAX_TASKS/],
  ['unknown choice', ['serve'], { SQUADBOT_AGENT: 'hal' }, 2, /SQUADBOT_AGENT.*claude/],
  ['unknown setting', ['serve'], { SQUADBOT_MAX_TASK: '1' }, 2, /SQUADBOT_MAX_TASK\b.*SQUADBOT_MAX_TASKS/],
  ['missing file', ['serve'], { E2B_API_KEY_FILE: '/nowhere' }, 2, /E2B_API_KEY_FILE/],
  ['bad URL', ['serve'], { GITHUB_API_URL: 'ftp://x' }, 2, /GITHUB_API_URL/],
  ['key without App id', ['serve'], { GITHUB_APP_PRIVATE_KEY: 'x' }, 2, /GITHUB_APP_ID/],
  ['command agent without command', ['serve'], { SQUADBOT_AGENT: 'command' }, 2, /SQUADBOT_AGENT_COMMAND/],
  ['--env-file without path', ['serve', '--env-file'], {}, 2, /--env-file/],
  ['task without verb', ['task'], {}, 2, /usage/],
]
for (const [name, args, env, code, text] of rows)
  test(name, async () => {
    const answer = await run(args, { SQUADBOT_DATA_DIR: path.join(w.dataDir, 'cli'), ...env })
    assert.equal(answer.code, code, answer.out + answer.err)
    assert.match(answer.out + answer.err, text)
  })

test('secrets are masked in --print-settings', async () => {
  const secret = 'not-to-be-seen-0123456789'
  const shown = await run(['serve', '--print-settings'], { GITHUB_WEBHOOK_SECRET: secret })
  assert.equal(shown.code, 0)
  assert.match(shown.out, /^GITHUB_WEBHOOK_SECRET=\*\*\*$/m)
  assert.ok(!shown.out.includes(secret))
})

test('doctor: all well with the stand-ins', async () => {
  const answer = await run(['doctor'], w.env)
  assert.equal(answer.code, 0, answer.out)
  assert.match(answer.out, /^ok\s+GitHub /m)
  assert.match(answer.out, /^ok\s+App permissions/m)
  assert.match(answer.out, /^ok\s+E2B /m)
  assert.doesNotMatch(answer.out, /^FAIL/m)
})

const broken = [
  ['wrong E2B key', { E2B_API_KEY: 'e2b_' + '0'.repeat(40) }, /^FAIL\s+E2B /m],
  ['unknown template', { E2B_TEMPLATE_ID: 'nothing' }, /^FAIL\s+E2B .*nothing/m],
  ['wrong App id', { GITHUB_APP_ID: '1' }, /^FAIL\s+GitHub /m],
  ['GitHub away', { GITHUB_API_URL: 'http://127.0.0.1:9' }, /^FAIL\s+GitHub /m],
  ['database away', { DATABASE_URL: 'postgresql://127.0.0.1:9/x?connect_timeout=2' }, /^FAIL\s+database/m],
  ['no webhook secret', { GITHUB_WEBHOOK_SECRET: '' }, /^FAIL\s+webhook secret/m],
]
for (const [name, env, text] of broken)
  test(`doctor: ${name}`, async () => {
    const answer = await run(['doctor'], { ...w.env, ...env })
    assert.equal(answer.code, 1, answer.out)
    assert.match(answer.out, text)
    assert.match(answer.out, /→/, 'the mend is told')
  })

test('doctor: a permission that the App lacks is named', async () => {
  const { app } = await w.github.order('GET', 'state')
  await w.github.order('PATCH', 'config', { permissions: { contents: 'read' } })
  const answer = await run(['doctor'], w.env)
  await w.github.order('PATCH', 'config', { permissions: { contents: app.permissions.contents } })
  assert.equal(answer.code, 1)
  assert.match(answer.out, /^FAIL\s+App permissions.*contents:write/m)
})

test('migrate and serve --no-migrate on an external database', async () => {
  const conninfo = await w.conninfo()
  const url = (name) =>
    `postgresql://squadbot@/${name}?host=${encodeURIComponent(/host=(\S+)/.exec(conninfo)[1])}`
  const psql = spawn('psql', [conninfo, '-qc', 'CREATE DATABASE other'], { stdio: 'inherit' })
  assert.equal(await new Promise((resolve) => psql.on('close', resolve)), 0)
  const env = { ...w.env, DATABASE_URL: url('other'), SQUADBOT_LISTEN: '127.0.0.1:0' }
  env.SQUADBOT_DATA_DIR = path.join(w.dataDir, 'other')
  assert.match((await run(['migrate', '--status'], env)).out, /0001_core pending/)
  const refused = await run(['serve', '--no-migrate'], env)
  assert.equal(refused.code, 1, refused.err)
  assert.match(refused.err, /pending/)
  assert.match((await run(['migrate'], env)).out, /[1-9]\d* migration\(s\) applied/)
  assert.match((await run(['migrate', '--status'], env)).out, /0001_core applied/)
  assert.match((await run(['migrate'], env)).out, /0 migration\(s\) applied/)
})

test('the task client', async () => {
  const issue = await w.issue('For the terminal')
  const { id } = await w.taskIn(issue)
  const env = { SQUADBOT_PUBLIC_URL: w.bot.url, SQUADBOT_API_TOKEN: w.apiToken }
  assert.match((await run(['task', 'list'], env)).out, new RegExp(`^${id} +succeeded `, 'm'))
  assert.equal(JSON.parse((await run(['task', 'show', id], env)).out).branch, `task-${issue}`)
  assert.match((await run(['task', 'logs', id], env)).out, /^done$/m)
  assert.match((await run(['task', 'logs', id, '--follow'], env)).out, /^done$/m)
  for (const args of [['show', 'nobody'], ['cancel', 'nobody'], ['logs', 'nobody']]) {
    const answer = await run(['task', ...args], env)
    assert.equal(answer.code, 1, args.join(' '))
    assert.match(answer.err, /404/)
  }
  const denied = await run(['task', 'list'], { ...env, SQUADBOT_API_TOKEN: 'wrong-token-000' })
  assert.equal(denied.code, 1)
  assert.match(denied.err, /401/)
})
