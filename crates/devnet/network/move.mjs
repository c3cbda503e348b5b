// Moves an account from one PDS to another, step by step as the documentation of account migration has it. Its signing
// key changes on the way, as each PDS has its own.

/** Calls a method of a PDS; an empty body is a POST without one. */
export const call = async (pds, method, { token, body, type = 'application/json' } = {}) => {
  const url = `http://127.0.0.1:${pds.listen}/xrpc/${method}`
  const headers = { ...(token && { authorization: `Bearer ${token}` }), ...(body && { 'content-type': type }) }
  const response = await fetch(url, { method: body === undefined ? 'GET' : 'POST', headers, body: body || undefined })
  if (!response.ok) throw new Error(`${method}: ${response.status} ${await response.text()}`)
  return type === 'application/json' && response.headers.get('content-type')?.startsWith('application/json')
    ? response.json()
    : response.arrayBuffer()
}

export const moveAccount = async (from, to, { did, handle, password }) => {
  const [old, next] = [from.running.ctx, to.running.ctx]
  const permission = await old.serviceAuthJwt(did, next.cfg.service.did, 'com.atproto.server.createAccount')
  const email = `${handle.replaceAll('.', '-')}@example.com`
  const made = await call(to, 'com.atproto.server.createAccount', {
    token: permission,
    body: JSON.stringify({ did, handle, email, password }),
  })
  const token = made.accessJwt
  const repo = await call(from, `com.atproto.sync.getRepo?did=${did}`)
  await call(to, 'com.atproto.repo.importRepo', { token, body: new Uint8Array(repo), type: 'application/vnd.ipld.car' })
  const credentials = await call(to, 'com.atproto.identity.getRecommendedDidCredentials', { token })
  await old.plcClient.updateData(did, old.plcRotationKey, (last) => ({ ...last, ...credentials }))
  const session = await call(from, 'com.atproto.server.createSession', {
    body: JSON.stringify({ identifier: did, password }),
  })
  await call(to, 'com.atproto.server.activateAccount', { token, body: '' })
  await call(from, 'com.atproto.server.deactivateAccount', { token: session.accessJwt, body: '{}' })
}
