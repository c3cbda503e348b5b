import init, { Sheaf } from "./wasm/sheaf_web";
import wasm from "./wasm/sheaf_web_bg.wasm?url";

let started: Promise<Sheaf> | undefined;

/** The engine, started on first use. The network it speaks to is named by `config.json` beside the page, if there is one. */
export function engine(): Promise<Sheaf> {
  return (started ??= start());
}

async function start(): Promise<Sheaf> {
  const [config] = await Promise.all([configuration(), init({ module_or_path: wasm })]);
  const sheaf = await Sheaf.start(config);
  addEventListener("online", () => sheaf.online(true));
  addEventListener("offline", () => sheaf.online(false));
  if (!navigator.onLine) sheaf.online(false);
  return sheaf;
}

async function configuration(): Promise<string | undefined> {
  try {
    const response = await fetch("./config.json");
    if (response.ok && response.headers.get("content-type")?.includes("json")) return await response.text();
  } catch {
    // Offline: the page came from a cache, and so would this have. The public network is the default.
  }
  return undefined;
}
