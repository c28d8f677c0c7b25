// Calls below the SDK: exact bytes in and out of the stand-in, one connection a call.
import http from 'node:http'
import net from 'node:net'

// {status, headers, body (Buffer), broken}: broken = the connection ended before the answer did.
export function request(url, { method = 'GET', path, headers = {}, body, onData } = {}) {
    return new Promise((resolve, reject) => {
        let broken = null
        let finish = null
        const out = http.request(url + path, { method, headers, agent: false }, (answer) => {
            const pieces = []
            const done = () =>
                resolve({
                    status: answer.statusCode,
                    headers: answer.headers,
                    body: Buffer.concat(pieces),
                    broken,
                    complete: answer.complete,
                })
            finish = done
            answer.on('data', (piece) => {
                pieces.push(piece)
                onData?.(piece, out)
            })
            answer.on('error', (error) => {
                broken ??= error.code ?? String(error)
                done()
            })
            answer.on('end', done)
        })
        out.on('error', (error) => {
            broken ??= error.code ?? String(error)
            if (finish) finish()
            else reject(error)
        })
        out.end(body)
    })
}

// What a socket gives until it closes: {bytes, error}.
export function socketCall(port, bytes) {
    return new Promise((resolve) => {
        const socket = net.connect(port, '127.0.0.1', () => socket.write(bytes))
        const pieces = []
        let error = null
        socket.on('data', (piece) => pieces.push(piece))
        socket.on('error', (e) => (error = e.code))
        socket.on('close', () => resolve({ bytes: Buffer.concat(pieces), error }))
    })
}

export function envelope(message, flags = 0) {
    const payload = Buffer.from(typeof message === 'string' ? message : JSON.stringify(message))
    const head = Buffer.alloc(5)
    head[0] = flags
    head.writeUInt32BE(payload.length, 1)
    return Buffer.concat([head, payload])
}

// [{flags, json}], and what is left over when the stream was cut.
export function envelopes(bytes) {
    const all = []
    while (bytes.length >= 5 && bytes.length >= 5 + bytes.readUInt32BE(1)) {
        const n = bytes.readUInt32BE(1)
        all.push({ flags: bytes[0], json: JSON.parse(bytes.subarray(5, 5 + n).toString()) })
        bytes = bytes.subarray(5 + n)
    }
    return { all, rest: bytes }
}

// A sandbox by its wire calls.
export class Box {
    constructor(url, created, key) {
        Object.assign(this, { url, id: created.sandboxID, token: created.envdAccessToken, key })
    }
    static async create(standin, body = {}) {
        const answer = await request(standin.url, {
            method: 'POST',
            path: '/v2/sandboxes',
            headers: { 'X-API-Key': standin.apiKey, 'Content-Type': 'application/json' },
            body: JSON.stringify({ templateID: 'base', timeout: 60, ...body }),
        })
        if (answer.status !== 201) throw new Error(`${answer.status} ${answer.body}`)
        return new Box(standin.url, JSON.parse(answer.body), standin.apiKey)
    }
    api(method, path, body) {
        return request(this.url, {
            method,
            path,
            headers: { 'X-API-Key': this.key, 'Content-Type': 'application/json' },
            body: body === undefined ? undefined : JSON.stringify(body),
        })
    }
    headers(more = {}) {
        return {
            'E2b-Sandbox-Id': this.id,
            'E2b-Sandbox-Port': '49983',
            'X-Access-Token': this.token,
            'Connect-Protocol-Version': '1',
            ...more,
        }
    }
    plain(method, path, { headers, body } = {}) {
        return request(this.url, { method, path, headers: this.headers(headers), body })
    }
    unary(call, message, headers = {}) {
        return this.plain('POST', `/${call}`, {
            headers: { 'Content-Type': 'application/json', ...headers },
            body: JSON.stringify(message),
        })
    }
    // A server stream; onEvent(event, stop) sees each event as it comes.
    async stream(call, message, { headers = {}, onEvent } = {}) {
        let bytes = Buffer.alloc(0)
        let seen = 0
        const answer = await request(this.url, {
            method: 'POST',
            path: `/${call}`,
            headers: this.headers({ 'Content-Type': 'application/connect+json', ...headers }),
            body: envelope(message),
            onData: (piece, out) => {
                bytes = Buffer.concat([bytes, piece])
                const { all } = envelopes(bytes)
                for (; seen < all.length; seen++) onEvent?.(all[seen].json, () => out.destroy())
            },
        })
        return { ...answer, ...envelopes(answer.body) }
    }
    shell(script, more = {}, options = {}) {
        return this.stream(
            'process.Process/Start',
            {
                process: { cmd: '/bin/bash', args: ['-c', script], ...more.process },
                stdin: false,
                ...more.start,
            },
            options,
        )
    }
}

// The events of a stream by name, and its decoded output.
export function summary(stream) {
    const events = stream.all.filter((e) => e.flags === 0).map((e) => e.json.event ?? e.json)
    const text = (channel) =>
        Buffer.concat(
            events.filter((e) => e.data?.[channel]).map((e) => Buffer.from(e.data[channel], 'base64')),
        ).toString()
    const last = stream.all.at(-1)
    return {
        names: events.map((e) => Object.keys(e)[0]),
        pid: events.find((e) => e.start)?.start.pid,
        stdout: text('stdout'),
        stderr: text('stderr'),
        end: events.find((e) => e.end)?.end,
        trailer: last?.flags === 2 ? last.json : undefined,
    }
}

export async function until(what, limitMs = 5000) {
    const started = Date.now()
    for (;;) {
        const value = await what()
        if (value) return value
        if (Date.now() - started > limitMs) throw new Error(`not within ${limitMs} ms: ${what}`)
        await new Promise((resolve) => setTimeout(resolve, 20))
    }
}
