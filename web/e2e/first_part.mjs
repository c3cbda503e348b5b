// Records which of the engine's functions run until a document is shown and what is typed in it is kept, for the cut of the engine in two.
//
//     node e2e/first_part.mjs NOTING      NOTING: the engine in which every function notes that it was called
//
// Prints the names of the engine's globals that say so, a line each. What they stand for is for `cargo xtask` to know.

import { readFile, readdir } from "node:fs/promises";
import { Host } from "./host.mjs";
import { makeWorld } from "./world.mjs";

const POSTS = 1_000;
/** At once. */
const WRITES = 100;

/** Put before the worker's script: keeps hold of what the engine exports. */
const HOLD = `
for (const way of ["instantiate", "instantiateStreaming"]) {
  const instantiate = WebAssembly[way];
  WebAssembly[way] = async (...given) => {
    const made = await instantiate(...given);
    self.engineExports = (made.instance ?? made).exports;
    return made;
  };
}
`;

const called = new Set();
const world = await makeWorld();
// A host of its own: of what stands between a page and its host, browsers do not let it talk to servers on this machine.
const host = await Host.start(world.demo);
try {
  const assets = await readdir(new URL("../dist/assets/", import.meta.url));
  const asset = (begin, end) => `assets/${assets.find((name) => name.startsWith(begin) && name.endsWith(end))}`;
  host.changed.set(asset("sheaf_web_bg-", ".wasm"), await readFile(process.argv[2]));
  const worker = asset("worker-", ".js");
  host.changed.set(worker, HOLD + (await host.file(worker)));
  for (const handle of ["alice.test", "bob.test"]) await inhabit(handle);
  const alice = await world.signedIn("alice.test");
  const link = await alice.newDocument(`First ${Date.now()}`);
  await alice.typeAtEnd("# Harvest\nThe first sheaf is bound. 🌾\n");
  await alice.share("bob.test");
  await alice.statusSays(/^Published/);

  // A reader who comes by the link, and has none of it yet.
  const bob = await someone();
  const here = new URL(new URL(link).hash, host.app).href;
  await bob.openDocument(here);
  await bob.sees(/bound/);
  await notes(bob);
  // An editor: what is typed is kept. That it is published comes after.
  await bob.button("Sign in").click();
  await bob.signIn("bob.test", { from: "here" });
  await bob.sees(/bound/);
  await bob.mayWrite();
  await notes(bob);
  await bob.context.setOffline(true);
  await bob.typeAtEnd("So is the second: ü, 👩‍🌾.");
  await bob.page.keyboard.press("Backspace");
  await bob.page.keyboard.press("Enter");
  await bob.statusSays(/waiting since/);
  await notes(bob);
  // Publishing comes after, and so does what it brings about: none of that is noted.
  await bob.context.setOffline(false);
  await bob.statusSays(/^Published/);
  await bob.page.goto("about:blank");
  // The list, and a document that is here already.
  await bob.open(`${host.app}#/`);
  await bob.page.getByRole("link", { name: /^First/ }).first().waitFor();
  await notes(bob);
  await bob.openDocument(here);
  await bob.sees(/So is the second/);
  await notes(bob);
  // Who is signed in and comes by a link for the first time.
  const again = await someone();
  await again.signIn("bob.test");
  await notes(again);
  await again.page.goto("about:blank");
  await again.openDocument(here);
  await again.sees(/So is the second/);
  await again.mayWrite();
  await notes(again);
  console.log([...called].join("\n"));
} finally {
  await host.stop();
  await world.close();
}

/** Makes a repo what repos are: so large that its tree has some levels, and mostly of other things. */
async function inhabit(handle) {
  const token = await world.token(handle);
  const { did: repo } = world.demo.accounts.find((account) => account.handle === handle);
  const write = (text) => ({
    $type: "com.atproto.repo.applyWrites#create",
    collection: "org.example.post",
    value: { $type: "org.example.post", text },
  });
  for (let post = 0; post < POSTS; post += WRITES) {
    const writes = Array.from({ length: WRITES }, (_, n) => write(`Post ${post + n}`));
    await world.xrpc("com.atproto.repo.applyWrites", { repo, validate: false, writes }, token);
  }
}

/** Somebody whose engine is the one that notes, without the live channel: that is loaded once a document is shown. */
async function someone() {
  const person = await world.person({ app: host.app });
  await person.context.route("**/sheaf_live*", (route) => route.abort());
  return person;
}

async function notes(person) {
  const engine = await person.engine();
  const names = await engine.evaluate(() =>
    Object.entries(self.engineExports)
      .filter(([name, it]) => name.startsWith("called") && it.value === 1)
      .map(([name]) => name),
  );
  for (const name of names) called.add(name);
  console.error(`${person.page.url()}: ${called.size} functions so far`);
}
