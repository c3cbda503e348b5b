// A page of a single script, such as another editor to measure ours against.

import { once } from "node:events";
import { createServer } from "node:http";
import path from "node:path";
import { build } from "vite";

/** Bundles a script and serves a page of it alone, for as long as this process runs. Returns the page's address. */
export async function scriptServed(script) {
  const built = await build({
    root: path.dirname(script),
    configFile: false,
    logLevel: "warn",
    build: { write: false, rollupOptions: { input: script, output: { format: "iife" } } },
  });
  const code = built.output[0].code.replaceAll("</script", "<\\/script");
  const page = `<!doctype html><meta charset="utf-8"><body><script>${code}</script>`;
  const server = createServer((_, response) => response.setHeader("content-type", "text/html").end(page));
  await once(server.listen(0, "127.0.0.1"), "listening");
  server.unref();
  return `http://127.0.0.1:${server.address().port}/`;
}
