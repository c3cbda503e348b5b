import type { FromWorker, Signed, ToSign } from "./messages";

// The account's keys and tokens are the page's. The engine, in its worker, has the page make its requests to the account's
// server; what crosses is the request and the answer.

/** A status that comes without a body may not be given one. */
const WITHOUT_BODY = [101, 103, 204, 205, 304];

/** The worker's half: a `fetch`. */
export class Signing {
  private last = 0;
  private readonly waiting = new Map<number, (answer: Signed) => void>();

  constructor(private readonly page: (message: FromWorker, transfer?: Transferable[]) => void) {}

  async fetch(url: string, init: RequestInit): Promise<Response> {
    const id = ++this.last;
    // A request knows how every kind of header and body is to be read.
    const request = new Request(url, { method: init.method ?? "GET", headers: init.headers ?? [], body: init.body ?? null });
    const body = init.body ? await request.arrayBuffer() : undefined;
    const answer = await new Promise<Signed>((resolve, reject) => {
      init.signal?.addEventListener("abort", () => {
        if (!this.waiting.delete(id)) return;
        this.page({ dropSigning: id });
        reject(new DOMException("nobody waits any more", "AbortError"));
      });
      this.waiting.set(id, resolve);
      const sign: ToSign = { id, url, method: request.method, headers: [...request.headers], body };
      this.page({ sign }, body ? [body] : []);
    });
    if ("failed" in answer) throw Object.assign(new Error(answer.failed.message), { name: answer.failed.name });
    const { status, headers } = answer;
    return new Response(WITHOUT_BODY.includes(status) ? null : answer.body, { status, headers });
  }

  answered(answer: Signed): void {
    const resolve = this.waiting.get(answer.id);
    this.waiting.delete(answer.id);
    resolve?.(answer);
  }
}

/** The page's half: makes a request with `fetch`, an authenticated one. */
export class Signer {
  private readonly underWay = new Map<number, AbortController>();

  constructor(private readonly fetch: (url: string, init: RequestInit) => Promise<Response>) {}

  async sign({ id, url, method, headers, body }: ToSign): Promise<Signed> {
    const control = new AbortController();
    this.underWay.set(id, control);
    try {
      const response = await this.fetch(url, {
        method,
        headers,
        body: body ?? null,
        credentials: "omit",
        cache: "no-store",
        signal: control.signal,
      });
      return { id, status: response.status, headers: [...response.headers], body: await response.arrayBuffer() };
    } catch (error) {
      const { name, message } = error instanceof Error ? error : new Error(String(error));
      return { id, failed: { name, message } };
    } finally {
      this.underWay.delete(id);
    }
  }

  drop(id: number): void {
    this.underWay.get(id)?.abort();
  }
}
