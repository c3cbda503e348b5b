/** How long `config.json` may take where the device remembers what it said last, or nothing was ever said. */
const PATIENCE_MS = 2_000;
const REMEMBERED = `sheaf.config ${location.pathname}`;

/**
 * What `config.json` beside the page says, or said when it could last be read: a host that is away or slow must neither hold
 * up the page nor send it to another network. The public network is the default only where there never was a configuration.
 */
export async function configuration(): Promise<string | undefined> {
  try {
    const response = await fetch("./config.json", { signal: AbortSignal.timeout(PATIENCE_MS) });
    if (response.ok && response.headers.get("content-type")?.includes("json")) return await response.text();
  } catch {
    // Away, or slow.
  }
  return remembered();
}

/** Keeps a configuration that could be used. */
export function remember(config: string): void {
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
