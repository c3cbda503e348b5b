// The browser's store behaves as every store must: the suite of `sheaf_client::store::conformance`, in Chromium.

import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { makeWorld } from "./world.mjs";

const SUITE = process.env.SHEAF_STORE_CONFORMANCE ?? path.resolve(import.meta.dirname, "../../target/xtask/store-conformance");

describe("the browser's store", () => {
  let world;

  before(async () => {
    assert.ok(existsSync(SUITE), `${SUITE} is made by \`cargo xtask test\``);
    world = await makeWorld();
  });
  after(() => world?.close());

  test("conforms", async () => {
    const { page, context, complaints } = await world.person();
    const folder = new URL("conformance/", world.demo.app).href;
    await page.route(`${folder}**`, (route) => {
      const name = new URL(route.request().url()).pathname.split("/").at(-1);
      return name ? route.fulfill({ path: path.join(SUITE, name) }) : route.fulfill({ contentType: "text/html", body: "<title>Suite</title>" });
    });
    await page.goto(folder);
    const failure = await page.evaluate(async () => {
      const { default: init, check } = await import("./store_conformance.js");
      await init({ module_or_path: new URL("store_conformance_bg.wasm", location.href) });
      // What panics never settles: the page's own error tells.
      const panic = new Promise((resolve) => addEventListener("error", ({ message }) => resolve(message), { once: true }));
      return Promise.race([panic, check("conformance").then(() => "", String)]);
    });
    assert.equal(failure, "");
    assert.deepEqual(complaints, []);
    await context.close();
  });
});
