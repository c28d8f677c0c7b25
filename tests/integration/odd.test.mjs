// Odd but real: things that overtake each other, outages in the wrong moment, agents with strange
// habits, people who change their minds on GitHub. Each test uses its own issue in one shared world.
import { test, before, after } from 'node:test'
import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import path from 'node:path'
import { startWorld, until } from './lib/world.mjs'

let w
before(async () => {
  w = await startWorld({
    agent: `set -e
case $(cat "$SQUADBOT_PROMPT_FILE") in
*"waits for a word"*) mkfifo ~/word; echo begun; read -r _ <~/word; echo x >x.txt ;;
*"work for ever"*) echo begun >begun.txt; echo begun; tail -f /dev/null ;;
*"goes back"*) echo x >x.txt; git add -A; git commit -q -m "feat: add x"; git checkout -q origin/main ;;
*"forgets who it is"*) git config --unset user.name; git config --unset user.email; echo x >x.txt ;;
*"leaves locks"*) echo x >x.txt; touch .git/HEAD.lock .git/index.lock ;;
*"many lines"*) seq -f 'line %.0f of a log that is read in several pieces' 1 30000; echo x >x.txt ;;
*"speaks no text"*) head -c 100000 /dev/zero | tr '\\0' '\\377'; echo; printf 'a\\000b\\n'; echo x >x.txt ;;
*) date +%s%N >>hello.txt ;;
esac`,
  })
})
after(async () => {
  if (!w) return
  assert.equal(await w.stop(), 0, 'the bot ends cleanly')
  assert.doesNotMatch(w.bot.log, /Sanitizer|runtime error/)
})

const fault = (row) => w.github.call('POST', '/_standin/faults', row)
const e2bFault = (row) => w.e2b.call('POST', '/_standin/faults', row)
const slowPermission = (ms) =>
  fault({ match: 'GET /repos/*/collaborators/*/permission', times: 1, action: 'delay', ms })
const begun = async (issue) => {
  const { id } = await w.taskIn(issue, ['running'])
  await until('the agent talks', async () => /begun/.test(await w.api('GET', `tasks/${id}/log`)))
  return id
}
const live = async (id) =>
  (await w.e2b.sandboxes()).sandboxes.filter((s) => s.state === 'running' && s.metadata?.task === id)
const again = (issue, first) =>
  until('another task', async () => {
    const t = await w.taskOf(issue)
    return t && t.id !== first.id && w.final.includes(t.state) && t
  })

test('a label that is taken off before the sender is admitted starts no work', async () => {
  const issue = await w.issue('work for ever, label off', [])
  await slowPermission(300)
  await w.rest('POST', `${w.repo}/issues/${issue}/labels`, { labels: ['squadbot'] })
  await w.rest('DELETE', `${w.repo}/issues/${issue}/labels/squadbot`)
  const task = await w.taskIn(issue)
  assert.equal(task.state, 'cancelled')
  assert.match(task.error?.message ?? 'the label was removed', /label was removed/)
  assert.deepEqual(await live(task.id), [])
})

test('"stop" does not overtake the "run" that it means', async () => {
  const issue = await w.issue('work for ever, stop at once', [])
  await slowPermission(300)
  await w.comment(issue, '/squadbot run')
  await w.comment(issue, '/squadbot stop')
  assert.equal((await w.taskIn(issue)).state, 'cancelled')
  assert.ok(!(await w.comments(issue)).some((c) => /nothing to stop/.test(c.body)))
})

test('a stopped task is told and torn down although GitHub and E2B stumble', async () => {
  const issue = await w.issue('work for ever, stumble')
  const id = await begun(issue)
  await fault({ match: 'PATCH /repos/*/issues/comments/*', times: 5, action: 'status', status: 502 })
  await e2bFault({ match: '*DELETE /sandboxes/*', times: 1, action: 'status', status: 500 })
  await w.api('POST', `tasks/${id}/cancel`)
  assert.equal((await w.taskIn(issue)).state, 'cancelled')
  assert.match((await w.comments(issue))[0].body, /\*\*Stopped\*\*/)
  assert.deepEqual(await live(id), [])
})

test('work on the branch counts although the agent goes back to the start', async () => {
  const task = await w.taskIn(await w.issue('goes back'))
  assert.equal(task.state, 'succeeded', JSON.stringify(task.error))
  assert.equal(task.commits[0].message, 'feat: add x')
})

for (const habit of ['forgets who it is', 'leaves locks'])
  test(`an agent that ${habit} loses no work`, async () => {
    const task = await w.taskIn(await w.issue(habit))
    assert.equal(task.state, 'succeeded', JSON.stringify(task.error))
  })

