// HTTP by hand: exact bytes out, whatever comes back in. For what no HTTP client would send.
import { connect } from 'node:net'

// Splits what a server sent into answers; a body goes by its Content-Length.
function parse(text) {
  const answers = []
  for (let rest = text; rest.startsWith('HTTP/1.'); ) {
    const end = rest.indexOf('\r\n\r\n')
    if (end < 0) break
    const [first, ...lines] = rest.slice(0, end).split('\r\n')
    const headers = Object.fromEntries(
      lines.map((line) => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 1).trim()]),
    )
    const length = Number(headers['content-length'] ?? 0)
    const body = rest.slice(end + 4, end + 4 + length)
    if (body.length < length) break
    const status = Number(first.split(' ')[1])
    if (status !== 100) answers.push({ status, headers, body })
    rest = rest.slice(end + 4 + length)
  }
  return answers
}

// Sends the pieces and waits until the server closes or `wanted` answers came, at most limitMs.
// Gives { answers, closed, text, ms }.
export function exchange(url, pieces, { wanted = Infinity, limitMs = 5000 } = {}) {
  const { hostname, port } = new URL(url)
  return new Promise((resolve) => {
    const began = Date.now()
    const socket = connect({ host: hostname, port })
    let text = ''
    const finish = (closed) => {
      clearTimeout(timer)
      socket.destroy()
      resolve({ answers: parse(text), closed, text, ms: Date.now() - began })
    }
    const timer = setTimeout(() => finish(false), limitMs)
    socket.setEncoding('latin1')
    socket.on('data', (piece) => {
      text += piece
      if (parse(text).length >= wanted) finish(false)
    })
    socket.on('error', () => {})
    socket.on('close', () => finish(true))
    for (const piece of [pieces].flat()) socket.write(piece, 'latin1')
  })
}
