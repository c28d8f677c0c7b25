// The main job, through real components: from a label to a merged pull request, and the ways in
// which it ends otherwise. Each test uses its own issue in one shared world.
import { test, before, after } from 'node:test'
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { startWorld, until } from './lib/world.mjs'

let w
before(async () => {
  w = await startWorld({
    agent: `set -e
case $(cat "$SQUADBOT_PROMPT_FILE") in
*"do nothing"*) echo "nothing to do"; exit 0 ;;
*"please fail"*) echo broken >half.txt; echo "I give up" >&2; exit 7 ;;
*"work for ever"*) echo begun >begun.txt; echo begun; tail -f /dev/null ;;
*"say a lot"*) for i in $(seq 1 2000); do echo "line $i of many"; done; echo x >x.txt ;;
*"bad message"*) echo y >y.txt; git add -A; git commit -q -m "Did Some Things." ;;
*"touch the workflows"*) mkdir -p .github/workflows; echo 'on: push' >.github/workflows/x.yml ;;
*) printf 'hello\\n' >>hello.txt; git add -A; git commit -q -m "feat(hello): say hello"; echo more >>README.md ;;
esac`,
  })
})
after(async () => {
  if (!w) return
  assert.equal(await w.stop(), 0, 'the bot ends cleanly')
  assert.doesNotMatch(w.bot.log, /Sanitizer|runtime error/)
})

const branchOid = async (branch) => {
  const answer = await w.rest('GET', `${w.repo}/git/ref/heads/${branch}`, undefined, { raw: true })
  return answer.status === 200 ? answer.json.object.sha : null
}
const liveSandboxes = async () =>
  (await w.e2b.sandboxes()).sandboxes.filter((s) => s.state === 'running' || s.state === 'paused')

