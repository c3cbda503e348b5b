// A whole atproto network in one process: the reference PLC server, one or more reference PDSes, and a keeper for
// the real Jetstream. The Rust side (../src/network.rs) starts this and owns its ports, secrets and directories.
//
// It speaks JSON lines. The first line on stdin is the configuration (see `main`); `{"ready":true}` answers it.
// Then each line `{"id", "do", "index", "with"}` is a command, answered by `{"id"}` or `{"id", "error"}`.
// When stdin ends, whatever the reason, everything here ends too: no server outlives the test that started it.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { openSync, rmSync } from 'node:fs'
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { createRequire } from 'node:module'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { PDS } from '@atproto/pds'
import { moveAccount } from './move.mjs'
import { createWebAccount } from './web_account.mjs'

const require = createRequire(import.meta.url)
const { Database, PlcServer } = require('@did-plc/server')

const LOOPBACK = '127.0.0.1'

/** Both reference servers listen on every interface; an account factory without a lock belongs on loopback. */
function bindToLoopback(app, port) {
  const listen = app.listen.bind(app)
  app.listen = () => listen(port, LOOPBACK)
}

/** The reference PLC server's in-memory database, written to a file after each change and read back at the start. */
async function keptPlcDatabase(file) {
  const db = Database.mock()
  const saved = await readFile(file, 'utf8').then(JSON.parse, (error) => {
    if (error.code === 'ENOENT') return {}
    throw new Error(`the saved PLC directory ${file} cannot be read: ${error.message}`)
  })
  // Replayed through the server's own checks, then given back their times.
  for (const [did, operations] of Object.entries(saved)) {
    for (const { operation } of operations) await db.validateAndAddOp(did, operation)
    operations.forEach(({ createdAt }, i) => (db.contents[did][i].createdAt = new Date(createdAt)))
  }

  const save = async () => {
    const contents = Object.fromEntries(
      Object.entries(db.contents).map(([did, operations]) => [
        did,
        operations.map(({ operation, createdAt }) => ({ operation, createdAt })),
      ]),
    )
    await writeFile(`${file}.new`, JSON.stringify(contents))
    await rename(`${file}.new`, file)
  }
  // One save at a time: each waits for the one before, so an older state never lands last.
  let saving = Promise.resolve()
  const validateAndAddOp = db.validateAndAddOp.bind(db)
  db.validateAndAddOp = async (did, operation) => {
    await validateAndAddOp(did, operation)
    saving = saving.catch(() => {}).then(save)
    await saving
  }
  return db
}

/** A reference PDS that can be stopped and started again in place, on the same port and data. */
class Pds {
  constructor(config, plcUrl, rateLimits) {
    // Where it really is; a proxy may stand at its public port.
    this.listen = config.listen
    this.env = {
      port: config.port,
      hostname: 'localhost',
      serviceDid: `did:web:localhost%3A${config.port}`,
      serviceName: 'Local test network',
      devMode: true,
      dataDirectory: config.directory,
      blobstoreDiskLocation: path.join(config.directory, 'blobs'),
      blobstoreDiskTmpLocation: path.join(config.directory, 'blobs-unfinished'),
      didPlcUrl: plcUrl,
      serviceHandleDomains: ['.test'],
      inviteRequired: false,
      // No relay to tell, no mail, no app view: nothing here calls out.
      crawlers: [],
      disableSsrfProtection: true,
      rateLimitsEnabled: rateLimits,
      jwtSecret: config.jwtSecret,
      dpopSecret: config.dpopSecret,
      adminPassword: config.adminPassword,
      plcRotationKeyK256PrivateKeyHex: config.plcRotationKey,
    }
    this.running = null
    this.sockets = new Set()
  }

  async start() {
    if (this.running) return
    await mkdir(this.env.dataDirectory, { recursive: true })
    const pds = await PDS.fromEnv(this.env)
    bindToLoopback(pds.app, this.listen)
    const server = await pds.start()
    server.on('connection', (socket) => {
      this.sockets.add(socket)
      socket.on('close', () => this.sockets.delete(socket))
    })
    this.running = pds
  }

  /** Cuts every connection, as a crash or a pulled plug would, then closes the databases in order. */
  async stop() {
    const pds = this.running
    if (!pds) return
    this.running = null
    const closed = pds.destroy()
    for (const socket of this.sockets) socket.destroy()
    await closed
  }

  async resolveHandle(handle) {
    return this.running?.ctx.accountManager.getAccount(handle).then((account) => account?.did)
  }
}

