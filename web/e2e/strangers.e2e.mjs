// What others make up: nothing of it changes a document, and none of it is more than text.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { streamFor } from "./stream.mjs";
import { Person, makeWorld, until } from "./world.mjs";

describe("strangers", () => {
  let world, alice;

  before(async () => {
    world = await makeWorld();
    alice = await world.signedIn("alice.test");
  });
  after(() => world?.close());

  test("a title and a text that try to be more than text", async () => {
    const link = await alice.newDocument("<img src=x onerror=alert(1)> {{7*7}} \u202Etxt");
    await alice.typeAtEnd("[x](javascript:alert(1)) <script>alert(1)</script>");
    const reader = await world.person();
    reader.page.on("dialog", () => reader.complaints.push("a script ran"));
    await reader.openDocument(link);
    await reader.sees("[x](javascript:alert(1)) <script>alert(1)</script>");
    assert.equal(await reader.page.locator("main img, main script").count(), 0);
    assert.deepEqual(reader.complaints, []);
    await reader.context.close();
  });

  test("a name, a colour and a place that try to be more than they are", async () => {
    const link = await alice.newDocument(`Names ${Date.now()}`);
    await alice.typeAtEnd("Words.");
    await alice.share("bob.test");
    await alice.statusSays(/^Published/);
    alice.page.on("dialog", () => alice.complaints.push("a script ran"));
    const [, rkey] = Person.parts(link);
    const token = await world.token("bob.test");
    let life = 60;
    const announce = (fields) =>
      world.xrpc(
        "com.atproto.repo.putRecord",
        {
          repo: alice.account("bob.test").did,
          collection: "dev.sheaf.awareness",
          rkey,
          validate: false,
          record: {
            $type: "dev.sheaf.awareness",
            document: `at://${alice.account("alice.test").did}/dev.sheaf.document/${rkey}`,
            replica: "evil",
            // Each says that it holds longer than the one before, as honest ones do.
            expiresAt: new Date(Date.now() + (life += 10) * 1000).toISOString(),
            caret: { anchor: { $bytes: "AA" }, head: { $bytes: "AA" } },
            ...fields,
          },
        },
        token,
      );
    const people = alice.page.getByRole("list", { name: "People here" });
    const named = () => people.getByRole("listitem").evaluateAll((items) => items.map((item) => item.querySelector(".sr-only").textContent));
    const caret = alice.page.locator(".sheaf-caret");

    await announce({ name: "<img src=x onerror=alert(1)>\u202E\u0000Ada", color: "#aa00aa" });
    await until(named, (names) => names.includes("<img src=x onerror=alert(1)>Ada (bob.test)"), "the name as text, and whose it is");
    await caret.waitFor();
    assert.equal(await caret.textContent(), "bob.test", "in the text only who it is for certain");
    assert.equal(await caret.evaluate((element) => element.style.getPropertyValue("--person")), "#aa00aa");

    await announce({ name: "alice.test", color: "#00aa00" });
    await until(named, (names) => names.join() === "bob.test,alice.test (you)", "nobody to be called what Alice is");

    for (const color of ["red;background:url(//evil)", "#00aa00;--x:y", "url(javascript:alert(1))"]) {
      await announce({ name: "Mallory", color });
    }
    await announce({ name: "Mallory", color: "#aa00aa", caret: { anchor: { $bytes: "/////w" }, head: { $bytes: "AA" } } });
    await announce({ name: "Bob", color: "#0000aa" });
    await until(named, (names) => names.includes("Bob (bob.test)"), "the next true one");
    assert.equal(await alice.page.locator("main img, header img, main script").count(), 0);
    assert.equal(await alice.wholeText(), "Words.");
    assert.deepEqual(alice.complaints, []);
  });

  test("a Jetstream that forges, moves and replays events changes nothing on the screen", { timeout: 120_000 }, async (t) => {
    if (!world.demo.jetstream) return t.skip("Go is not installed, so there is no Jetstream");
    const words = "All of it is Alice's.";
    const link = await alice.newDocument(`Forged ${Date.now()}`);
    const title = await alice.title.inputValue();
    await alice.typeAtEnd(words);
    await alice.share("bob.test");
    await alice.statusSays(/^Published/);
    const elsewhere = await (async () => {
      const second = new Person(alice.context, await alice.context.newPage(), world.demo);
      const link = await second.newDocument(`Elsewhere ${Date.now()}`);
      await second.statusSays(/^Published/);
      await second.page.close();
      return Person.parts(link)[1];
    })();

    const reader = await world.person();
    const stream = await streamFor(reader, world.demo.jetstream);
    await reader.openDocument(link);
    await reader.sees(words);
    await reader.statusSays(/^Reading live/);
    await alice.typeAtEnd(" Every word.");
    await reader.sees(`${words} Every word.`);
    const segment = await until(
      () => stream.heard.find(({ commit }) => commit?.collection === "dev.sheaf.segment" && commit.record),
      (event) => event !== undefined,
      "a real event to forge from",
    );

    const [, rkey] = Person.parts(link);
    const bob = alice.account("bob.test").did;
    const later = (tid) => tid.slice(0, 5) + "zzzzzzzz";
    const moved = { ...segment.commit, rkey: segment.commit.rkey.replace(rkey, elsewhere) };
    const made = { ...segment.commit, rev: later(segment.commit.rev), rkey: segment.commit.rkey.replace(/\d{8}$/, "00000099") };
    const renamed = {
      ...segment.commit,
      collection: "dev.sheaf.document",
      rkey,
      rev: later(segment.commit.rev),
      record: { $type: "dev.sheaf.document", title: "FORGED", format: "yjs-v1", editors: [bob], createdAt: new Date().toISOString() },
    };
    const event = (commit, did = segment.did) => ({ ...segment, did, time_us: Date.now() * 1000, commit });
    const forged = [
      segment,
      event(segment.commit, bob),
      event(moved),
      event(made),
      event({ ...segment.commit, operation: "delete", record: undefined, cid: undefined }),
      event(renamed),
      event({ ...renamed, operation: "delete", record: undefined, cid: undefined }),
    ];
    for (let round = 0; round < 3; round++) for (const one of forged) stream.say(one);
    stream.say({ nonsense: true });

    // The stream still serves: what is true comes through it after all that, and nothing else has.
    await alice.typeAtEnd(" End.");
    await reader.sees(`${words} Every word. End.`);
    await reader.statusSays(/^Reading live/);
    assert.equal(await reader.title.inputValue(), title);
    await reader.button("Share").click();
    const editors = await reader.page.getByRole("dialog").getByRole("listitem").allTextContents();
    assert.deepEqual(editors.map((editor) => editor.trim().split(/\s+/)[0]), ["alice.test", "bob.test"]);
    assert.deepEqual(reader.complaints, []);
    await reader.context.close();
    await stream.close();
  });

  test("with Jetstream down, the account's own server rings", async () => {
    const link = await alice.newDocument(`No Jetstream ${Date.now()}`);
    await alice.statusSays(/^Published/);
    const reader = await world.person();
    const stream = await streamFor(reader, "ws://localhost:1", { down: true });
    await reader.openDocument(link);
    await reader.statusSays(/^Reading live/);
    await alice.typeAtEnd("Heard all the same.");
    await reader.sees("Heard all the same.");
    await reader.context.close();
    await stream.close();
  });
});
