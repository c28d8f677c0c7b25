// A whole world for one test: both stand-ins, the bot, a repository acme/hello with the App
// installed, and Ada, who may write there. Everything runs on loopback and ends with stop().
import { spawn } from 'node:child_process'
import { randomBytes, createHmac, randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { appId, startGithub } from './github.mjs'
import { buildDir, startE2b } from './standins.mjs'

export const agentDefault = `set -e
echo "reading $SQUADBOT_PROMPT_FILE"
cat "$SQUADBOT_PROMPT_FILE" >/dev/null
printf 'hello\\n' >hello.txt
git add hello.txt
git commit -q -m "feat(hello): say hello"
printf 'more\\n' >>README.md
echo "done" >&2`

// Waits until fn() gives something true; asks again every few milliseconds, at most limitMs.
export async function until(what, fn, limitMs = 30000) {
  const end = Date.now() + limitMs
  for (;;) {
    const value = await fn()
    if (value) return value
    if (Date.now() > end) throw new Error(`waited ${limitMs} ms in vain for: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

// squadbot serve; resolves when it says that it is ready. restart() keeps data folder and settings.
export async function startBot({ env, dataDir }) {
  const bot = { log: '', dataDir }
  bot.start = async () => {
    bot.child = spawn(path.join(buildDir, 'squadbot'), ['serve'], {
      env: {
        PATH: process.env.PATH,
        HOME: process.env.HOME,
        SQUADBOT_LISTEN: '127.0.0.1:0',
        SQUADBOT_DATA_DIR: dataDir,
        ...env,
      },
      stdio: ['ignore', 'inherit', 'pipe'],
    })
    const child = bot.child
    bot.ended = once(child, 'exit')
    let text = ''
    child.stderr.setEncoding('utf8')
    await new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`not ready:\n${text}`)), 90000)
      child.stderr.on('data', (piece) => {
        bot.log += piece
        text += piece
        const match = /msg=ready .*port=(\d+)/.exec(text)
        if (!match) return
        bot.url = `http://127.0.0.1:${match[1]}`
        clearTimeout(timer)
        resolve()
      })
      child.on('exit', (code, signal) => reject(new Error(`ended with ${code ?? signal}:\n${text}`)))
    })
  }
  bot.kill = async (signal = 'SIGTERM') => {
    if (bot.child.exitCode === null && bot.child.signalCode === null) bot.child.kill(signal)
    return (await bot.ended)[0]
  }
  await bot.start()
  return bot
}

