// Every payload of @octokit/webhooks-examples, signed, is answered 2xx, and none of them breaks the
// dispatcher: what is stored is also understood.
import { test, before, after } from 'node:test'
import assert from 'node:assert/strict'
import examples from '@octokit/webhooks-examples' with { type: 'json' }
import { startWorld, until } from './lib/world.mjs'

let w
before(async () => {
  w = await startWorld()
})
after(async () => w && (await w.stop()))

test('all example payloads are taken', async () => {
  const list = (examples.default ?? examples).flatMap((e) =>
    e.examples.map((payload) => ({ event: e.name, payload })),
  )
  assert.ok(list.length >= 329, `${list.length} examples`)
  const results = {}
  for (const { event, payload } of list) {
    const answer = await w.deliver(event, payload)
    const body = await answer.json()
    assert.equal(answer.status, 202, `${event}: ${JSON.stringify(body)}`)
    results[body.result] = (results[body.result] ?? 0) + 1
  }
  assert.ok(results.accepted > 0 && results.ignored > 0, JSON.stringify(results))
  await until('the inbox is empty', async () => {
    const metrics = await (await fetch(`${w.bot.url}/metrics`)).text()
    return /^squadbot_inbox_depth 0$/m.test(metrics)
  })
  assert.doesNotMatch(w.bot.log, /dispatch failed/)
})
