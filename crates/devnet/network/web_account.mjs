// Makes an account whose DID is a host name (did:web): the host is this process, on a port of its own, and serves the DID
// document for as long as the network runs. Whoever holds the host's key makes the account on the PDS, which then signs with
// a key of its own that the document has to name.

import { once } from 'node:events'
import { createServer } from 'node:http'
import { Secp256k1Keypair } from '@atproto/crypto'
import { call } from './move.mjs'

const CREATE = 'com.atproto.server.createAccount'

/** A token that shows that whoever holds `key` is `did`, good for one method of one service. */
async function permission(key, did, service, method) {
  const now = Math.floor(Date.now() / 1000)
  const encoded = (value) => Buffer.from(value).toString('base64url')
  const head = { typ: 'JWT', alg: key.jwtAlg }
  const claims = { iss: did, aud: service, lxm: method, iat: now, exp: now + 60, jti: crypto.randomUUID() }
  const signed = `${encoded(JSON.stringify(head))}.${encoded(JSON.stringify(claims))}`
  return `${signed}.${encoded(await key.sign(Buffer.from(signed)))}`
}

export const createWebAccount = async (pds, { port, did, handle, password }) => {
  const key = await Secp256k1Keypair.create()
  const document = (credentials) => ({
    '@context': ['https://www.w3.org/ns/did/v1', 'https://w3id.org/security/multikey/v1'],
    id: did,
    alsoKnownAs: [`at://${handle}`],
    verificationMethod: Object.entries(credentials.verificationMethods).map(([name, key]) => ({
      id: `${did}#${name}`,
      type: 'Multikey',
      controller: did,
      publicKeyMultibase: key.slice('did:key:'.length),
    })),
    service: Object.entries(credentials.services).map(([name, { type, endpoint }]) => ({
      id: `#${name}`,
      type,
      serviceEndpoint: endpoint,
    })),
  })
  let served = document({ verificationMethods: { atproto: key.did() }, services: {} })
  const host = createServer((request, response) => {
    const found = request.url === '/.well-known/did.json'
    response.writeHead(found ? 200 : 404, { 'content-type': 'application/json', 'access-control-allow-origin': '*' })
    response.end(found ? JSON.stringify(served) : '{}')
  })
  host.listen(port, '127.0.0.1')
  await once(host, 'listening')

  const { accessJwt: token } = await call(pds, CREATE, {
    token: await permission(key, did, pds.running.ctx.cfg.service.did, CREATE),
    body: JSON.stringify({ did, handle, password, email: `${handle.replaceAll('.', '-')}@example.com` }),
  })
  served = document(await call(pds, 'com.atproto.identity.getRecommendedDidCredentials', { token }))
  await call(pds, 'com.atproto.server.activateAccount', { token, body: '' })
}
