import { svelte } from "@sveltejs/vite-plugin-svelte";
import type { Plugin } from "vite";
import { defineConfig } from "vitest/config";
import { serviceWorker } from "./offline.ts";
import { STYLE_NONCE } from "./src/editor/nonce.ts";

/**
 * The policy is in the page itself, so that it holds on any static host.
 *
 * `wasm-unsafe-eval` lets WebAssembly compile; there is no `unsafe-eval` and no `unsafe-inline`. CodeMirror puts its
 * rules into style elements, which carry a nonce. The nonce is no secret on a static host: what it still does is keep
 * style *attributes* in markup out. Data is fetched from whichever server an account lives on, hence `https:`.
 */
function contentSecurityPolicy(connect: string): string {
  return [
    "default-src 'none'",
    "script-src 'self' 'wasm-unsafe-eval'",
    `style-src 'self' 'nonce-${STYLE_NONCE}'`,
    `connect-src 'self' ${connect}`,
    "img-src 'self'",
    "manifest-src 'self'",
    "worker-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
  ].join("; ");
}

const PUBLIC_NETWORK = "https: wss:";
const LOOPBACK_TOO = `${PUBLIC_NETWORK} http://127.0.0.1:* http://localhost:* ws://127.0.0.1:* ws://localhost:*`;

function policy(mode: string): Plugin {
  return {
    name: "content-security-policy",
    transformIndexHtml: (html) =>
      html.replace("%CSP%", contentSecurityPolicy(mode === "dist" ? PUBLIC_NETWORK : LOOPBACK_TOO)),
  };
}

// `vite build` makes what a local network serves; `vite build --mode dist` makes what is deployed, which may talk to
// nothing but https and wss.
export default defineConfig(({ mode }) => ({
  base: "./",
  plugins: [svelte(), policy(mode), serviceWorker()],
  worker: { format: "es" },
  build: {
    target: "es2023",
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: true,
  },
  test: { include: ["test/**/*.test.ts"] },
}));
