// commitlint itself against what bot/git/message.c thinks: the shared case file, and what the unit
// program made of random texts.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'node:test'

import lint from '@commitlint/lint'
import load from '@commitlint/load'

const build = process.env.SQUADBOT_BUILD ?? join(import.meta.dirname, '../../build')
const config = await load({ extends: ['@commitlint/config-conventional'] }, { cwd: import.meta.dirname })
const options = { parserOpts: config.parserPreset?.parserOpts, defaultIgnores: false }

async function faults(message) {
  const { errors, warnings } = await lint(message, config.rules, options)
  return [...errors, ...warnings].map(({ name }) => name)
}

test('commitlint agrees with the case file', async () => {
  const text = readFileSync(join(import.meta.dirname, '../cases/commit_messages.txt'), 'utf8')
  const rows = text.split('\n').filter((line) => line && !line.startsWith('#'))
  assert.ok(rows.length >= 60)
  for (const row of rows) {
    const [, verdict, escaped] = /^(valid|invalid)\|(.*)$/.exec(row)
    const message = escaped.replace(/\\(.)/g, (_, c) => ({ n: '\n', t: '\t' })[c] ?? c)
    const found = await faults(message)
    assert.equal(found.length === 0, verdict === 'valid', `${row}: ${found}`)
  }
})

test('commitlint accepts what is made of random texts', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'squadbot-commitlint-'))
  try {
    const file = join(folder, 'made.jsonl')
    execFileSync(join(build, 'tests/unit_git_message_test'), {
      env: { ...process.env, SQUADBOT_SUBJECTS: file },
      stdio: 'ignore',
    })
    const made = readFileSync(file, 'utf8').trim().split('\n').map((line) => JSON.parse(line))
    assert.ok(made.length >= 1000)
    for (const { kind, text } of made) {
      const found = await faults(text)
      // A body that mentions an issue in its middle has, to commitlint's parser, a footer without a
      // blank line: a warning, which agents' own paragraphs may cause.
      const real = found.filter((name) => kind === 'subject' || name !== 'footer-leading-blank')
      assert.deepEqual(real, [], JSON.stringify(text))
    }
  } finally {
    rmSync(folder, { recursive: true })
  }
})
