// The reference implementation of repos as an oracle: it plays sessions of commits, and judges repos that others wrote.
//
// It speaks JSON lines. Each request is `{"play": …}` or `{"judge": …}`; the answer is `{"played": …}`, `{"judged": …}`
// or `{"error"}`. CARs are in base64, records in atproto's JSON. See ../tests/network_oracle.rs.

import { createInterface } from 'node:readline'
import { P256Keypair, Secp256k1Keypair } from '@atproto/crypto'
import { jsonToLex } from '@atproto/lex-json'
import {
  MemoryBlockstore,
  Repo,
  blocksToCarFile,
  concatBytesAsync,
  getFullRepo,
  getRecords,
  readCarWithRoot,
  verifyDiffCar,
  verifyProofs,
  verifyRecords,
  verifyRepoCar,
} from '@atproto/repo'

const base64 = (bytes) => Buffer.from(bytes).toString('base64')
const bytes = (text) => new Uint8Array(Buffer.from(text, 'base64'))

/** `collection/rkey`, taken apart. */
const parts = (path) => {
  const [collection, rkey] = path.split('/')
  return { collection, rkey }
}

/** Keeps every block it ever had: equal records at several paths are one block, and the library removes it with the first. */
class Storage extends MemoryBlockstore {
  async applyCommit(commit) {
    this.root = commit.cid
    this.rev = commit.rev
    this.putMany(commit.newBlocks)
  }
}

/** Makes the commits of a session; tells each one, and at the end the repo and proofs of some paths. */
async function play({ did, curve, secret, commits, ask }) {
  const keypair = await (curve === 'p256' ? P256Keypair : Secp256k1Keypair).import(secret)
  const storage = new Storage()
  let repo = await Repo.create(storage, did, keypair)
  const first = { rev: repo.commit.rev, head: repo.cid.toString(), data: repo.commit.data.toString() }
  const told = []
  for (const writes of commits) {
    const ops = writes.map(({ action, path, record }) => ({
      action,
      ...parts(path),
      ...(action !== 'delete' && { record: jsonToLex(record, { strict: true }) }),
    }))
    const commit = await repo.formatCommit(ops, keypair)
    repo = await repo.applyCommit(commit)
    told.push({
      rev: commit.rev,
      head: commit.cid.toString(),
      data: repo.commit.data.toString(),
      added: base64(await blocksToCarFile(commit.cid, commit.newBlocks)),
      frame: base64(await blocksToCarFile(commit.cid, commit.relevantBlocks)),
    })
  }
  const whole = await concatBytesAsync(getFullRepo(storage, repo.cid))
  const proofs = []
  for (const path of ask) proofs.push(base64(await concatBytesAsync(getRecords(storage, repo.cid, [parts(path)]))))
  return { key: keypair.did(), first, commits: told, repo: base64(whole), proofs }
}

/** The changes between two states of a repo, as the library tells them, in a form to compare. */
const told = (writes) =>
  writes
    .map(({ action, collection, rkey, cid }) => [`${collection}/${rkey}`, action, cid.toString()])
    .sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))

/**
 * Reads a repo that somebody else wrote, commit by commit and whole, with proofs of its records. Signatures are slow here:
 * of the commits the newest one's is checked, and that of each proof.
 */
async function judge({ did, key, first, diffs, repo: whole, proofs }) {
  const storage = new Storage()
  const begin = await verifyRepoCar(bytes(first), did)
  await storage.applyCommit(begin.commit)
  let repo = await Repo.load(storage, begin.commit.cid)
  const changes = []
  for (const diff of diffs) {
    const { writes, commit } = await verifyDiffCar(repo, bytes(diff), did)
    await storage.applyCommit(commit)
    repo = await Repo.load(storage, commit.cid)
    changes.push(told(writes))
  }
  const { creates, commit } = await verifyRepoCar(bytes(whole), did, key)
  const { blocks } = await readCarWithRoot(bytes(whole))
  const contents = told(creates)
  const proved = []
  for (const { path, car } of proofs) {
    const claim = { ...parts(path), cid: null }
    const { verified } = await verifyProofs(bytes(car), [claim], did, key)
    const records = await verifyRecords(bytes(car), did, key)
    const found = records.some(({ collection, rkey }) => `${collection}/${rkey}` === path)
    proved.push({ absent: verified.length === 1, found })
  }
  return { head: commit.cid.toString(), afterDiffs: repo.cid.toString(), changes, contents, blocks: blocks.size, proved }
}

for await (const line of createInterface({ input: process.stdin })) {
  let answer
  try {
    const request = JSON.parse(line)
    answer = request.play ? { played: await play(request.play) } : { judged: await judge(request.judge) }
  } catch (error) {
    answer = { error: String(error?.stack ?? error) }
  }
  process.stdout.write(JSON.stringify(answer) + '\n')
}
