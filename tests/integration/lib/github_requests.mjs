// GitHub's own description (@octokit/openapi) as judge of REST requests: is there such an operation,
// and is each parameter, header and member of the body one that it knows, of the right type?
import { convert, read, routesOf, validator } from './github_schema.mjs'

const apiVersion = '2022-11-28' // the one that the description is of
const prefix = { ghes: '/api/v3', 'api.github.com': '' }

// Names in value that no branch of the schema declares: GitHub would silently ignore them.
function unknown(schema, value, at = '') {
    if (Array.isArray(value))
        return schema.items ? value.flatMap((v, i) => unknown(schema.items, v, `${at}/${i}`)) : []
    if (!value || typeof value !== 'object') return []
    const branches = (s) => [
        s,
        ...['allOf', 'anyOf', 'oneOf'].flatMap((key) => (s[key] ?? []).flatMap(branches)),
    ]
    const all = branches(schema)
    if (all.some((s) => s.additionalProperties) || !all.some((s) => s.properties)) return []
    return Object.entries(value).flatMap(([key, v]) => {
        const known = all.find((s) => s.properties?.[key])
        return known ? unknown(known.properties[key], v, `${at}/${key}`) : [`unknown ${at}/${key}`]
    })
}

// {complaints(row of the ledger) -> list, seen: operations that were judged}. name: a file of
// @octokit/openapi without its ending.
export function requestJudge(name = 'api.github.com') {
    const document = read(`@octokit/openapi/generated/${name}.deref.json`)
    const base = prefix[name.replace(/-.*/, '')]
    const routes = routesOf(document)
    const strict = validator()
    const fromText = validator({ coerceTypes: true }) // "100" is an integer in a URL
    const compiled = new Map()
    const check = (ajv, schema, value, what) => {
        if (!compiled.has(schema)) compiled.set(schema, ajv.compile(convert(structuredClone(schema))))
        const valid = compiled.get(schema)
        if (valid(value)) return []
        return valid.errors.map((e) => `${what}${e.instancePath} ${e.message}`)
    }
    const parameter = (p, text) =>
        check(fromText, p.schema, p.schema.type === 'array' ? text.split(',') : text, `${p.in} ${p.name}`)

    function pathComplaints(operation, route, values) {
        const names = [...route.template.matchAll(/\{([^}]+)\}/g)].map((m) => m[1])
        return names.flatMap((one, i) => {
            const p = operation.parameters?.find((q) => q.in === 'path' && q.name === one)
            return p ? parameter(p, decodeURIComponent(values[i])) : [`path ${one} is not described`]
        })
    }
    function queryComplaints(operation, query) {
        const given = [...new URLSearchParams(query)]
        const known = operation.parameters?.filter((p) => p.in === 'query') ?? []
        const names = given.map(([key]) => key)
        return [
            ...known
                .filter((p) => p.required && !names.includes(p.name))
                .map((p) => `query ${p.name} is missing`),
            ...given.flatMap(([key, value], i) => {
                const p = known.find((q) => q.name === key)
                if (!p) return [`query ${key} is not described`]
                return names.indexOf(key) < i ? [`query ${key} is there twice`] : parameter(p, value)
            }),
        ]
    }
    function headerComplaints(headers, hasBody) {
        const want = {
            'user-agent': /\S/,
            accept: /^application\/vnd\.github(\.[a-z-]+)?\+json$/,
            'x-github-api-version': new RegExp(`^${apiVersion}$`),
            ...(hasBody ? { 'content-type': /^application\/json(; *charset=utf-8)?$/i } : {}),
        }
        return Object.entries(want)
            .filter(([key, pattern]) => !pattern.test(headers[key] ?? ''))
            .map(([key]) => `header ${key}: ${headers[key] ?? 'is missing'}`)
    }
    function bodyComplaints(operation, body) {
        const described = operation.requestBody
        const schema = described?.content?.['application/json']?.schema
        if (body === undefined) return described?.required ? ['the body is missing'] : []
        if (!schema) return ['a body where none is described']
        return [...check(strict, schema, body, 'body'), ...unknown(schema, body, 'body')]
    }

    const seen = new Set()
    const complaints = ({ method, path, query, headers, body }) => {
        const verb = method.toLowerCase()
        const at = `${method} ${path}`
        if (!path.startsWith(base)) return [`${at} is not below ${base}`]
        const bare = path.slice(base.length)
        const route = routes.find((r) => r.methods[verb] && r.pattern.test(bare))
        if (!route) return [`${at} is not described`]
        const operation = route.methods[verb]
        seen.add(`${method} ${route.template}`)
        return [
            ...pathComplaints(operation, route, route.pattern.exec(bare).slice(1)),
            ...queryComplaints(operation, query),
            ...headerComplaints(headers, body !== undefined),
            ...bodyComplaints(operation, body),
        ].map((text) => `${at}: ${text}`)
    }
    return { complaints, seen }
}
