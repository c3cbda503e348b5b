// A static host of the app of its own, which can be stopped, and can come to have a newer build.

import { createHash } from "node:crypto";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import path from "node:path";

const BUILT = path.resolve(import.meta.dirname, "../dist");
const KINDS = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".json": "application/json",
  ".wasm": "application/wasm",
  ".svg": "image/svg+xml",
  ".png": "image/png",
  ".webmanifest": "application/manifest+json",
};

export class Host {
  /** Files that are others than those that were built, by path. */
  changed = new Map();
  /** The paths that were asked for. */
  asked = [];
  /** Files that are not answered yet, by path: what their answers wait for. */
  held = new Map();

  /** Serves the app for the demo's network. */
  static async start(demo) {
    const host = new Host();
    host.changed.set("config.json", await (await fetch(new URL("config.json", demo.app))).text());
    host.server = createServer((request, response) => void host.answer(request, response));
    await host.listen(0);
    host.port = host.server.address().port;
    host.app = `http://127.0.0.1:${host.port}/`;
    return host;
  }

  async listen(port) {
    this.server.listen(port, "127.0.0.1");
    await once(this.server, "listening");
  }

  /** Nobody answers at its address any more. */
  async stop() {
    if (!this.server.listening) return;
    const closed = once(this.server, "close");
    this.server.close();
    this.server.closeAllConnections();
    await closed;
  }

  async goOn() {
    await this.listen(this.port);
  }

  async file(name) {
    return this.changed.get(name) ?? readFile(path.join(BUILT, name));
  }

  /** Answers nobody who asks for this file, until the function it returns is called. */
  hold(name) {
    let release;
    this.held.set(name, new Promise((resolve) => (release = resolve)));
    return () => {
      this.held.delete(name);
      release();
    };
  }

  /** From now on it has another build, whose page says so. */
  async update(mark) {
    const page = String(await this.file("index.html"));
    const newer = page.replace(/<html[^>]*>/, `<html lang="en" data-build="${mark}">`);
    const worker = String(await this.file("sw.js"));
    const sum = (content) => `sha256-${createHash("sha256").update(content).digest("base64")}`;
    const changed = worker.replace(sum(page), sum(newer)).replace(/(version:\s*["'`])[^"'`]*/, `$1${mark}`);
    this.changed.set("index.html", newer);
    this.changed.set("sw.js", changed);
  }

  async answer(request, response) {
    const { pathname } = new URL(request.url, this.app);
    const name = pathname === "/" ? "index.html" : pathname.slice(1);
    this.asked.push(name);
    await this.held.get(name);
    try {
      const content = await this.file(name);
      response.writeHead(200, { "content-type": KINDS[path.extname(name)] ?? "text/plain", "cache-control": "no-cache" });
      response.end(content);
    } catch {
      response.writeHead(404).end();
    }
  }
}
