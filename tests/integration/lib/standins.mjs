// Starts the stand-ins for tests. Each start…() gives a handle with its address, the controls under
// /_standin/ and stop(). Nothing here knows the product.
import { spawn } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { once } from 'node:events'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

const here = path.dirname(fileURLToPath(import.meta.url))
export const buildDir = path.resolve(here, '..', process.env.SQUADBOT_BUILD ?? '../../build')

// Starts a stand-in's program and waits for its "listening on" line.
export async function startProgram(name, args, { limitMs = 10000 } = {}) {
    const child = spawn(path.join(buildDir, 'tests', name), args, {
        stdio: ['ignore', 'pipe', 'inherit'],
    })
    let text = ''
    const url = await new Promise((resolve, reject) => {
        const timer = setTimeout(() => reject(new Error(`${name} did not start`)), limitMs)
        child.stdout.on('data', (piece) => {
            text += piece
            const match = /listening on (http:\/\/\S+)/.exec(text)
            if (!match) return
            clearTimeout(timer)
            resolve(match[1])
        })
        child.on('error', reject)
        child.on('exit', (code) => reject(new Error(`${name} ended with ${code}: ${text}`)))
    })
    const ended = once(child, 'exit')
    const stop = async () => {
        if (child.exitCode === null && child.signalCode === null) child.kill('SIGTERM')
        await ended
    }
    return { child, url, stop }
}

// The controls that every stand-in has.
export function controls(url) {
    const call = async (method, where, body) => {
        const answer = await fetch(url + where, {
            method,
            body: body === undefined ? undefined : JSON.stringify(body),
        })
        const text = await answer.text()
        if (!answer.ok) throw new Error(`${method} ${where}: ${answer.status} ${text}`)
        return text ? JSON.parse(text) : undefined
    }
    return {
        call,
        ledger: () => call('GET', '/_standin/ledger'),
        clearLedger: () => call('DELETE', '/_standin/ledger'),
        faults: (rows) => call('POST', '/_standin/faults', rows),
        clearFaults: () => call('DELETE', '/_standin/faults'),
    }
}

export const e2bKey = 'e2b_0123456789abcdef0123456789abcdef01234567'

// E2B: {args: more options}. The handle's env is what the official tools and our bot read.
export async function startE2b({ args = [], dataDir } = {}) {
    const data = dataDir ?? (await mkdtemp(path.join(tmpdir(), 'squadbot-e2b-')))
    const program = await startProgram('standin-e2b', [
        ...['--data', data, '--api-key', e2bKey, '--die-with-parent'],
        ...args,
    ])
    const control = controls(program.url)
    return {
        ...control,
        url: program.url,
        child: program.child,
        dataDir: data,
        apiKey: e2bKey,
        env: { E2B_API_KEY: e2bKey, E2B_API_URL: program.url, E2B_SANDBOX_URL: program.url },
        sandboxes: () => control.call('GET', '/_standin/sandboxes'),
        options: (options) => control.call('POST', '/_standin/options', options),
        expire: (id) => control.call('POST', `/_standin/sandboxes/${id}/expire`),
        changeToken: (id) => control.call('POST', `/_standin/sandboxes/${id}/token`),
        stop: async () => {
            await program.stop()
            if (!dataDir) await rm(data, { recursive: true, force: true })
        },
    }
}

// A port file's number, for programs that were started elsewhere.
export async function readPort(file) {
    return Number((await readFile(file, 'utf8')).trim())
}
