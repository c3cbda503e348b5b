import { engineState } from "./stopped.svelte";
import init, { Sheaf } from "./wasm/sheaf_web";
import wasm from "./wasm/sheaf_web_bg.wasm?url";

/** How long `config.json` may take where the device remembers what it said last, or nothing was ever said. */
const PATIENCE_MS = 2_000;
const REMEMBERED = `sheaf.config ${location.pathname}`;

let started: Promise<Sheaf> | undefined;

/** The engine, started on first use. The network it speaks to is named by `config.json` beside the page, if there is one. */
export function engine(): Promise<Sheaf> {
  return (started ??= start());
}

async function start(): Promise<Sheaf> {
  const [config] = await Promise.all([configuration(), init({ module_or_path: wasm })]);
  const sheaf = await Sheaf.start(config, () => engineState.stop());
  if (config !== undefined) remember(config);
  addEventListener("online", () => sheaf.online(true));
  addEventListener("offline", () => sheaf.online(false));
  if (!navigator.onLine) sheaf.online(false);
  return sheaf;
}

/**
 * What `config.json` says, or said when it could last be read: a host that is away or slow must neither hold up the page nor
 * send it to another network. The public network is the default only where there never was a configuration.
 */
async function configuration(): Promise<string | undefined> {
  try {
    const response = await fetch("./config.json", { signal: AbortSignal.timeout(PATIENCE_MS) });
    if (response.ok && response.headers.get("content-type")?.includes("json")) return await response.text();
  } catch {
    // Away, or slow.
  }
  return remembered();
}

function remember(config: string): void {
  try {
    localStorage.setItem(REMEMBERED, config);
  } catch {
    // The browser keeps nothing for this page; the engine has its own words for that.
  }
}

function remembered(): string | undefined {
  try {
    return localStorage.getItem(REMEMBERED) ?? undefined;
  } catch {
    return undefined;
  }
}
