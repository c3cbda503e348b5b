// Bad input and bad days: a clear sentence each, nothing lost, and the app goes on with what it has.

import assert from "node:assert/strict";
import { after, before, beforeEach, describe, test } from "node:test";
import { makeWorld, until } from "./world.mjs";

describe("bad days", () => {
  let world, alice;
  const title = () => `Bad day ${Date.now()}`;

  before(async () => {
    world = await makeWorld();
    alice = await world.signedIn("alice.test");
  });
  beforeEach(() => alice?.page.unrouteAll({ behavior: "ignoreErrors" }));
  after(() => world?.close());

  test("an unknown handle at sign-in", async () => {
    const nobody = await world.person();
    await nobody.open();
    await nobody.page.getByRole("textbox", { name: "Handle" }).fill("nobody.test");
    await nobody.button("Sign in").click();
    assert.match(await nobody.page.getByRole("alert").textContent(), /nobody\.test/);
    await nobody.page.getByRole("textbox", { name: "Handle" }).fill("not a handle");
    await nobody.button("Sign in").click();
    await until(
      () => nobody.page.getByRole("alert").textContent(),
      (said) => said.includes("not a handle"),
      "a sentence about the new handle",
    );
    await nobody.context.close();
  });

  test("saying no on the server's page", async () => {
    const unsure = await world.person();
    await unsure.open();
    await unsure.page.getByRole("textbox", { name: "Handle" }).fill("bob.test");
    await unsure.button("Sign in").click();
    await unsure.page.getByLabel("Password", { exact: true }).fill(unsure.account("bob.test").password);
    await unsure.button("Sign in").click();
    await unsure.button("Deny access").click();
    await unsure.page.waitForURL(`${world.demo.app}**`);
    assert.match(await unsure.page.getByRole("alert").textContent(), /not signed in/);
    await unsure.button("Sign in").waitFor();
    await unsure.context.close();
  });

  test("an unknown handle when sharing", async () => {
    await alice.newDocument(title());
    await alice.button("Share").click();
    const handle = alice.page.getByRole("textbox", { name: "Editor's handle" });
    for (const typed of ["nobody.test", "not a handle"]) {
      await handle.fill(typed);
      await alice.button("Add editor").click();
      await until(
        () => alice.page.getByRole("alert").allTextContents(),
        (said) => said.some((sentence) => sentence.includes(typed)),
        `a sentence about ${typed}`,
      );
    }
    assert.equal(await alice.page.getByRole("dialog").getByRole("listitem").count(), 1, "only the owner writes");
    await alice.page.keyboard.press("Escape");
  });

  test("a link to nothing", async () => {
    const reader = await world.person();
    await reader.open(`${world.demo.app}#/d/${alice.account("alice.test").did}/3jzfcijpj2z2a`);
    await reader.statusSays(/There is no document at this link/);
    assert.equal(await reader.text.count(), 0);
    await reader.page.goto("about:blank");
    await reader.open(`${world.demo.app}#/d/did:plc:cut`);
    assert.match(await reader.page.getByRole("alert").textContent(), /does not lead to a document/);
    await reader.context.close();
  });

  test("a document that its owner deleted", async () => {
    const link = await alice.newDocument(title());
    await alice.typeAtEnd("Soon gone.");
    await alice.statusSays(/^Published/);
    const reader = await world.person();
    await reader.openDocument(link);
    await reader.sees("Soon gone.");
    const [, did, rkey] = /#\/d\/([^/]+)\/(.+)$/.exec(link);
    const { accessJwt } = await xrpc("com.atproto.server.createSession", {
      identifier: did,
      password: alice.account("alice.test").password,
    });
    await xrpc("com.atproto.repo.deleteRecord", { repo: did, collection: "dev.sheaf.document", rkey }, accessJwt);
    await reader.statusSays(/deleted this document/);
    assert.equal(await reader.wholeText(), "Soon gone.", "what is on the device stays");
    await reader.context.close();
  });

  for (const [what, answer] of [
    ["fails", { status: 500, contentType: "text/plain", body: "no" }],
    ["sends HTML", { status: 200, contentType: "text/html", body: "<!doctype html><title>Maintenance</title>" }],
    ["cannot be reached", undefined],
  ]) {
    test(`her server ${what} for a while: nothing is lost`, async () => {
      const link = await alice.newDocument(title());
      await alice.typeAtEnd("Before.");
      await alice.statusSays(/^Published/);
      const open = headers(alice.demo.app);
      await alice.page.route(
        (url) => url.pathname === "/xrpc/com.atproto.repo.putRecord",
        (route) => {
          if (!answer) return route.abort("connectionrefused");
          const status = route.request().method() === "OPTIONS" ? 204 : answer.status;
          return route.fulfill({ ...answer, status, headers: open });
        },
      );
      await alice.typeAtEnd(" During.");
      await alice.statusSays(/cannot be reached: \d+ changes? waiting/);
      assert.equal(await alice.wholeText(), "Before. During.");
      await alice.page.unrouteAll({ behavior: "ignoreErrors" });
      await alice.statusSays(/^Published/);
      const reader = await world.person();
      await reader.openDocument(link);
      await reader.sees("Before. During.");
      await reader.context.close();
    });
  }

  test("an expired session: what is written waits, and goes out after signing in again", async () => {
    const bob = await world.signedIn("bob.test");
    const link = await bob.newDocument(title());
    await bob.typeAtEnd("Before.");
    await bob.statusSays(/^Published/);
    // As after two weeks: the device knows who it is, and its tokens are worth nothing.
    await bob.page.evaluate(async () => {
      for (const { name } of await indexedDB.databases()) {
        if (!name.startsWith("@atproto-oauth-client")) continue;
        await new Promise((resolve) => {
          const open = indexedDB.open(name);
          open.onsuccess = () => {
            const stores = [...open.result.objectStoreNames].filter((store) => store === "session");
            const change = open.result.transaction(stores, "readwrite");
            for (const store of stores) change.objectStore(store).clear();
            change.oncomplete = () => resolve(open.result.close());
          };
        });
      }
    });
    await bob.page.reload();
    await bob.text.waitFor();
    await bob.typeAtEnd(" After.");
    await bob.statusSays(/Sign in again to publish: \d+ changes? waiting/);
    await bob.button("Sign in").click();
    await bob.signIn("bob.test", { from: "here" });
    await bob.text.waitFor();
    assert.equal(bob.page.url(), link);
    await bob.sees("Before. After.");
    await bob.statusSays(/^Published/);
    const reader = await world.person();
    await reader.openDocument(link);
    await reader.sees("Before. After.");
    await reader.context.close();
    await bob.context.close();
  });

  test("a name and colours that try to be more than text", async () => {
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

  async function xrpc(method, body, token) {
    const response = await fetch(`${world.demo.pds}/xrpc/${method}`, {
      method: "POST",
      headers: { "content-type": "application/json", ...(token ? { authorization: `Bearer ${token}` } : {}) },
      body: JSON.stringify(body),
    });
    assert.ok(response.ok, `${method}: ${response.status} ${await response.clone().text()}`);
    return response.json();
  }
});

/** What lets a page of another origin read an answer. */
function headers(app) {
  return {
    "access-control-allow-origin": new URL(app).origin,
    "access-control-allow-headers": "*, authorization, content-type, dpop",
    "access-control-allow-methods": "*",
  };
}