test('a log longer than one read has every line once and whole', async () => {
  const task = await w.taskIn(await w.issue('many lines'))
  const lines = (await w.api('GET', `tasks/${task.id}/log`)).trimEnd().split('\n')
  assert.equal(lines.length, 30000)
  lines.forEach((l, i) => assert.equal(l, `line ${i + 1} of a log that is read in several pieces`))
})

test('a log that is no text becomes text', async () => {
  const task = await w.taskIn(await w.issue('speaks no text'))
  assert.equal(task.state, 'succeeded', JSON.stringify(task.error))
  const log = await w.api('GET', `tasks/${task.id}/log`)
  assert.equal(log.replaceAll('\n', '').replaceAll('\ufffd', ''), 'ab')
})

test('the pull request is known as GitHub has it: ready, closed, open again', async () => {
  const issue = await w.issue('Changes of mind')
  const first = await w.taskIn(issue)
  const { number } = first.pull_request
  const known = (state) =>
    until(`pull request known as ${state}`, async () => (await w.taskOf(issue)).pull_request.state === state)
  const pull = await w.rest('GET', `${w.repo}/pulls/${number}`)
  await w.rest('POST', '/graphql', {
    query:
      'mutation($id:ID!){markPullRequestReadyForReview(input:{pullRequestId:$id}){pullRequest{isDraft}}}',
    variables: { id: pull.node_id },
  })
  await known('open')
  await w.rest('PATCH', `${w.repo}/pulls/${number}`, { state: 'closed' })
  await known('closed')
  await w.rest('PATCH', `${w.repo}/pulls/${number}`, { state: 'open' })
  await known('open')
  await w.comment(issue, '/squadbot run')
  const second = await again(issue, first)
  assert.equal(second.branch, first.branch)
  assert.equal(second.pull_request.number, number)
})

test('a pull request that was closed unheard is not gone on with', async () => {
  const issue = await w.issue('Unheard')
  const first = await w.taskIn(issue)
  await w.github.order('POST', 'webhooks', { forget: 1, match: 'pull_request.closed' })
  await w.rest('PATCH', `${w.repo}/pulls/${first.pull_request.number}`, { state: 'closed' })
  await w.comment(issue, '/squadbot run')
  const second = await again(issue, first)
  assert.equal(second.branch, `${first.branch}-2`)
  assert.notEqual(second.pull_request.number, first.pull_request.number)
})

test('status and stop are understood on the pull request too', async () => {
  const issue = await w.issue('Asked on the pull request')
  const { number } = (await w.taskIn(issue)).pull_request
  await w.comment(number, '/squadbot status')
  const answer = await until('an answer', async () =>
    (await w.comments(number)).find((c) => /squadbot:reply/.test(c.body)),
  )
  assert.match(answer.body, /\*\*Done\*\*/)
})

test('deliveries that make no sense hold up nobody', async () => {
  const { issue, payload } = await w.captured(() => w.issue('Sense'))
  const odd = [
    (p) => (p.issue.title = 'a\u0000b'),
    (p) => (p.label.name = 'squadbot:\u0000'),
    (p) => delete p.repository,
    (p) => (p.repository.full_name = '../../x'),
    (p) => (p.sender = null),
    (p) => (p.issue = 'x'),
    (p) => (p.label = null),
  ]
  for (const change of odd) {
    const p = structuredClone(payload)
    p.issue.number = 4711
    change(p)
    assert.equal((await w.deliver('issues', p)).status, 202)
  }
  assert.equal((await w.deliver('issues', payload)).status, 202)
  assert.equal((await w.taskIn(issue)).state, 'succeeded')
})

test('a repository that is renamed while the agent works', async () => {
  const issue = await w.issue('waits for a word')
  const id = await begun(issue)
  const rename = async (from, name) =>
    w.rest('PATCH', `/repos/acme/${from}`, { name }, { token: await w.github.token('acme') })
  await rename('hello', 'hello-again')
  const [{ dir }] = await live(id)
  await writeFile(path.join(dir, 'home/user/word'), 'go on\n')
  const task = await w.taskIn(issue)
  await rename('hello-again', 'hello')
  assert.equal(task.state, 'succeeded', JSON.stringify(task.error))
  assert.equal(task.repository, 'acme/hello-again')
})

test('a stop in the moment of a shutdown is told and torn down by the next process', async () => {
  const issue = await w.issue('work for ever, over a restart')
  const id = await begun(issue)
  await w.api('POST', `tasks/${id}/cancel`)
  assert.equal(await w.bot.kill('SIGTERM'), 0)
  await w.bot.start()
  await w.github.order('PATCH', 'config', { webhook_url: `${w.bot.url}/webhooks/github` })
  const task = await w.taskIn(issue)
  assert.equal(task.state, 'cancelled')
  assert.match((await w.comments(issue))[0].body, /\*\*Stopped\*\*/)
  assert.match(await w.api('GET', `tasks/${id}/patch`), /begun\.txt/)
  assert.deepEqual(await live(id), [])
})
