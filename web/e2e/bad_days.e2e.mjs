// Bad input and bad days: a clear sentence each, nothing lost, and the app goes on with what it has.

import assert from "node:assert/strict";
import { after, before, beforeEach, describe, test } from "node:test";
import { Person, makeWorld, openTo, until } from "./world.mjs";

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

  test("saying no on the server's page leads back to where one came from", async () => {
    const link = await alice.newDocument(title());
    await alice.statusSays(/^Published/);
    const unsure = await world.person();
    await unsure.openDocument(link);
    await unsure.button("Sign in").click();
    await unsure.page.getByRole("textbox", { name: "Handle" }).fill("bob.test");
    await unsure.button("Sign in").click();
    await unsure.page.getByLabel("Password", { exact: true }).fill(unsure.account("bob.test").password);
    await unsure.button("Sign in").click();
    await unsure.button("Deny access").click();
    await unsure.page.waitForURL(`${world.demo.app}**`);
    assert.match(await unsure.page.getByRole("alert").textContent(), /not been signed in/);
    await unsure.button("Sign in").waitFor();
    await unsure.page.getByRole("link", { name: "Read the document" }).click();
    await unsure.text.waitFor();
    assert.equal(unsure.page.url(), link);
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
    assert.match(await reader.page.getByRole("alert").textContent(), /no link to a document/);
    await reader.context.close();
  });

  test("a document that its owner deleted", async () => {
    const link = await alice.newDocument(title());
    await alice.typeAtEnd("Soon gone.");
    await alice.statusSays(/^Published/);
    const reader = await world.person();
    await reader.openDocument(link);
    await reader.sees("Soon gone.");
    const [repo, rkey] = Person.parts(link);
    const token = await world.token("alice.test");
    await world.xrpc("com.atproto.repo.deleteRecord", { repo, collection: "dev.sheaf.document", rkey }, token);
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
      const open = openTo(alice.demo.app);
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

  test("a server that hangs: what is on the device shows at once, and what is typed is kept", async () => {
    const link = await alice.newDocument(title());
    await alice.typeAtEnd("Before.");
    await alice.statusSays(/^Published/);
    const server = new URL(world.demo.pds).port;
    let asked = 0;
    // Neither an answer nor an end, as long as the test lasts.
    await alice.page.route(
      (url) => url.port === server,
      () => void (asked += 1),
    );
    await alice.page.goto("about:blank");
    const began = performance.now();
    await alice.page.goto(link);
    await alice.text.waitFor();
    await alice.sees("Before.");
    assert.ok(performance.now() - began < 5_000, "no server's time limit was waited for");
    assert.equal(await alice.title.inputValue(), await alice.page.title().then((whole) => whole.replace(" · Sheaf", "")));
    await alice.typeAtEnd(" During.");
    await alice.statusSays(/^Saved on this device|cannot be reached: \d+ changes? waiting/);
    await until(() => asked, (asked) => asked > 0, "the server to be asked");
    await alice.page.unrouteAll({ behavior: "ignoreErrors" });
    await alice.page.reload();
    await alice.sees("Before. During.");
    await alice.statusSays(/^Published/);
  });

  test("an expired session: what is written waits, and goes out after signing in again, in every tab", async () => {
    const bob = await world.signedIn("bob.test");
    const link = await bob.newDocument(title());
    await bob.typeAtEnd("Before.");
    await bob.statusSays(/^Published/);
    const other = new Person(bob.context, await bob.context.newPage(), world.demo);
    const otherLink = await other.newDocument(title());
    await other.statusSays(/^Published/);
    // As a server answers after two weeks.
    const open = openTo(world.demo.app);
    const refused = (status, body, more = {}) => (route) => {
      const preflight = route.request().method() === "OPTIONS";
      return preflight
        ? route.fulfill({ status: 204, headers: open })
        : route.fulfill({ status, headers: { ...open, ...more }, json: body });
    };
    const ended = { "www-authenticate": 'DPoP error="invalid_token", error_description="expired"' };
    await bob.context.route(
      (url) => url.pathname === "/xrpc/com.atproto.repo.putRecord",
      refused(401, { error: "invalid_token", message: "expired" }, ended),
    );
    await bob.context.route((url) => url.pathname === "/oauth/token", refused(400, { error: "invalid_grant" }));
    await bob.typeAtEnd(" After.");
    await other.typeAtEnd("In the other tab.");
    await bob.statusSays(/^Sign in again to publish: [1-9]\d* changes? waiting/);
    await other.statusSays(/^Sign in again to publish: [1-9]\d* changes? waiting/);
    await bob.context.unrouteAll({ behavior: "ignoreErrors" });
    await bob.button("Sign in").click();
    await bob.signIn("bob.test", { from: "here" });
    await bob.text.waitFor();
    assert.equal(bob.page.url(), link);
    await bob.sees("Before. After.");
    await bob.statusSays(/^Published/);
    await other.statusSays(/^Published/);
    const reader = await world.person();
    await reader.openDocument(link);
    await reader.sees("Before. After.");
    await reader.openDocument(otherLink);
    await reader.sees("In the other tab.");
    await reader.context.close();
    await bob.context.close();
  });
});