test('a labelled issue becomes a merged pull request, and nothing is left behind', async () => {
  const issue = await w.issue('Say hello to the world')
  const task = await w.taskIn(issue, ['succeeded', 'failed', 'needs_human'])
  assert.equal(task.state, 'succeeded', JSON.stringify(task.error))
  assert.equal(task.branch, `task-${issue}`)
  assert.equal(task.commits.length, 2)
  assert.equal(task.commits[0].message, 'feat(hello): say hello')
  assert.match(task.commits[1].message, /^feat: /)
  assert.equal(await branchOid(task.branch), task.head_sha)

  const pull = await w.rest('GET', `${w.repo}/pulls/${task.pull_request.number}`)
  assert.equal(pull.draft, true)
  assert.equal(pull.head.sha, task.head_sha)
  assert.match(pull.body, new RegExp(`^Closes #${issue}$`, 'm'))
  assert.match(pull.body, /### Verified facts/)
  assert.match(pull.body, /2 file\(s\) changed/)
  assert.match(pull.body, /hello\.txt/)
  const comments = await w.comments(issue)
  assert.equal(comments.length, 1, 'one status comment')
  assert.match(comments[0].body, /\*\*Done\*\*/)
  assert.equal(comments[0].user.login, 'squadbot[bot]')
  assert.deepEqual(
    (await liveSandboxes()).filter((s) => s.metadata?.task === task.id),
    [],
  )

  await w.rest('POST', '/graphql', {
    query:
      'mutation($id:ID!){markPullRequestReadyForReview(input:{pullRequestId:$id}){pullRequest{isDraft}}}',
    variables: { id: pull.node_id },
  })
  await w.rest('PUT', `${w.repo}/pulls/${pull.number}/merge`, { merge_method: 'merge' })
  await until('the branch is deleted', async () => (await branchOid(task.branch)) === null)
  await until(
    'the task knows',
    async () => (await w.api('GET', `tasks/${task.id}`)).pull_request.state === 'merged',
  )
  assert.equal((await w.rest('GET', `${w.repo}/issues/${issue}`)).state, 'closed')
})

test('50 copies of one delivery and the same subject under other GUIDs make one task', async () => {
  const { issue, payload } = await w.captured(() => w.issue('Many copies'))
  const guid = randomUUID()
  const answers = await Promise.all(
    Array.from({ length: 50 }, () => w.deliver('issues', payload, { guid })),
  )
  const bodies = await Promise.all(answers.map((a) => a.json()))
  assert.ok(answers.every((a) => a.status === 202))
  assert.equal(bodies.filter((b) => b.result === 'accepted').length, 1)
  assert.equal(bodies.filter((b) => b.result === 'duplicate').length, 49)
  assert.equal((await w.deliver('issues', payload)).status, 202)
  const later = { ...payload, issue: { ...payload.issue, updated_at: '2026-11-21T00:00:00Z' } }
  assert.equal((await w.deliver('issues', later)).status, 202)
  const task = await w.taskIn(issue)
  assert.equal(task.state, 'succeeded')
  const all = (await w.tasks()).filter((t) => t.issue === issue)
  assert.equal(all.length, 1)
  // A replay after the end is known by its signature.
  assert.equal((await w.deliver('issues', payload)).status, 202)
  await w.quiet()
  assert.equal((await w.tasks()).filter((t) => t.issue === issue).length, 1)
})

test('no diff is no_changes: said so, no branch, no pull request', async () => {
  const issue = await w.issue('do nothing')
  const task = await w.taskIn(issue)
  assert.equal(task.state, 'no_changes')
  assert.equal(task.pull_request, null)
  assert.equal(await branchOid(`task-${issue}`), null)
  assert.match((await w.comments(issue))[0].body, /Nothing to change/)
})

test('a failing agent is a failure that keeps the work', async () => {
  const issue = await w.issue('please fail')
  const task = await w.taskIn(issue)
  assert.equal(task.state, 'failed')
  assert.equal(task.error.kind, 'agent')
  assert.match(task.error.message, /exit code 7/)
  assert.match(await w.api('GET', `tasks/${task.id}/patch`), /half\.txt/)
  assert.match(await w.api('GET', `tasks/${task.id}/log`), /I give up/)
  assert.equal(await branchOid(`task-${issue}`), null)
  assert.match((await w.comments(issue))[0].body, /Failed[\s\S]*exit code 7/)
})

test('/squadbot stop ends a running agent and keeps what it made', async () => {
  const issue = await w.issue('work for ever')
  await w.taskIn(issue, ['running'])
  const { id } = await w.taskOf(issue)
  await until('the agent talks', async () => /begun/.test(await w.api('GET', `tasks/${id}/log`)))
  await w.comment(issue, '/squadbot stop')
  const task = await w.taskIn(issue)
  assert.equal(task.state, 'cancelled')
  assert.match(task.error.message, /stopped by @ada/)
  assert.match(await w.api('GET', `tasks/${task.id}/patch`), /begun\.txt/)
  assert.deepEqual((await liveSandboxes()).filter((s) => s.metadata?.task === id), [])
})

test('taking the label off, and closing the issue, stop the task', async () => {
  const one = await w.issue('work for ever, one')
  await w.taskIn(one, ['running'])
  await w.rest('DELETE', `${w.repo}/issues/${one}/labels/squadbot`)
  assert.equal((await w.taskIn(one)).state, 'cancelled')
  const two = await w.issue('work for ever, two')
  await w.taskIn(two, ['running'])
  await w.rest('PATCH', `${w.repo}/issues/${two}`, { state: 'closed' })
  assert.equal((await w.taskIn(two)).state, 'cancelled')
})

test('a stranger starts nothing and is told so once', async () => {
  const issue = await w.issue('Strange', [])
  await w.comment(issue, '/squadbot run', w.eve)
  const refusal = await until('a refusal', async () =>
    (await w.comments(issue)).find((c) => /no write permission/.test(c.body)),
  )
  await w.comment(issue, '/squadbot run', w.eve)
  await w.comment(issue, '/squadbot status', w.ada)
  await until('the answer to Ada', async () =>
    (await w.comments(issue)).find((c) => /There is no task/.test(c.body)),
  )
  const refusals = (await w.comments(issue)).filter((c) => /no write permission/.test(c.body))
  assert.equal(refusals.length, 1)
  assert.equal(refusals[0].id, refusal.id)
  assert.equal(await w.taskOf(issue), undefined)
})

test('commands: help, status, run while running', async () => {
  const issue = await w.issue('work for ever, asked', [])
  await w.comment(issue, '/squadbot help')
  await until('help', async () => (await w.comments(issue)).find((c) => /squadbot stop/.test(c.body)))
  await w.comment(issue, 'text `/squadbot stop`\n\n> /squadbot stop\n\n/squadbot run')
  await w.taskIn(issue, ['running'])
  await w.comment(issue, '/squadbot run')
  await until('busy', async () => (await w.comments(issue)).find((c) => /already/.test(c.body)))
  await w.comment(issue, '/squadbot status')
  await until('status', async () =>
    (await w.comments(issue)).find((c) => /squadbot:reply/.test(c.body) && /Working on it/.test(c.body)),
  )
  const { id } = await w.taskOf(issue)
  await w.api('POST', `tasks/${id}/cancel`)
  assert.equal((await w.taskIn(issue)).state, 'cancelled')
})

test('a long log arrives whole and in order', async () => {
  const issue = await w.issue('say a lot')
  const task = await w.taskIn(issue)
  assert.equal(task.state, 'succeeded', JSON.stringify(task.error))
  const lines = (await w.api('GET', `tasks/${task.id}/log`)).trimEnd().split('\n')
  assert.deepEqual(
    lines.filter((l) => /of many/.test(l)),
    Array.from({ length: 2000 }, (_, i) => `line ${i + 1} of many`),
  )
})

test('an invalid commit message is reworded', async () => {
  const issue = await w.issue('bad message')
  const task = await w.taskIn(issue)
  assert.equal(task.state, 'succeeded', JSON.stringify(task.error))
  assert.match(task.commits[0].message, /^(feat|fix|chore): /)
})

test('protected paths end in needs_human with the patch kept', async () => {
  const issue = await w.issue('touch the workflows')
  const task = await w.taskIn(issue)
  assert.equal(task.state, 'needs_human')
  assert.equal(task.error.kind, 'policy')
  assert.match(await w.api('GET', `tasks/${task.id}/patch`), /workflows\/x\.yml/)
  assert.equal(await branchOid(`task-${issue}`), null)
})

test('a second round on the same issue goes on with branch and pull request', async () => {
  const issue = await w.issue('Two rounds')
  const first = await w.taskIn(issue)
  assert.equal(first.state, 'succeeded', JSON.stringify(first.error))
  await w.comment(issue, '@squadbot once more, please')
  const second = await until('a second task', async () => {
    const t = await w.taskOf(issue)
    return t && t.id !== first.id && w.final.includes(t.state) && t
  }, 60000)
  assert.equal(second.state, 'succeeded', JSON.stringify(second.error))
  assert.equal(second.branch, first.branch)
  assert.equal(second.pull_request.number, first.pull_request.number)
  assert.notEqual(second.head_sha, first.head_sha)
})

test('SIGTERM while the agent runs: the next process attaches, no line twice, not started twice', async () => {
  const issue = await w.issue('work for ever, then be killed')
  await w.taskIn(issue, ['running'])
  const { id } = await w.taskOf(issue)
  await until('the agent talks', async () => /begun/.test(await w.api('GET', `tasks/${id}/log`)))
  assert.equal(await w.bot.kill('SIGTERM'), 0) // drained: the lease is free at once
  await w.bot.start()
  await w.github.order('PATCH', 'config', { webhook_url: `${w.bot.url}/webhooks/github` })
  await until('the task runs again', async () => (await w.taskOf(issue)).state === 'running')
  await w.comment(issue, '/squadbot stop')
  const task = await w.taskIn(issue)
  assert.equal(task.state, 'cancelled')
  const log = await w.api('GET', `tasks/${id}/log`)
  assert.equal(log.split('\n').filter((l) => l === 'begun').length, 1, 'the agent was started once')
})
