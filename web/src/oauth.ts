import {
  BrowserOAuthClient,
  OAuthCallbackError,
  TokenInvalidError,
  TokenRefreshError,
  TokenRevokedError,
  type OAuthSession,
} from "@atproto/oauth-client-browser";
import type { Engine } from "./engine/engine";
import type { Account, SignInSettings } from "./wasm/sheaf_web";

// The reference OAuth client is heavy, so this module is loaded only when there is a session or somebody signs in. It
// keeps its DPoP keys in IndexedDB as CryptoKeys that cannot be exported, and refreshes tokens under a lock shared by all
// tabs; the small alternative keeps the private keys as text in localStorage.

/** Signs in and out, and makes the authenticated `fetch` the engine writes with. */
export class OAuth {
  private constructor(private readonly client: BrowserOAuthClient) {}

  static async load(engine: Engine): Promise<OAuth> {
    const settings = await engine.ask("signInSettings");
    const loading = BrowserOAuthClient.load({
      clientId: clientId(settings),
      // In the fragment: neither a static host's log nor a referrer ever sees the code.
      responseMode: "fragment",
      plcDirectoryUrl: settings.plc,
      allowHttp: settings.local,
      // One way to look up handles: the engine's.
      handleResolver: { resolve: async (handle) => (await engine.ask("findAccount", handle)).did as `did:plc:${string}` },
    });
    try {
      return new OAuth(await loading);
    } catch (cause) {
      throw new Error("Signing in cannot be prepared now: what servers are told of this app could not be loaded. Try again in a moment.", {
        cause,
      });
    }
  }

  /** The account's own sign-in page; it comes back to the app's root, with `then` remembered. */
  async begin(account: Account, then: string): Promise<URL> {
    try {
      return await this.client.authorize(account.handle ?? account.did, { state: then });
    } catch (cause) {
      const name = account.handle ?? account.did;
      throw new Error(`The server of ${name} did not answer the request to sign in. Try again in a moment.`, { cause });
    }
  }

  /** Ends what `begin` began, with the parameters the sign-in page returned. */
  async finish(params: URLSearchParams): Promise<{ did: string; pds: string; then: string }> {
    try {
      const { session, state } = await this.client.callback(params);
      const { aud } = await session.getTokenInfo(false);
      return { did: session.did, pds: new URL(aud).origin, then: state ?? "" };
    } catch (cause) {
      throw new SignInFailed(cause);
    }
  }

  /** `fetch` with the account's proof added, for its own server only. */
  fetchFor(did: string, pds: string): (url: string, init: RequestInit) => Promise<Response> {
    let session: Promise<OAuthSession> | undefined;
    return async (url, init) => {
      if (new URL(url).origin !== new URL(pds).origin) throw new TypeError("not the account's own server");
      try {
        session ??= this.client.restore(did);
        return await (await session).fetchHandler(url, init);
      } catch (cause) {
        session = undefined;
        throw isOver(cause) ? new SignInAgain(cause) : cause;
      }
    };
  }

  async signOut(did: string): Promise<void> {
    await this.client.revoke(did);
  }
}

/** The session has ended; the engine knows it by its name. */
class SignInAgain extends Error {
  override readonly name = "SignInAgain";

  constructor(cause: unknown) {
    super("Your session has ended. Sign in again.", { cause });
  }
}

/** Why nobody was signed in, and where it was to lead. */
class SignInFailed extends Error {
  readonly then: string;

  constructor(cause: unknown) {
    super(refusal(cause), { cause });
    this.then = (cause instanceof OAuthCallbackError ? cause.state : undefined) ?? "";
  }
}

function isOver(error: unknown): boolean {
  return error instanceof TokenRefreshError || error instanceof TokenRevokedError || error instanceof TokenInvalidError;
}

function refusal(error: unknown): string {
  const code = error instanceof OAuthCallbackError ? error.params.get("error") : undefined;
  if (code === "access_denied") return "Sheaf was not let in, so you have not been signed in.";
  if (code) return "Your server did not let you in. Try again.";
  return "This sign-in has expired, or was begun in another browser. Try again.";
}

/** Where the sign-in page returns to: the folder the app is served from. */
function root(): string {
  return new URL("./", location.origin + location.pathname).href;
}

function clientId(settings: SignInSettings): string {
  if (settings.clientId) return settings.clientId;
  if (location.protocol === "https:") return new URL("client-metadata.json", root()).href;
  const query = new URLSearchParams({ redirect_uri: root(), scope: settings.scope });
  return `http://localhost?${query}`;
}
