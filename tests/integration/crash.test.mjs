// kill -9 of the bot at every step of a task: another process finishes it, with one pull request, one
// status comment, one branch, no sandbox left, no log line lost or doubled, one run of the agent.
import { test, before, after } from 'node:test'
import assert from 'node:assert/strict'
import { startWorld, until } from './lib/world.mjs'

let w
before(async () => {
  w = await startWorld({
    env: { SQUADBOT_TEST_LEASE_S: '2', SQUADBOT_LOG: 'debug' },
    agent: `set -e
for i in $(seq 1 20); do echo "line $i"; read -t 0.02 <> <(:) || true; done
echo hello >>hello.txt`,
  })
})
after(async () => w && (await w.stop()))

const steps = [
  'snapshot',
  'sandbox',
  'clone',
  'agent',
  'collect',
  'verify',
  'push',
  'pull_request',
  'report',
  'teardown',
]

// The debug log says when a step begins.
const begun = (id, step) =>
  until(`${step} begins`, () => w.bot.log.includes(`step=${step} task=${id}`), 20000)

for (const step of steps)
  test(`kill -9 in ${step}`, async () => {
    const issue = await w.issue(`Crash in ${step}`)
    const { id } = await until('the task', () => w.taskOf(issue))
    await begun(id, step)
    await w.bot.kill('SIGKILL')
    await w.bot.start()
    await w.github.order('PATCH', 'config', { webhook_url: `${w.bot.url}/webhooks/github` })
    const task = await w.taskIn(issue, w.final, 40000)
    assert.equal(task.state, 'succeeded', JSON.stringify(task.error))
    const pulls = await w.rest('GET', `${w.repo}/pulls?state=all&head=acme:task-${issue}`)
    assert.equal(pulls.length, 1)
    assert.equal(pulls[0].head.sha, task.head_sha)
    const comments = (await w.comments(issue)).filter((c) => /squadbot:task=/.test(c.body))
    assert.equal(comments.length, 1)
    const log = (await w.api('GET', `tasks/${id}/log`)).trimEnd().split('\n')
    assert.deepEqual(log, Array.from({ length: 20 }, (_, i) => `line ${i + 1}`))
    const boxes = (await w.e2b.sandboxes()).sandboxes
    assert.deepEqual(boxes.filter((b) => b.metadata?.task === id && b.state === 'running'), [])
    const branches = await w.rest('GET', `${w.repo}/git/matching-refs/heads/task-${issue}`)
    assert.equal(branches.length, 1)
    assert.equal((await w.tasks()).filter((t) => t.issue === issue).length, 1)
  })
