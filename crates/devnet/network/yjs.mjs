// Real Yjs, to hold ours against: it reads documents out of Sheaf's records, and writes documents of its own.
//
//   node yjs.mjs records PDS AT-URI   what the document's records say to whoever knows Yjs and the lexicons, and nothing
//                                     else of Sheaf; all editors have to be on that one PDS
//   node yjs.mjs write ROOT SEED      a document that two made and garbled, its text called ROOT
//   node yjs.mjs read ROOT            the text of the update on standard input
//
// Each prints one line of JSON: `{"text"}`, for `write` with `"update"` in hex.

import { inflateRawSync } from 'node:zlib'
import { decode } from 'cborg'
import * as Y from 'yjs'

const DOCUMENT = 'dev.sheaf.document'
const SEGMENT = 'dev.sheaf.segment'

const query = async (pds, method, parameters) => {
  const response = await fetch(`${pds}/xrpc/${method}?${new URLSearchParams(parameters)}`)
  if (!response.ok) throw new Error(`${method}: ${response.status} ${await response.text()}`)
  return response.json()
}

const records = async (pds, repo, collection) => {
  const all = []
  let cursor
  do {
    const parameters = { repo, collection, limit: '100', ...(cursor && { cursor }) }
    const page = await query(pds, 'com.atproto.repo.listRecords', parameters)
    all.push(...page.records)
    cursor = page.cursor
  } while (cursor)
  return all
}

const fromRecords = async (pds, uri) => {
  const [owner, collection, rkey] = uri.slice('at://'.length).split('/')
  if (collection !== DOCUMENT) throw new Error(`${uri} is no document`)
  const root = await query(pds, 'com.atproto.repo.getRecord', { repo: owner, collection, rkey })
  const document = new Y.Doc()
  for (const editor of [owner, ...root.value.editors]) {
    for (const { value: segment } of await records(pds, editor, SEGMENT)) {
      if (segment.document !== uri) continue
      const entries = decode(inflateRawSync(Buffer.from(segment.entries.$bytes, 'base64')))
      for (const [, update] of entries) Y.applyUpdate(document, update)
    }
  }
  // What waits for something would be missing from the text.
  if (document.store.pendingStructs || document.store.pendingDs) throw new Error('something is missing')
  return document.getText('text')
}

/** SplitMix32. */
const chance = (seed) => () => {
  seed = (seed + 0x9e3779b9) | 0
  let mixed = seed ^ (seed >>> 16)
  mixed = Math.imul(mixed, 0x21f0aaad)
  mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97)
  return (mixed ^ (mixed >>> 15)) >>> 0
}

const WORDS = ['naïve ', 'e\u0301', '👩‍👩‍👧', 'שלום ', '\r\n', '# ', 'x', 'Straße ']

const garbled = (root, seed) => {
  const next = chance(seed)
  const peers = [new Y.Doc(), new Y.Doc()]
  peers.forEach((peer, n) => (peer.clientID = 1000 * (n + 1) + seed))
  for (let step = 0; step < 400; step++) {
    const peer = peers[next() % 2]
    const text = peer.getText(root)
    if (next() % 4 === 0 && text.length > 0) {
      const at = next() % text.length
      text.delete(at, Math.min(1 + (next() % 5), text.length - at))
    } else {
      text.insert(next() % (text.length + 1), WORDS[next() % WORDS.length])
    }
    if (next() % 10 === 0) {
      const [from, to] = next() % 2 ? peers : [...peers].reverse()
      Y.applyUpdate(to, Y.encodeStateAsUpdate(from))
    }
  }
  Y.applyUpdate(peers[0], Y.encodeStateAsUpdate(peers[1]))
  return peers[0]
}

const read = async (root) => {
  const chunks = []
  for await (const chunk of process.stdin) chunks.push(chunk)
  const document = new Y.Doc()
  Y.applyUpdate(document, Buffer.concat(chunks))
  return document.getText(root)
}

const [command, ...given] = process.argv.slice(2)
const commands = {
  records: async (pds, uri) => ({ text: (await fromRecords(pds, uri)).toString() }),
  write: (root, seed) => {
    const document = garbled(root, Number(seed))
    const update = Buffer.from(Y.encodeStateAsUpdate(document)).toString('hex')
    return { text: document.getText(root).toString(), update }
  },
  read: async (root) => ({ text: (await read(root)).toString() }),
}
console.log(JSON.stringify(await commands[command](...given)))
