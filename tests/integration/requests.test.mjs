// What the bot sends to GitHub, judged by GitHub's own description of its API: a whole life of the
// bot on github.com, and the same on an Enterprise server below /api/v3.
import { describe, test } from 'node:test'
import assert from 'node:assert/strict'
import { requestJudge } from './lib/github_requests.mjs'
import { startWorld, until } from './lib/world.mjs'

const agent = `set -e
case $(cat "$SQUADBOT_PROMPT_FILE") in
*"do nothing"*) exit 0 ;;
*"please fail"*) echo broken >half.txt; exit 7 ;;
*"work for ever"*) echo begun >begun.txt; tail -f /dev/null ;;
*) printf 'hello\\n' >>hello.txt; git add -A; git commit -q -m "feat(hello): say hello" ;;
esac`

async function graphql(w, query, variables) {
  const answer = await fetch(w.github.url + (w.enterprise ? '/api/graphql' : '/graphql'), {
    method: 'POST',
    headers: { authorization: `Bearer ${w.ada}`, 'user-agent': 'test' },
    body: JSON.stringify({ query, variables }),
  })
  assert.deepEqual((await answer.json()).errors, undefined)
}

async function merge(w, number) {
  const { node_id: id } = await w.rest('GET', `${w.repo}/pulls/${number}`)
  const ready = 'markPullRequestReadyForReview(input:{pullRequestId:$id}){pullRequest{isDraft}}'
  await graphql(w, `mutation($id:ID!){${ready}}`, { id })
  await w.rest('PUT', `${w.repo}/pulls/${number}/merge`, { merge_method: 'merge' })
}

const said = (w, issue, pattern) =>
  until(`a comment like ${pattern}`, async () =>
    (await w.comments(issue)).find((c) => pattern.test(c.body)),
  )

// Everything that makes the bot talk to GitHub.
async function life(w) {
  // A start at which GitHub tells nobody who the bot's user is, unless one has a token.
  await w.bot.kill()
  await w.github.faults({ match: 'GET *users/squadbot*', action: 'status', status: 403 })
  await w.bot.start()
  await w.github.order('PATCH', 'config', { webhook_url: `${w.bot.url}/webhooks/github` })

  const merged = await w.issue('Say hello')
  const [nothing, failing, strange] = [
    await w.issue('do nothing'),
    await w.issue('please fail'),
    await w.issue('Strange', []),
  ]
  await w.comment(strange, '/squadbot run', w.eve)
  await w.comment(strange, '/squadbot help')
  await w.comment(strange, '/squadbot status')
  await said(w, strange, /no write permission/)
  await said(w, strange, /squadbot stop/)
  await said(w, strange, /There is no task/)

  const task = await w.taskIn(merged)
  assert.equal(task.state, 'succeeded', JSON.stringify(task.error))
  await w.comment(merged, '@squadbot once more, please')
  const again = await until('a second round', async () => {
    const t = await w.taskOf(merged)
    return t && t.id !== task.id && w.final.includes(t.state) && t
  })
  assert.equal(again.state, 'succeeded', JSON.stringify(again.error))
  assert.equal((await w.taskIn(nothing)).state, 'no_changes')
  assert.equal((await w.taskIn(failing)).state, 'failed')

  const long = await w.issue('work for ever')
  await w.taskIn(long, ['running'])
  await w.comment(long, '/squadbot steer faster')
  await said(w, long, /cannot be spoken to/)
  await w.comment(long, '/squadbot run')
  await said(w, long, /already/)
  await w.comment(long, '/squadbot stop')
  assert.equal((await w.taskIn(long)).state, 'cancelled')

  await merge(w, task.pull_request.number)
  await until('the branch is deleted', async () => {
    const where = `${w.repo}/git/ref/heads/${task.branch}`
    return (await w.rest('GET', where, undefined, { raw: true })).status === 404
  })
}

