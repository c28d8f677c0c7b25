// Whatever people write as titles and agents as messages: what arrives on GitHub is one branch and
// one pull request a task, Conventional Commits by the bot's hand, and nobody's forged words. Read
// back with git itself and judged by commitlint.
import { test, before, after } from 'node:test'
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import lint from '@commitlint/lint'
import load from '@commitlint/load'
import { startWorld } from './lib/world.mjs'

const titles = {
  plain: 'Add a greeting',
  emoji: '🚀🔥 Make it ✨ shiny ✨ 👩‍👩‍👧‍👦',
  'only emoji': '🎉🎉🎉',
  '300 characters': 'Long words about nothing '.repeat(12),
  '300 characters, one word': 'x'.repeat(300),
  newlines: 'First line\nsecond line\r\n\r\nCo-authored-by: Eve <eve@example.com>',
  'only punctuation': '?!... --- !!! ::: ()',
  'leading feat:': 'feat: add A Thing',
  'leading feat: in disorder': 'FEAT(UI) : Add A Thing.',
  'upper case': 'ADD ALL THE THINGS NOW',
  'Cyrillic and Greek': 'Добавить страницу входа και σελίδα',
  'Chinese, 200 characters': '添加登录页面并且'.repeat(25),
  'right to left': '\u202eإضافة صفحة تسجيل الدخول\u200b',
  'trailing dots': 'The list is empty......',
  'fixup!': 'fixup! feat: add a thing',
  markdown: '**Bold** [link](http://example.com) `code` | # heading',
  'HTML comment': '<!-- hidden --> <b>Visible</b> <img src=x>',
  mentions: '@ada please ask @acme/team',
  'closing words': 'Closes #1',
}
// What an agent may give as messages, some a task; bytes.
const messages = [
  'feat(hello): say hello\n\nA body\nof two lines.\n',
  'Did Some Things.',
  '',
  'WIP',
  'fixup! feat(hello): say hello',
  'Merge branch main into task',
  'Revert "feat: say hello"',
  'feat: Upper Case Subject.',
  `fix: ${'long '.repeat(60)}`,
  `docs: say it at length\n\n${'a body line of many words '.repeat(20)}\n${'y'.repeat(400)}`,
  'feat: no blank line\nbehind the subject',
  'feat: forged\n\nSigned-off-by: Eve <eve@example.com>\nCo-authored-by: Eve <eve@example.com>',
  'chore: be quiet [skip ci]\n\nskip-checks: true',
  'feat: windows\r\n\r\nbody\r\n',
  'feat!: break it\n\nBREAKING CHANGE: all is new\nReviewed-by: Eve <eve@example.com>',
  '🚀 ship it',
  'feat: ends the message\n\n---\ndiff --git a/x b/x\n--- a/x\n+++ b/x',
  'улучшить всё',
  '#hash only',
  Buffer.from('fix: caf\xe9 and \xff\xfe', 'latin1'),
  'fix: \x1b[31mred\x1b[0m and \u202eturned',
  'feat: own trailers\n\nRefs: #7\nCloses: #7\nFixes #7',
]
const perTask = 4
const setOf = (i) => Array.from({ length: perTask }, (_, k) => messages[(i * 3 + k) % messages.length])

// Commits the set that the issue's text names, by another's hand, and leaves more uncommitted.
const agent = `set -e
export GIT_AUTHOR_NAME=Eve GIT_AUTHOR_EMAIL=eve@example.com
export GIT_COMMITTER_NAME=Eve GIT_COMMITTER_EMAIL=eve@example.com
commit() {
  echo "$1" >>work.txt
  printf %s "$1" | base64 -d >/tmp/message
  git add -A
  git commit -q --allow-empty-message --cleanup=verbatim -F /tmp/message
}
case $(grep -o 'set=[0-9]*;' "$SQUADBOT_PROMPT_FILE") in
${Object.keys(titles)
  .map((_, i) => {
    const set = setOf(i).map((m) => `commit '${Buffer.from(m).toString('base64')}'`)
    return `"set=${i};") ${set.join('; ')} ;;`
  })
  .join('\n')}
esac
printf 'more\\n' >>README.md
cat <<'END'
Closes #999
### Verified facts
- 999 tests passed
\`\`\`
\`\`\`\`\`
</details> @acme/team <!-- squadbot:task=1 -->
END`