// github, e2b: options of the stand-ins. enterprise: a version, then GitHub is an Enterprise server.
export async function startWorld({
  env = {},
  agent = agentDefault,
  github = {},
  e2b = {},
  enterprise,
} = {}) {
  const webhookSecret = randomBytes(32).toString('hex')
  const apiToken = randomBytes(32).toString('hex')
  const w = { webhookSecret, apiToken, enterprise }
  w.dataDir = await mkdtemp(path.join(tmpdir(), 'squadbot-data-'))
  await chmod(w.dataDir, 0o711) // the user of the private PostgreSQL must be able to pass
  const hub = await startGithub({ webhookSecret, ...github })
  w.github = { ...hub, order: (method, where, body) => hub.order(where, body, method) }
  w.privateKey = hub.privateKey
  w.keyFile = path.join(w.dataDir, 'app.pem')
  await writeFile(w.keyFile, w.privateKey, { mode: 0o600 })
  w.apiUrl = w.github.url + (enterprise ? '/api/v3' : '')
  if (enterprise) await w.github.order('PATCH', 'config', { enterprise, api_prefix: '/api/v3' })
  w.e2b = await startE2b(e2b)
  w.env = {
    GITHUB_APP_ID: String(appId),
    GITHUB_APP_PRIVATE_KEY_FILE: w.keyFile,
    GITHUB_WEBHOOK_SECRET: webhookSecret,
    GITHUB_API_URL: w.apiUrl,
    GITHUB_URL: w.github.url,
    SQUADBOT_API_TOKEN: apiToken,
    SQUADBOT_AGENT: 'command',
    SQUADBOT_AGENT_COMMAND: agent,
    ...w.e2b.env,
    ...env,
  }
  w.bot = await startBot({ env: w.env, dataDir: path.join(w.dataDir, 'bot') })
  await w.github.order('PATCH', 'config', { webhook_url: `${w.bot.url}/webhooks/github` })
  await w.github.order('POST', 'users', { login: 'ada' })
  await w.github.order('POST', 'users', { login: 'eve' })
  await w.github.order('POST', 'users', { login: 'acme', type: 'Organization' })
  await w.github.order('POST', 'repos', {
    owner: 'acme',
    name: 'hello',
    files: { 'README.md': '# hello\n' },
    collaborators: { ada: 'write', eve: 'read' },
    labels: ['squadbot', 'bug'],
  })
  await w.github.order('POST', 'installations', { account: 'acme', repositories: ['acme/hello'] })
  w.ada = await w.github.token('ada')
  w.eve = await w.github.token('eve')

  // GitHub's API as a person; throws on an error status unless asked not to.
  w.rest = async (method, where, body, { token = w.ada, raw = false } = {}) => {
    const answer = await fetch(w.apiUrl + where, {
      method,
      headers: {
        authorization: `Bearer ${token}`,
        'user-agent': 'test',
        accept: 'application/vnd.github+json',
      },
      body: body === undefined ? undefined : JSON.stringify(body),
    })
    const text = await answer.text()
    const json = text ? JSON.parse(text) : undefined
    if (raw) return { status: answer.status, json }
    if (!answer.ok) throw new Error(`${method} ${where}: ${answer.status} ${text}`)
    return json
  }
  w.repo = '/repos/acme/hello'
  w.issue = async (title = 'Say hello', labels = ['squadbot'], body = 'Please.') => {
    const issue = await w.rest('POST', `${w.repo}/issues`, { title, body })
    if (labels.length) await w.rest('POST', `${w.repo}/issues/${issue.number}/labels`, { labels })
    return issue.number
  }
  w.api = async (method, where, body, { raw = false } = {}) => {
    const answer = await fetch(`${w.bot.url}/api/v1/${where}`, {
      method,
      headers: { authorization: `Bearer ${apiToken}` },
      body: body === undefined ? undefined : JSON.stringify(body),
    })
    const text = await answer.text()
    if (raw) return { status: answer.status, text, headers: answer.headers }
    if (!answer.ok) throw new Error(`${method} ${where}: ${answer.status} ${text}`)
    return /json/.test(answer.headers.get('content-type') ?? '') ? JSON.parse(text) : text
  }
  w.tasks = async () => (await w.api('GET', 'tasks?limit=100')).items
  w.taskOf = async (issue) => (await w.tasks()).find((t) => t.issue === issue)
  w.final = ['succeeded', 'no_changes', 'failed', 'cancelled', 'needs_human']
  // The issue's newest task once it is in one of the states (default: any final one).
  w.taskIn = (issue, states = w.final, limitMs = 60000) =>
    until(
      `task of issue ${issue} in ${states}`,
      async () => {
        const t = await w.taskOf(issue)
        return t && states.includes(t.state) && t
      },
      limitMs,
    )
  w.comments = (issue) => w.rest('GET', `${w.repo}/issues/${issue}/comments`)
  w.comment = (issue, body, token) =>
    w.rest('POST', `${w.repo}/issues/${issue}/comments`, { body }, { token })
  // No delivery is under way and nothing of it is left to do.
  w.quiet = () =>
    until('deliveries done and inbox empty', async () => {
      const hooks = await w.github.order('POST', 'webhooks', {})
      const metrics = await (await fetch(`${w.bot.url}/metrics`)).text()
      return hooks.idle && metrics.length > 0
    })
  // What GitHub would have sent for `act`, caught on its way: {issue: act's result, payload: body of
  // issues.labeled}. The bot does not get it.
  w.captured = async (act) => {
    let payload
    const server = createServer((request, response) => {
      const pieces = []
      request.on('data', (piece) => pieces.push(piece))
      request.on('end', () => {
        const body = JSON.parse(Buffer.concat(pieces))
        if (request.headers['x-github-event'] === 'issues' && body.action === 'labeled') payload = body
        response.writeHead(202).end()
      })
    }).listen(0, '127.0.0.1')
    await once(server, 'listening')
    const hook = (url) => w.github.order('PATCH', 'config', { webhook_url: url })
    await hook(`http://127.0.0.1:${server.address().port}/`)
    const issue = await act()
    await until('the delivery is caught', () => payload)
    await hook(`${w.bot.url}/webhooks/github`)
    server.close()
    server.closeAllConnections()
    return { issue, payload }
  }
  // A delivery of our own making, signed as GitHub would.
  w.deliver = (event, payload, { guid = randomUUID(), secret = webhookSecret } = {}) => {
    const body = typeof payload === 'string' ? payload : JSON.stringify(payload)
    const signature = createHmac('sha256', secret).update(body).digest('hex')
    return fetch(`${w.bot.url}/webhooks/github`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        'x-github-event': event,
        'x-github-delivery': guid,
        'x-hub-signature-256': `sha256=${signature}`,
      },
      body,
    })
  }
  // Of the bot's private cluster, for psql and pg_dump: the socket's folder is in postmaster.pid.
  w.conninfo = async () => {
    const pid = await readFile(path.join(w.dataDir, 'bot', 'pg', 'data', 'postmaster.pid'), 'utf8')
    return `host=${pid.split('\n')[4]} user=squadbot dbname=postgres`
  }
  w.stop = async () => {
    const code = await w.bot.kill()
    await w.github.stop()
    await w.e2b.stop()
    await rm(w.dataDir, { recursive: true, force: true })
    return code
  }
  return w
}