// The bot's requests; git's wire protocol is another matter.
const ofBot = (rows) => rows.filter((r) => r.actor !== 'user' && !/\.git\//.test(r.path))

const used = [
  'GET /app',
  'GET /app/installations',
  'GET /users/{username}',
  'POST /app/installations/{installation_id}/access_tokens',
  'DELETE /installation/token',
  'GET /repos/{owner}/{repo}',
  'GET /repos/{owner}/{repo}/collaborators/{username}/permission',
  'GET /repos/{owner}/{repo}/git/ref/{ref}',
  'DELETE /repos/{owner}/{repo}/git/refs/{ref}',
  'GET /repos/{owner}/{repo}/issues/{issue_number}',
  'GET /repos/{owner}/{repo}/issues/{issue_number}/comments',
  'POST /repos/{owner}/{repo}/issues/{issue_number}/comments',
  'PATCH /repos/{owner}/{repo}/issues/comments/{comment_id}',
  'POST /repos/{owner}/{repo}/issues/{issue_number}/reactions',
  'POST /repos/{owner}/{repo}/issues/comments/{comment_id}/reactions',
  'GET /repos/{owner}/{repo}/pulls',
  'POST /repos/{owner}/{repo}/pulls',
  'GET /repos/{owner}/{repo}/pulls/{pull_number}',
  'PATCH /repos/{owner}/{repo}/pulls/{pull_number}',
  'GET /repos/{owner}/{repo}/branches/{branch}',
  'GET /repos/{owner}/{repo}/rules/branches/{branch}',
]

describe('requests', { concurrency: true }, () => {
  for (const [place, description, enterprise] of [
    ['github.com', 'api.github.com'],
    ['an Enterprise server', 'ghes-3.19', '3.19.0'],
  ]) {
    test(`every request to ${place} is one that it describes`, async (t) => {
      const w = await startWorld({ agent, enterprise })
      let rows
      try {
        await life(w)
        rows = ofBot(await w.github.ledger())
      } finally {
        assert.equal(await w.stop(), 0, 'the bot ends cleanly')
      }
      const judge = requestJudge(description)
      assert.deepEqual([...new Set(rows.flatMap(judge.complaints))], [])
      assert.deepEqual(used.filter((one) => !judge.seen.has(one)), [], 'not used')
      t.diagnostic(`${rows.length} requests, ${judge.seen.size} operations`)

      // The judge would have noticed.
      const { headers } = rows.find((r) => r.method === 'POST')
      const repo = `${enterprise ? '/api/v3' : ''}/repos/acme/hello`
      const good = { method: 'POST', path: `${repo}/pulls`, query: '', headers }
      const pull = { title: 'feat: x', head: 'task-1', base: 'main', draft: true }
      const list = { ...good, method: 'GET', body: undefined }
      assert.deepEqual(judge.complaints({ ...good, body: pull }), [])
      assert.deepEqual(judge.complaints({ ...list, query: 'per_page=100&state=all' }), [])
      const without = (name) => ({ ...headers, [name]: undefined })
      for (const [why, row] of Object.entries({
        'no such path': { ...good, path: `${repo}/pull`, body: pull },
        'no such method': { ...good, method: 'DELETE', path: `${repo}/issues/1` },
        'beside the API': { ...good, path: '/elsewhere/pulls', body: pull },
        'a path parameter of another type': { ...list, path: `${repo}/issues/one/comments` },
        'a query parameter nobody knows': { ...list, query: 'page_size=100' },
        'a query parameter of another type': { ...list, query: 'per_page=many' },
        'a query parameter outside its list': { ...list, query: 'state=merged' },
        'the same parameter twice': { ...list, query: 'page=1&page=2' },
        'no body': { ...good, body: undefined },
        'a body where none belongs': { ...list, body: {} },
        'a member is missing': { ...good, body: { ...pull, head: undefined } },
        'a member of another type': { ...good, body: { ...pull, draft: 'yes' } },
        'a member nobody knows': { ...good, body: { ...pull, is_draft: true } },
        'no User-Agent': { ...good, body: pull, headers: without('user-agent') },
        'no API version': { ...good, body: pull, headers: without('x-github-api-version') },
        'any Accept': { ...good, body: pull, headers: { ...headers, accept: '*/*' } },
        'no Content-Type': { ...good, body: pull, headers: without('content-type') },
      }))
        assert.equal(judge.complaints(JSON.parse(JSON.stringify(row))).length, 1, why)
    })
  }
})
