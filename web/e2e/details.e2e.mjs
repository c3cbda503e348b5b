// The state is always true, and what is behind it is one click away.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { makeWorld, until } from "./world.mjs";

describe("what is behind the status line", () => {
  let world, alice, link;

  before(async () => {
    world = await makeWorld();
    alice = await world.signedIn("alice.test");
    link = await alice.newDocument(`How things stand ${Date.now()}`);
    await alice.share("bob.test");
    await alice.typeAtEnd("A first line. ");
    await alice.statusSays(/^Published/);
  });
  after(() => world?.close());

  /** The details, opened anew, once they say what they should. */
  async function detailsSay(person, pattern) {
    await person.button("Details").click();
    const dialog = person.page.getByRole("dialog", { name: "How things stand" });
    const said = await until(
      () => dialog.innerText().then((text) => text.replace(/\s+/gu, " ")),
      (text) => pattern.test(text),
      `details like ${pattern}`,
    );
    await person.page.keyboard.press("Escape");
    await dialog.waitFor({ state: "detached" });
    return said;
  }

  test("each editor's server, how far they are verified and when that was looked at", async () => {
    const host = new URL(world.demo.pds).host;
    const said = await detailsSay(alice, /Waiting to be published Nothing.*bob\.test.*Verified up to/);
    const [, ours, bobs] = said.split(/(?=alice\.test · owner|bob\.test)/);
    for (const editor of [ours, bobs]) {
      assert.ok(editor.includes(`Repo ${host} did:plc:`), editor);
      assert.match(editor, /Last looked up (just now|\d+ minutes? ago)/);
    }
    assert.match(ours, /Verified up to just now 3[2-7a-z]{12}/, "a revision, and when it was made");
    assert.match(said, /Not yet saved here Nothing/);
    const { jetstream, pds } = world.demo;
    const stream = new URL(jetstream ?? pds).host.replaceAll(".", "\\.");
    await detailsSay(alice, new RegExp(`Hears of others .*when somebody has written.*\\(.*${stream}.*\\)`, "u"));
    const [, hour, today] = said.match(/([\d,]+) times this hour, ([\d,]+) today/).map((n) => Number(n.replaceAll(",", "")));
    assert.ok(hour > 0 && hour < 2_500 && today > hour, said);
  });

  test("without a network: what waits, and since when", async () => {
    await alice.context.setOffline(true);
    const time = (at) => `${String(at.getHours()).padStart(2, "0")}:${String(at.getMinutes()).padStart(2, "0")}`;
    const early = time(new Date());
    await alice.typeAtEnd("Written in a tunnel.");
    await alice.statusSays(/^Offline: \d+ changes? waiting since \d\d:\d\d$/);
    const since = (await alice.says()).says.slice(-5);
    assert.ok([early, time(new Date())].includes(since), `${since} is when it was typed`);
    await detailsSay(alice, /Waiting to be published \d+ changes?, since just now.*Offline: what others write arrives/);
    await alice.context.setOffline(false);
    await alice.statusSays(/^Published/);
    await detailsSay(alice, /Waiting to be published Nothing/);
  });

  test("a server that is out of reach is said beside the editor whose it is", async () => {
    const reader = await world.person();
    const bob = world.demo.accounts.find((account) => account.handle === "bob.test").did;
    await reader.context.route(`${world.demo.pds}/**`, (route) => {
      const { searchParams } = new URL(route.request().url());
      return searchParams.get("did") === bob ? route.abort() : route.continue();
    });
    await reader.openDocument(link);
    const said = await detailsSay(reader, new RegExp(`${bob} Its server could not be reached`));
    assert.doesNotMatch(said, /times this hour/, "who only reads has nothing to publish");
    const ours = said.slice(said.indexOf("alice.test · owner"), said.lastIndexOf(`${bob} Its server`));
    assert.doesNotMatch(ours, /could not be reached/);
    await reader.context.close();
  });
});