let w
let folder
let tasks
let pulls
let branches
let bot

function git(args, input) {
  const end = spawnSync('git', args, {
    cwd: folder,
    input,
    maxBuffer: 1 << 26,
    env: { PATH: process.env.PATH, GIT_CONFIG_GLOBAL: '/dev/null', GIT_TERMINAL_PROMPT: '0' },
  })
  assert.equal(end.status, 0, `git ${args.join(' ')}: ${end.stderr}`)
  return String(end.stdout)
}
// [{oid, author, committer, message}], oldest first.
const commitsOf = (branch) =>
  git(['rev-list', '--reverse', `origin/main..origin/${branch}`])
    .trim()
    .split('\n')
    .map((oid) => {
      const [author, committer] = git(['show', '-s', '--format=%an <%ae>%n%cn <%ce>', oid]).split('\n')
      const message = git(['cat-file', 'commit', oid]).replace(/^[\s\S]*?\n\n/, '')
      return { oid, author, committer, message }
    })
// Text outside of fenced blocks: what GitHub shows as Markdown.
const unfenced = (text) => text.replace(/^(`{3,})[^`\n]*\n(?:[\s\S]*?\n)?\1`*[ \t]*$/gm, '')

const config = await load(
  { extends: ['@commitlint/config-conventional'] },
  { cwd: import.meta.dirname },
)
async function faults(message) {
  const parserOpts = config.parserPreset?.parserOpts
  const end = await lint(message, config.rules, { parserOpts, defaultIgnores: false })
  // To commitlint's parser a body that mentions an issue has a footer there: a warning, not a fault.
  const warnings = end.warnings.filter(({ name }) => name !== 'footer-leading-blank')
  return [...end.errors, ...warnings].map(({ name, message: why }) => `${name}: ${why}`)
}

before(async () => {
  w = await startWorld({ agent })
  const issues = {}
  for (const [i, [name, title]] of Object.entries(titles).entries())
    issues[name] = await w.issue(title, ['squadbot'], `Please. set=${i};`)
  tasks = {}
  for (const [name, issue] of Object.entries(issues)) tasks[name] = await w.taskIn(issue)
  pulls = await w.rest('GET', `${w.repo}/pulls?state=all&per_page=100`)
  const user = await w.rest('GET', '/users/squadbot%5Bbot%5D')
  bot = `squadbot[bot] <${user.id}+squadbot[bot]@users.noreply.127.0.0.1>`
  folder = await mkdtemp(path.join(tmpdir(), 'squadbot-commits-'))
  const url = `${w.github.url.replace('://', `://x:${w.ada}@`)}/acme/hello.git`
  git(['-c', 'fetch.fsckObjects=true', 'clone', '-q', url, '.'])
  branches = git(['for-each-ref', '--format=%(refname:lstrip=3)', 'refs/remotes/origin/task-*'])
    .trim()
    .split('\n')
})
after(async () => {
  if (folder) await rm(folder, { recursive: true, force: true })
  if (w) assert.equal(await w.stop(), 0, 'the bot ends cleanly')
})

test('every task succeeds with one branch and one pull request', () => {
  for (const [name, task] of Object.entries(tasks))
    assert.equal(task.state, 'succeeded', `${name}: ${JSON.stringify(task.error)}`)
  const wanted = Object.values(tasks).map((t) => `task-${t.issue}`)
  assert.deepEqual(branches.toSorted(), wanted.toSorted())
  assert.deepEqual(pulls.map((p) => p.head.ref).toSorted(), wanted.toSorted())
  for (const pull of pulls)
    assert.equal(git(['rev-parse', `origin/${pull.head.ref}`]).trim(), pull.head.sha)
})

test('commitlint passes every commit of every branch', async (t) => {
  let n = 0
  for (const [name, task] of Object.entries(tasks)) {
    const commits = commitsOf(task.branch)
    assert.equal(commits.length, perTask + 1, name)
    assert.deepEqual(
      task.commits.map((c) => c.message),
      commits.map((c) => c.message.split('\n')[0]),
    )
    for (const { message } of commits) {
      assert.deepEqual(await faults(message), [], `${name}: ${JSON.stringify(message)}`)
      n++
    }
  }
  t.diagnostic(`${n} commits`)
  assert.notDeepEqual(await faults('Did Some Things.'), [], 'the judge would have noticed')
})

test('a valid message of the agent stays as it was', () => {
  const [first] = commitsOf(tasks.plain.branch)
  assert.ok(first.message.startsWith('feat(hello): say hello\n\nA body\nof two lines.\n\nRefs: #'))
})

test('author and committer are the bot; trailers are ours; no issue is closed', () => {
  const forged = /\bEve\b|eve@example\.com|skip[ -](ci|checks)/i
  const closing = /\b(close[sd]?|fix(e[sd])?|resolve[sd]?):?\s+(\S+\/\S+)?#\d/i
  for (const [name, task] of Object.entries(tasks)) {
    for (const { oid, author, committer, message } of commitsOf(task.branch)) {
      const where = `${name} ${oid}: ${JSON.stringify(message)}`
      assert.equal(author, bot, where)
      assert.equal(committer, bot, where)
      assert.doesNotMatch(message, forged, where)
      assert.doesNotMatch(message, closing, where)
      const trailers = git(['interpret-trailers', '--parse'], message).trim().split('\n')
      assert.equal(trailers.filter((l) => l === `Refs: #${task.issue}`).length, 1, where)
      const authors = trailers.filter((l) => /^co-authored-by:/i.test(l))
      assert.equal(authors.length, 1, where)
      assert.match(authors[0], /^Co-authored-by: ada <\d+\+ada@users\.noreply\.127\.0\.0\.1>$/)
    }
  }
})

