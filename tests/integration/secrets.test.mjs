// No credential of ours is anywhere it should not be: every process and file of the sandbox while
// the agent runs, every log, the whole database. The agent's own key is in the sandbox by purpose,
// and masked everywhere outside it.
import { test, before, after } from 'node:test'
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { readdir, readFile } from 'node:fs/promises'
import path from 'node:path'
import { promisify } from 'node:util'
import { startWorld, until } from './lib/world.mjs'

const run = promisify(execFile)
const agentKey = 'sk-ant-api03-SeededAgentKeySeededAgentKeySeeded'
const personal = 'SeededValueWithoutAnyKnownShape42'

let w
before(async () => {
  w = await startWorld({
    env: { ANTHROPIC_API_KEY: agentKey, OPENAI_API_KEY: personal },
    agent: `set -e
echo "my key is $ANTHROPIC_API_KEY and $OPENAI_API_KEY"
printf '%s' "$OPENAI_API_KEY" | base64
env >/dev/null
echo "made by an agent" >made.txt
echo waiting
until [ -e /home/user/go-on ]; do read -t 0.1 <> <(:) || true; done`,
  })
})
after(async () => w && (await w.stop()))

// name → text that must not be found; also in base64.
const needles = (withAgentKeys) => {
  const der = w.privateKey.split('\n').filter((l) => l && !l.startsWith('-----'))
  const list = {
    'App key': der[3],
    'webhook secret': w.webhookSecret,
    'API token': w.apiToken,
    'E2B key': w.e2b.apiKey,
    ...(withAgentKeys ? { 'agent key': agentKey, 'second agent key': personal } : {}),
  }
  for (const [name, value] of Object.entries(list))
    list[`${name} in base64`] = Buffer.from(value).toString('base64').slice(0, -4)
  return list
}
const tokenShape = /gh[a-z]_[A-Za-z0-9._-]{20,}|x-access-token/

const search = (what, text, withAgentKeys) => {
  for (const [name, value] of Object.entries(needles(withAgentKeys)))
    assert.ok(!text.includes(value), `${name} found in ${what}`)
  const shape = tokenShape.exec(text)
  assert.ok(!shape, `token shape ${shape?.[0].slice(0, 12)}… found in ${what}`)
}

const files = async (dir) => {
  const out = []
  for (const entry of await readdir(dir, { withFileTypes: true, recursive: true }))
    if (entry.isFile()) out.push(path.join(entry.parentPath ?? entry.path, entry.name))
  return out
}

// Processes below a pid, by /proc.
const processesBelow = async (root) => {
  const parents = new Map()
  for (const pid of (await readdir('/proc')).filter((n) => /^\d+$/.test(n))) {
    const stat = await readFile(`/proc/${pid}/stat`, 'latin1').catch(() => null)
    if (stat) parents.set(Number(pid), Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]))
  }
  const below = new Set([root])
  for (let grew = true; grew; ) {
    grew = false
    for (const [pid, parent] of parents)
      if (below.has(parent) && !below.has(pid)) grew = below.add(pid)
  }
  below.delete(root)
  return [...below]
}

test('no token, key or secret in the sandbox, the logs, GitHub or the database', async () => {
  const issue = await w.issue('Look for secrets')
  await w.taskIn(issue, ['running'])
  const { id } = await w.taskOf(issue)
  await until('the agent waits', async () => /waiting/.test(await w.api('GET', `tasks/${id}/log`)))

  // Inside: environment and arguments of every process, every file.
  const pids = await processesBelow(w.e2b.child.pid)
  assert.ok(pids.length >= 2, 'the sandbox has processes')
  let environments = ''
  for (const pid of pids)
    for (const name of ['environ', 'cmdline']) {
      const text = await readFile(`/proc/${pid}/${name}`, 'latin1').catch(() => '')
      environments += text
      search(`/proc/…/${name} of a sandbox process`, text, false)
    }
  // The search looks in the right place: the agent's own key is there.
  assert.ok(environments.includes(agentKey))
  const inside = await files(w.e2b.dataDir)
  assert.ok(inside.some((f) => /prompt\.md$/.test(f)) && inside.some((f) => /\.git\/config$/.test(f)))
  for (const file of inside) search(file, await readFile(file, 'latin1'), false)

  // Let it end.
  const [box] = (await w.e2b.sandboxes()).sandboxes.filter((s) => s.state === 'running')
  const put = await fetch(`${w.e2b.url}/files?path=${encodeURIComponent('/home/user/go-on')}`, {
    method: 'POST',
    headers: {
      'content-type': 'application/octet-stream',
      'e2b-sandbox-id': box.sandboxID ?? box.id,
      'e2b-sandbox-port': '49983',
      'x-access-token': await accessToken(box.sandboxID ?? box.id),
    },
    body: 'x',
  })
  assert.equal(put.status, 200, await put.text())
  const task = await w.taskIn(issue)
  assert.equal(task.state, 'succeeded', JSON.stringify(task.error))

  // Outside: the bot's log, what the API gives, what GitHub got, the database.
  search('the bot\'s log', w.bot.log, true)
  const log = await w.api('GET', `tasks/${id}/log`)
  assert.match(log, /my key is \*\*\* and \*\*\*/)
  search('the task log', log, true)
  search('the comments', JSON.stringify(await w.comments(issue)), true)
  search('the pull request', JSON.stringify(await w.rest('GET', `${w.repo}/pulls/${task.pull_request.number}`)), true)
  search('the database', await dump(), true)
  search('the main process', await ownEnvironment(), true)
})

const accessToken = async (id) =>
  (
    await (
      await fetch(`${w.e2b.url}/sandboxes/${id}`, { headers: { 'x-api-key': w.e2b.apiKey } })
    ).json()
  ).envdAccessToken

const dump = async () => {
  const conninfo = await w.conninfo()
  const { stdout } = await run('pg_dump', ['--inserts', conninfo], { maxBuffer: 1 << 28 })
  assert.match(stdout, /INSERT INTO public\.task_executions/)
  return stdout
}
const ownEnvironment = () => readFile(`/proc/${w.bot.child.pid}/environ`, 'latin1').then(dropKnown)
// Secrets given as plain variables stay in the environment of the process that was started with
// them; the App's key alone must be gone from there.
const dropKnown = (text) =>
  text
    .split('\0')
    .filter((v) => /PRIVATE_KEY/.test(v) && !/PRIVATE_KEY_FILE/.test(v))
    .join('\n')
