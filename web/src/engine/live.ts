import type { Sheaf } from "../wasm/sheaf_web";

// The live channel is a module of its own, as large as the engine: nothing waits for it, and without it everything goes on through the
// accounts' servers.

/** Brings the live channel up, where there is to be one. */
export function goLive(sheaf: Sheaf): void {
  const settings = sheaf.liveSettings();
  if (!settings) return;
  const load = async () => {
    const [{ default: init, LiveTransport }, { default: wasm }] = await Promise.all([
      import("../wasm/live/sheaf_live"),
      import("../wasm/live/sheaf_live_bg.wasm?url"),
    ]);
    await init({ module_or_path: wasm });
    const transport = new LiveTransport(settings.secret, settings.relays, (kind, link, text, bytes, dialled) =>
      sheaf.liveHappened(kind, link, text, bytes, dialled),
    );
    sheaf.connectLive(transport);
  };
  load().catch((cause: unknown) => {
    // eslint-disable-next-line no-console -- nobody misses it but whoever looks for why it is not there
    console.warn("The live channel could not be loaded.", cause);
  });
}