/** The real Jetstream on one PDS. It ends by itself whenever that PDS's firehose does, so it is started again. */
class Jetstream {
  constructor(config, pdsPort, directoryUrl, log) {
    this.config = config
    this.pds = `${LOOPBACK}:${pdsPort}`
    this.directoryUrl = directoryUrl
    this.log = log
    this.child = null
    this.wanted = false
    /** Stopped because its PDS is. */
    this.waiting = false
    this.fromTheStart = true
  }

  async start() {
    this.waiting = false
    if (this.wanted) return
    this.wanted = true
    this.run()
    const deadline = Date.now() + 20_000
    for (;;) {
      if (await this.listens().catch(() => false)) return
      if (Date.now() > deadline) throw new Error(`Jetstream did not start within 20 s; see ${this.config.log}`)
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  }

  async listens() {
    const path = this.config.version === 2 ? '/xrpc/network.bsky.jetstream.subscribeEvents' : '/'
    const answer = await fetch(`http://${LOOPBACK}:${this.config.port}${path}`)
    // The second version answers 503 until it has caught up, and then that this is no WebSocket.
    return answer.ok || answer.status === 426
  }

  args() {
    return this.config.version === 2 ? this.argsOfVersion2() : this.argsOfVersion1()
  }

  argsOfVersion2() {
    const { directory, port } = this.config
    return [
      ['serve'],
      ['--addr', `${LOOPBACK}:${port}`],
      // It asks a relay which hosts there are, reads their repos, and then follows the relay's stream. The PDS's own
      // stream will do; and told to read one repo, of which there is none, it asks nobody else.
      ['--relay-url', `http://${this.pds}`],
      ['--backfill-repos', 'did:plc:aaaaaaaaaaaaaaaaaaaaaaaa'],
      ['--failed-repo-retry-interval', '0'],
      ['--plc-url', this.directoryUrl],
      ['--data-dir', directory],
      ['--client-drain-timeout', '200ms'],
    ].flat()
  }

  argsOfVersion1() {
    const { directory, port } = this.config
    // Without a saved position Jetstream begins at "now"; from 0 nothing written before it connected is missed.
    const position = this.fromTheStart && this.config.fresh ? ['--override-relay-cursor', '0'] : []
    this.fromTheStart = false
    return [
      ['--ws-url', `ws://${this.pds}/xrpc/com.atproto.sync.subscribeRepos`],
      ['--listen-addr', `${LOOPBACK}:${port}`],
      ['--metrics-listen-addr', `${LOOPBACK}:0`],
      ['--data-dir', directory],
      ['--event-ttl', '720h'],
      // A quiet network is normal here, not a reason to restart.
      ['--liveness-ttl', '8760h'],
      ['--worker-count', '4'],
      position,
    ].flat()
  }

  run() {
    const child = spawn(this.config.binary, this.args(), { stdio: ['ignore', this.log, this.log], env: {} })
    this.child = child
    child.on('error', (error) => process.stderr.write(`Jetstream cannot run: ${error.message}\n`))
    child.on('exit', () => {
      if (this.child !== child) return
      this.child = null
      if (this.wanted) setTimeout(() => this.wanted && !this.child && this.run(), 100)
    })
  }

  async stop() {
    this.wanted = false
    this.waiting = false
    const child = this.child
    if (!child || child.exitCode !== null) return
    const gone = once(child, 'exit')
    // Asked politely it saves its position; it may then wait for a dead firehose longer than we care to.
    child.kill('SIGTERM')
    const impatience = setTimeout(() => child.kill('SIGKILL'), 1_000)
    await gone
    clearTimeout(impatience)
  }

  kill() {
    this.wanted = false
    this.child?.kill('SIGKILL')
  }
}

/**
 * With several PDSes no single one can resolve every `.test` handle, and `.test` has no DNS. This asks each in turn,
 * and speaks the one XRPC query that a PDS would.
 */
async function serveHandles(port, pdses) {
  const server = createServer(async (request, response) => {
    const url = new URL(request.url, 'http://localhost')
    const answer = (status, body) => {
      response.writeHead(status, {
        'content-type': 'application/json',
        'access-control-allow-origin': '*',
        'access-control-allow-headers': '*',
      })
      response.end(JSON.stringify(body))
    }
    if (request.method === 'OPTIONS') return answer(200, {})
    if (url.pathname !== '/xrpc/com.atproto.identity.resolveHandle') return answer(404, { error: 'NotFound' })
    const handle = (url.searchParams.get('handle') ?? '').toLowerCase()
    for (const pds of pdses) {
      const did = await pds.resolveHandle(handle).catch(() => undefined)
      if (did) return answer(200, { did })
    }
    answer(400, { error: 'HandleNotFound', message: 'Unable to resolve handle' })
  })
  server.listen(port, LOOPBACK)
  await once(server, 'listening')
}

/**
 * DID documents as the public directory gives them. The reference server's own are of an older form, whose keys the
 * second version of Jetstream cannot read, so that it would take every commit for forged.
 */
async function servePublicDirectory(plcUrl) {
  const server = createServer(async (request, response) => {
    const answer = (status, body) => {
      response.writeHead(status, { 'content-type': 'application/did+ld+json' })
      response.end(JSON.stringify(body))
    }
    const data = await fetch(`${plcUrl}${request.url}/data`).catch(() => null)
    if (!data?.ok) return answer(data?.status ?? 502, { message: 'DID not registered' })
    const { did, alsoKnownAs, verificationMethods, services } = await data.json()
    answer(200, {
      '@context': ['https://www.w3.org/ns/did/v1', 'https://w3id.org/security/multikey/v1'],
      id: did,
      alsoKnownAs,
      verificationMethod: Object.entries(verificationMethods).map(([name, key]) => ({
        id: `${did}#${name}`,
        type: 'Multikey',
        controller: did,
        publicKeyMultibase: key.slice('did:key:'.length),
      })),
      service: Object.entries(services).map(([name, { type, endpoint }]) => ({
        id: `#${name}`,
        type,
        serviceEndpoint: endpoint,
      })),
    })
  })
  server.listen(0, LOOPBACK)
  await once(server, 'listening')
  return `http://${LOOPBACK}:${server.address().port}`
}

function say(line) {
  process.stdout.write(`${JSON.stringify(line)}\n`)
}

async function main(config) {
  const plc = PlcServer.create({ db: await keptPlcDatabase(config.plc.file), port: config.plc.port })
  bindToLoopback(plc.app, config.plc.port)
  const plcServer = await plc.start()
  if (!plcServer.listening) await once(plcServer, 'listening')

  const plcUrl = `http://localhost:${config.plc.port}`
  const pdses = config.pdses.map((pds) => new Pds(pds, plcUrl, config.rateLimits))
  await Promise.all(pdses.map((pds) => pds.start()))
  if (config.handlesPort) await serveHandles(config.handlesPort, pdses)

  const directoryUrl = config.jetstreams.some(({ version }) => version === 2) && (await servePublicDirectory(plcUrl))
  const jetstreams = config.jetstreams.map(
    (jetstream, i) => new Jetstream(jetstream, pdses[i].listen, directoryUrl, openSync(jetstream.log, 'a', 0o600)),
  )
  children.push(...jetstreams)
  await Promise.all(jetstreams.map((jetstream) => jetstream.start()))

  const commands = {
    // Without its PDS a Jetstream only ends, again and again; it comes back with it.
    async startPds(i) {
      await pdses[i].start()
      if (jetstreams[i]?.waiting) await jetstreams[i].start()
    },
    async stopPds(i) {
      if (jetstreams[i]?.wanted) {
        await jetstreams[i].stop()
        jetstreams[i].waiting = true
      }
      await pdses[i].stop()
    },
    createWebAccount: (i, account) => createWebAccount(pdses[i], account),
    moveAccount: (i, { to, ...account }) => moveAccount(pdses[i], pdses[to], account),
    startJetstream: (i) => jetstreams[i].start(),
    stopJetstream: (i) => jetstreams[i].stop(),
    async stop() {
      await Promise.all(jetstreams.map((jetstream) => (config.temporary ? jetstream.kill() : jetstream.stop())))
      await Promise.all(pdses.map((pds) => pds.stop()))
    },
  }
  return async ({ id, do: name, index, with: details }) => {
    try {
      await commands[name](index, details)
      say({ id })
    } catch (error) {
      say({ id, error: error.message })
    }
  }
}

const children = []
let temporary = null
process.on('exit', () => {
  for (const child of children) child.kill()
  if (temporary) rmSync(temporary, { recursive: true, force: true })
})
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => process.exit(0))
// Nobody reads the answers any more: the owner is gone.
process.stdout.on('error', () => process.exit(0))
process.on('uncaughtException', (error) => {
  process.stderr.write(`${error.stack}\n`)
  process.exit(1)
})

let handle = null
const lines = createInterface({ input: process.stdin })
lines.on('close', () => process.exit(0))
lines.on('line', async (line) => {
  const message = JSON.parse(line)
  if (handle) return (await handle)(message)
  temporary = message.temporary
  handle = main(message)
  await handle
  say({ ready: true })
})
