// The GitHub stand-in for tests: starts it with a fresh App key, makes a small world through the
// control routes, and receives its webhooks. Nothing here knows the product.
import { createHmac, generateKeyPairSync } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { once } from 'node:events'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { controls, startProgram } from './standins.mjs'

export const appId = 12345
export const clientId = 'Iv23standin0000000'
export const slug = 'squadbot'
export const secret = "It's a Secret to Everybody"

// {args: more options, webhookUrl, webhookSecret}
export async function startGithub({ args = [], webhookUrl, webhookSecret = secret } = {}) {
    const folder = await mkdtemp(path.join(tmpdir(), 'squadbot-github-'))
    const keys = generateKeyPairSync('rsa', {
        modulusLength: 2048,
        publicKeyEncoding: { type: 'spki', format: 'pem' },
        privateKeyEncoding: { type: 'pkcs1', format: 'pem' },
    })
    const keyFile = path.join(folder, 'app.pem')
    await writeFile(keyFile, keys.publicKey)
    const program = await startProgram('standin-github', [
        ...['--data', path.join(folder, 'data'), '--app-key-pub', keyFile],
        ...['--app-id', String(appId), '--client-id', clientId, '--app-slug', slug],
        ...['--webhook-secret', webhookSecret],
        ...(webhookUrl ? ['--webhook-url', webhookUrl] : []),
        ...args,
    ])
    const control = controls(program.url)
    const order = (where, body, method = 'POST') => control.call(method, `/_standin/${where}`, body)
    return {
        ...control,
        order,
        url: program.url,
        child: program.child,
        folder,
        privateKey: keys.privateKey,
        token: async (login) => (await order('tokens', { login })).token,
        user: async (login, more = {}) => {
            await order('users', { login, ...more })
            return (await order('tokens', { login })).token
        },
        repo: (full, more = {}) => {
            const [owner, name] = full.split('/')
            return order('repos', { owner, name, ...more })
        },
        install: (account, more = {}) => order('installations', { account, ...more }),
        stop: async () => {
            await program.stop()
            await rm(folder, { recursive: true, force: true })
        },
    }
}

// One REST call; gives {status, headers, body}. token may be anything that goes behind "Bearer".
export function caller(url, token, more = {}) {
    return async (method, where, body, headers = {}) => {
        const answer = await fetch(where.startsWith('http') ? where : url + where, {
            method,
            redirect: 'manual',
            headers: {
                Accept: 'application/vnd.github+json',
                'User-Agent': 'squadbot-test',
                ...(token ? { Authorization: `Bearer ${token}` } : {}),
                ...more,
                ...headers,
            },
            body: body === undefined ? undefined : JSON.stringify(body),
        })
        const text = await answer.text()
        let parsed = text
        try {
            parsed = text ? JSON.parse(text) : undefined
        } catch {
            // raw media types
        }
        return { status: answer.status, headers: answer.headers, body: parsed }
    }
}

// A webhook receiver: all deliveries, with the verdict on their signature.
export async function startReceiver() {
    const got = []
    const waiting = new Set()
    const state = { status: 202 }
    const server = createServer(async (request, response) => {
        const pieces = []
        for await (const piece of request) pieces.push(piece)
        const raw = Buffer.concat(pieces)
        const want = `sha256=${createHmac('sha256', secret).update(raw).digest('hex')}`
        const row = {
            event: request.headers['x-github-event'],
            guid: request.headers['x-github-delivery'],
            headers: request.headers,
            signed: request.headers['x-hub-signature-256'] === want,
            raw: raw.toString(),
        }
        try {
            row.payload = JSON.parse(row.raw)
        } catch {
            row.payload = undefined
        }
        got.push(row)
        for (const check of waiting) check()
        if (state.hang) return
        response.writeHead(state.status, { 'Content-Type': 'text/plain' }).end('thanks')
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const name = (row) => `${row.event}${row.payload?.action ? `.${row.payload.action}` : ''}`
    return {
        got,
        state,
        name,
        url: `http://127.0.0.1:${server.address().port}/webhooks/github`,
        names: () => got.map(name),
        // Waits until `count` deliveries of that name ("issues.labeled") are there.
        until: (wanted, count = 1, limitMs = 10000) =>
            new Promise((resolve, reject) => {
                const rows = () => got.filter((row) => name(row) === wanted)
                const check = () => {
                    if (rows().length < count) return
                    clearTimeout(timer)
                    waiting.delete(check)
                    resolve(rows())
                }
                const timer = setTimeout(() => {
                    waiting.delete(check)
                    reject(new Error(`no ${wanted} #${count}; got ${got.map(name).join(' ')}`))
                }, limitMs)
                waiting.add(check)
                check()
            }),
        clear: () => got.splice(0),
        stop: () => {
            server.closeAllConnections()
            server.close()
        },
    }
}
