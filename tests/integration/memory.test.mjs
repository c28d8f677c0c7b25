// What the bot costs in memory: the process and its signer, idle with a private cluster (which is
// PostgreSQL's own matter) and after tasks. Figures are printed.
import { test, before, after } from 'node:test'
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { startWorld } from './lib/world.mjs'

const MB = 1e6
let w
before(async () => {
  w = await startWorld()
})
after(async () => w && (await w.stop()))

const proc = (pid, file) => readFileSync(`/proc/${pid}/${file}`, 'utf8')
const bytes = (text, key) => 1024 * Number(new RegExp(`^${key}:\\s+(\\d+) kB`, 'm').exec(text)?.[1])

// {rss, pss} in bytes. Without root the kernel shows only the rough figure of a hardened process.
function memory(pid) {
  try {
    const rollup = proc(pid, 'smaps_rollup')
    return { rss: bytes(rollup, 'Rss'), pss: bytes(rollup, 'Pss') }
  } catch {
    return { rss: bytes(proc(pid, 'status'), 'VmRSS'), pss: NaN }
  }
}

function measure(t, when) {
  const main = w.bot.child.pid
  const children = proc(main, `task/${main}/children`).trim().split(' ')
  const signer = children.find((pid) => proc(pid, 'comm').trim() === 'squadbot-signer')
  assert.ok(signer, 'the signer runs')
  const [a, b] = [memory(main), memory(signer)]
  const text = ({ rss, pss }) => `${(rss / MB).toFixed(1)} (${(pss / MB).toFixed(1)})`
  t.diagnostic(`${when}: main ${text(a)}, signer ${text(b)} MB RSS (PSS)`)
  return a.rss + b.rss
}

const sanitized = () => process.env.SQUADBOT_SANITIZED === '1'

test('main and signer idle below 20 MB', async (t) => {
  if (sanitized()) return t.skip('sanitizers take memory of their own')
  await w.quiet()
  const all = measure(t, 'idle')
  assert.ok(all < 20 * MB, `${all} bytes`)
})

test('and stay below 40 MB after tasks', async (t) => {
  if (sanitized()) return t.skip('sanitizers take memory of their own')
  const run = async (n) => {
    const issues = []
    for (let i = 0; i < n; i++) issues.push(await w.issue(`Say hello ${i}`))
    for (const issue of issues) assert.equal((await w.taskIn(issue)).state, 'succeeded')
  }
  await run(1)
  measure(t, 'after one task')
  await run(8)
  const all = measure(t, 'after nine')
  assert.ok(all < 40 * MB, `${all} bytes`)
})
