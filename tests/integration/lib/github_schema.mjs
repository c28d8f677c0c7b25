// GitHub's own descriptions as judges: of REST answers (@octokit/openapi) and webhook bodies
// (@octokit/openapi-webhooks).
import Ajv from 'ajv'
import formats from 'ajv-formats'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'

const require = createRequire(import.meta.url)
export const read = (file) => JSON.parse(readFileSync(require.resolve(file), 'utf8'))

// OpenAPI 3.0 says nullable; JSON Schema has a type for it.
export function convert(node) {
    if (Array.isArray(node)) {
        node.forEach(convert)
        return node
    }
    if (!node || typeof node !== 'object') return node
    Object.values(node).forEach(convert)
    if (node.nullable === true) {
        delete node.nullable
        if (typeof node.type === 'string') node.type = [node.type, 'null']
        if (Array.isArray(node.enum) && !node.enum.includes(null)) node.enum.push(null)
        for (const key of ['oneOf', 'anyOf']) if (node[key]) node[key].push({ type: 'null' })
        if (node.allOf) {
            node.anyOf = [{ allOf: node.allOf }, { type: 'null' }]
            delete node.allOf
        }
    }
    return node
}

export function validator(options = {}) {
    const ajv = new Ajv({ strict: false, allErrors: true, validateFormats: true, ...options })
    formats(ajv)
    for (const name of ['int64', 'timestamp', 'repo.nwo', 'ssh-key', 'uri-template'])
        ajv.addFormat(name, true)
    // Templates such as …{/sha} are declared as uri in places.
    ajv.addFormat('uri', /^[a-z]+:[^\s]*$/i)
    // A bot's address has brackets in its local part.
    ajv.addFormat('email', /^\S+@\S+$/)
    return ajv
}

function judge(document, id) {
    const ajv = validator()
    ajv.addSchema(convert(document), id)
    const compiled = new Map()
    return (pointer, value) => {
        if (!compiled.has(pointer)) compiled.set(pointer, ajv.compile({ $ref: `${id}#${pointer}` }))
        const check = compiled.get(pointer)
        if (check(value)) return []
        return check.errors
            // Two error shapes of which both fit: the description's own looseness.
            .filter((e) => !(e.keyword === 'oneOf' && e.params.passingSchemas?.length > 1))
            .map((e) => `${e.instancePath || '/'} ${e.message} ${JSON.stringify(e.params)}`)
    }
}

const escape = (text) => text.replaceAll('~', '~0').replaceAll('/', '~1')

// [{template, methods, pattern}], the most literal template first; the pattern's groups are the
// template's parameters in order.
export function routesOf(document) {
    const wide = ['{path}', '{ref}', '{basehead}'] // these take slashes
    const part = (text) =>
        wide.includes(text)
            ? '(.+)'
            : text.replace(/[.*+?^$()|[\]\\]/g, '\\$&').replace(/\{[^}]+\}/g, '([^/]+)')
    const routes = Object.entries(document.paths).map(([template, methods]) => ({
        template,
        methods,
        literal: template.split('/').filter((text) => !text.startsWith('{')).length,
        pattern: new RegExp(`^${template.split('/').map(part).join('/')}$`),
    }))
    return routes.sort((a, b) => b.literal - a.literal)
}

// check(method, path, status, body) -> list of complaints; undefined = not described.
export function restJudge() {
    const document = read('@octokit/openapi/generated/api.github.com.json')
    const routes = routesOf(document)
    const seen = new Set()
    const check = judge(document, 'rest')
    const complaints = (method, path, status, body) => {
        const bare = path.replace(/\?.*$/, '').replace(/^\/api\/v3/, '')
        const route = routes.find((r) => r.pattern.test(bare) && r.methods[method.toLowerCase()])
        if (!route) return undefined
        let response = route.methods[method.toLowerCase()].responses[status]
        let pointer = `/paths/${escape(route.template)}/${method.toLowerCase()}/responses/${status}`
        if (!response) return undefined
        if (response.$ref) {
            pointer = response.$ref.slice(1)
            response = pointer.split('/').slice(1).reduce((o, k) => o[k], document)
        }
        seen.add(`${method} ${route.template} ${status}`)
        if (!response.content?.['application/json'])
            return body === undefined || status >= 300 ? [] : ['a body where none is described']
        // The list's own copy of the schema asks each account to be a user and an enterprise at once.
        if (route.template === '/app/installations' && status === 200)
            return body.flatMap((row) => check('/components/schemas/installation', row))
        return check(`${pointer}/content/application~1json/schema`, body)
    }
    return { complaints, seen }
}

export function webhookJudge() {
    const document = read('@octokit/openapi-webhooks/generated/api.github.com.json')
    const check = judge(document, 'hooks')
    return (event, payload) => {
        const key = Object.keys(document.webhooks).find(
            (name) =>
                name === `${event.replaceAll('_', '-')}-${(payload.action ?? '').replaceAll('_', '-')}` ||
                name === event.replaceAll('_', '-'),
        )
        if (!key) return [`${event}.${payload.action} is not described`]
        const schema = document.webhooks[key].post.requestBody.content['application/json'].schema
        return check(schema.$ref.slice(1), payload)
    }
}
