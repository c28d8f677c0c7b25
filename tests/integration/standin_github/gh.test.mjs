// GitHub's command line, unchanged, against the stand-in (behind TLS, as an Enterprise host): what a
// person at the quickstart would type.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { after, before, test } from 'node:test'
import { promisify } from 'node:util'
import { startGithub } from '../lib/github.mjs'
import { startTls } from './tls.mjs'

const run = promisify(execFile)
let github
let tls
let token

async function gh(...args) {
    const { stdout } = await run('gh', args, {
        cwd: github.folder,
        env: {
            PATH: process.env.PATH,
            HOME: github.folder,
            GH_CONFIG_DIR: github.folder,
            GH_HOST: tls.host,
            GH_ENTERPRISE_TOKEN: token,
            GH_REPO: `${tls.host}/alice/demo`,
            GH_PROMPT_DISABLED: '1',
            GH_NO_UPDATE_NOTIFIER: '1',
            NO_COLOR: '1',
            SSL_CERT_FILE: tls.cert,
        },
    }).catch((error) => {
        throw new Error(`gh ${args.join(' ')}: ${error.stderr}${error.stdout}`)
    })
    return stdout
}

before(async () => {
    github = await startGithub({ args: ['--mergeable-lag', '0'] })
    tls = await startTls(github.url, github.folder)
    await github.order('config', { public_url: tls.url, api_prefix: '/api/v3' }, 'PATCH')
    token = await github.user('alice')
    await github.repo('alice/demo', {
        files: { 'README.md': 'hello\n' },
        labels: ['squadbot', 'docs'],
    })
    await github.order(
        'repos/alice/demo',
        { files: { x: 'x\n' }, branch: 'task-1', message: 'feat: x' },
        'PATCH',
    )
})
after(async () => {
    tls?.stop()
    await github?.stop()
})

test('gh api', async () => {
    assert.equal(JSON.parse(await gh('api', 'user')).login, 'alice')
    assert.equal(JSON.parse(await gh('api', 'repos/alice/demo')).full_name, 'alice/demo')
    const answer = await gh('api', 'graphql', '-f', 'query={ viewer { login } }')
    assert.deepEqual(JSON.parse(answer), { data: { viewer: { login: 'alice' } } })
})

test('gh issue', async () => {
    const made = await gh('issue', 'create', '--title', 'Add a page', '--body', 'please', '--label', 'squadbot')
    assert.match(made, /\/alice\/demo\/issues\/1/)
    const list = JSON.parse(await gh('issue', 'list', '--json', 'number,title,labels,state'))
    assert.equal(list.length, 1)
    assert.equal(list[0].labels[0].name, 'squadbot')
    assert.match(await gh('issue', 'list'), /Add a page/)
    assert.match(await gh('issue', 'list', '--label', 'squadbot'), /Add a page/)
    await gh('issue', 'comment', '1', '--body', 'hello')
    const view = await gh('issue', 'view', '1', '--comments')
    assert.match(view, /hello/)
    await gh('issue', 'close', '1')
    assert.equal(JSON.parse(await gh('issue', 'view', '1', '--json', 'state')).state, 'CLOSED')
})

test('gh pr', async () => {
    await gh('api', 'repos/alice/demo/pulls', '-f', 'title=T', '-f', 'head=task-1', '-f', 'base=main')
    assert.match(await gh('pr', 'list'), /T\s+task-1/)
    assert.match(await gh('pr', 'view', '2'), /title:\s+T/)
    const json = JSON.parse(
        await gh('pr', 'view', '2', '--json', 'number,state,headRefName,additions,mergeable,files,commits'),
    )
    assert.deepEqual(
        [json.number, json.state, json.headRefName, json.additions, json.mergeable],
        [2, 'OPEN', 'task-1', 1, 'MERGEABLE'],
    )
    assert.match(await gh('pr', 'diff', '2'), /\+x/)
    await gh('pr', 'merge', '2', '--squash')
    assert.equal(JSON.parse(await gh('pr', 'view', '2', '--json', 'state')).state, 'MERGED')
})
