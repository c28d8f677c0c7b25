// https in front of the stand-in, for gh, which knows no http: a self-made certificate and a plain
// byte relay.
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { once } from 'node:events'
import path from 'node:path'
import { createServer } from 'node:tls'

export async function startTls(target, folder) {
    const key = path.join(folder, 'tls.key')
    const cert = path.join(folder, 'tls.crt')
    execFileSync(
        'openssl',
        [
            ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'],
            ...['-keyout', key, '-out', cert, '-days', '2', '-subj', '/CN=localhost'],
            ...['-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1'],
        ],
        { stdio: 'ignore' },
    )
    const to = new URL(target)
    const server = createServer(
        { key: readFileSync(key), cert: readFileSync(cert), ALPNProtocols: ['http/1.1'] },
        (socket) => {
            const inner = connect(Number(to.port), to.hostname)
            socket.pipe(inner).pipe(socket)
            socket.on('error', () => inner.destroy())
            inner.on('error', () => socket.destroy())
        },
    )
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const host = `localhost:${server.address().port}`
    return { host, url: `https://${host}`, cert, stop: () => server.close() }
}