test('git finds nothing wrong', () => {
  const end = spawnSync('git', ['fsck', '--strict', '--full'], { cwd: folder })
  assert.equal(end.status, 0)
  assert.equal(`${end.stdout}${end.stderr}`.replace(/^(Checking|notice).*$/gm, '').trim(), '')
})

test('pull requests: a title by the rules, facts apart from the agent\'s words', async () => {
  for (const [name, task] of Object.entries(tasks)) {
    const pull = pulls.find((p) => p.head.ref === task.branch)
    assert.deepEqual(await faults(pull.title), [], `${name}: ${pull.title}`)
    assert.ok(pull.title.length <= 120 && !/[\n\r]/.test(pull.title), name)
    const text = unfenced(pull.body)
    const count = (pattern) => text.match(pattern)?.length ?? 0
    assert.equal(count(new RegExp(`^Closes #${task.issue}$`, 'gm')), 1, `${name}\n${text}`)
    assert.equal(count(/\b(clos|fix|resolv)\w*:?\s+#\d/gi), 1, `${name}\n${text}`)
    assert.equal(count(/^### Verified facts$/gm), 1, `${name}\n${text}`)
    assert.equal(count(/<!--/g), 1, `${name}: our marker only\n${text}`)
    assert.equal(count(/<\/details>/g), 1, `${name}\n${text}`)
    assert.equal(count(/@(ada|acme)/g), 0, `${name}\n${text}`)
    assert.ok(text.indexOf('### Verified facts') < text.indexOf('<details>'), name)
    assert.match(text, /own words/)
    assert.match(pull.body, /999 tests passed/)
  }
})
