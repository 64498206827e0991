// A small login service that asks Postern about every sign-in, over JSON, with nothing but Node 20: copy what you need of it.
//
//   node examples/login-node/server.mjs organizations/acme/sites/wiki    # beside a running `postern serve`
//
// A session is opened only after `:finish` said ENDING_SUCCEEDED, and no answer is no admission. POSTERN_URL and POSTERN_KEY_FILE
// say where Postern listens and what it takes as key; PORT is where the pages are.
import { randomUUID, timingSafeEqual } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { setTimeout as pause } from "node:timers/promises";

const site = process.argv[2] ?? "organizations/acme/sites/wiki";
const base = process.env.POSTERN_URL ?? "http://127.0.0.1:8470";
const key = readFileSync(process.env.POSTERN_KEY_FILE ?? "data/http.key", "utf8").trim();

// Accounts are this service's own: Postern knows them by their id.
const accounts = new Map([
  ["guest@gmail.com", { id: "acct-7", password: "correct horse" }],
  ["nurse@clinic-postern-demo.com", { id: "acct-8", password: "battery staple" }],
]);
const pending = new Map(); // cookie "signin" to flow; a real service lets these go with the flow's deadline

// ask sends one request, again with the same request id while nothing was recorded or nobody knows whether it was.
async function ask(path, request) {
  const body = JSON.stringify(request);
  const signal = AbortSignal.timeout(2000);
  for (let wait = 50; ; wait *= 2) {
    const answer = await fetch(`${base}/v1/${path}`, {
      method: "POST", body, signal, headers: { "content-type": "application/json", authorization: `Bearer ${key}` },
    }).catch((error) => (signal.aborted ? Promise.reject(error) : null)); // null: not reached
    if (answer?.ok) return answer.json();
    if (answer && answer.status !== 503 && answer.status !== 409) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
    await answer?.body?.cancel();
    await pause(wait, undefined, { signal });
  }
}

const from = (request) => ({ ip: request.socket.remoteAddress, userAgent: request.headers["user-agent"], client: "CLIENT_WEB" });

// One flow, one step, and the end if nothing more is demanded.
async function login(request, form) {
  const email = form.get("email") ?? "", account = accounts.get(email);
  const { flow } = await ask(`${site}/flows`, { requestId: randomUUID(), subject: { email }, context: from(request) });
  const right = account && same(account.password, form.get("password") ?? "");
  const step = right
    ? { type: "password.verified", subject: { accountId: account.id, email, emailVerified: true } } // a link was sent there once
    : { type: "password.rejected", reason: account ? "BAD_CREDENTIALS" : "USER_NOT_FOUND" };
  return next(request, await ask(`${flow}:reportStep`, { requestId: randomUUID(), step }));
}

async function code(request, form) {
  const flow = pending.get(cookie(request, "signin"));
  if (!flow) return redirect();
  return next(request, await ask(`${flow}:verifyTotp`, { requestId: randomUUID(), code: form.get("code") ?? "", context: from(request) }));
}

// next does what an answer says: ask for a code, or finish and show what came of it.
async function next(request, answer) {
  if (answer.next?.some((n) => n.factor === "TOTP")) {
    const token = randomUUID();
    pending.set(token, answer.flow);
    return { ...page(200, `<p>${text(answer.userMessage?.text)}</p><form method=post action=/code><input name=code autofocus><button>Go on</button></form>`), cookie: ["signin", token] };
  }
  const end = await ask(`${answer.flow}:finish`, { requestId: randomUUID(), finish: { action: "ACTION_COMPLETE" } });
  if (end.ending !== "ENDING_SUCCEEDED") return page(403, `<p>${text(end.userMessage?.text)}</p><p>Support code ${text(end.supportCode)}</p>`);
  const session = randomUUID();
  await ask(`${site}:recordSession`, { requestId: randomUUID(), event: "EVENT_STARTED", flow: end.flow, sessionHandle: bytes(session), context: from(request) });
  return { ...redirect(), cookie: ["session", session] };
}

// home holds the session to the policy on every request; a real service caches the answer until validUntil.
async function home(request) {
  const session = cookie(request, "session");
  if (session) {
    const answer = await ask(`${site}:checkAccess`, { sessionHandle: bytes(session), context: from(request) });
    if (answer.verdict === "VERDICT_ALLOW") return page(200, `<p>You are in.</p><form method=post action=/logout><button>Leave</button></form>`);
  }
  return page(200, `<form method=post action=/login><input name=email><input name=password type=password><button>Sign in</button></form>`);
}

async function logout(request) {
  const session = cookie(request, "session");
  if (session) await ask(`${site}:recordSession`, { requestId: randomUUID(), event: "EVENT_ENDED", sessionHandle: bytes(session), endCause: "END_CAUSE_LOGOUT" });
  return { ...redirect(), cookie: ["session", ""] };
}

const bytes = (s) => Buffer.from(s).toString("base64");
const text = (s) => (s ?? "").replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);
const page = (status, body) => ({ status, body: `<!doctype html><title>Sign in</title>${body}`, headers: { "content-type": "text/html; charset=utf-8" } });
const redirect = () => ({ status: 303, body: "", headers: { location: "/" } });
const cookie = (request, name) => request.headers.cookie?.split("; ").find((c) => c.startsWith(`${name}=`))?.slice(name.length + 1);
const same = (a, b) => Buffer.byteLength(a) === Buffer.byteLength(b) && timingSafeEqual(Buffer.from(a), Buffer.from(b));

async function formOf(request) {
  let body = "";
  for await (const part of request) if ((body += part).length > 4096) throw new Error("form too long");
  return new URLSearchParams(body);
}

const routes = { "GET /": home, "POST /login": login, "POST /code": code, "POST /logout": logout };
createServer(async (request, response) => {
  let answer;
  try {
    const route = routes[`${request.method} ${request.url}`];
    answer = route ? await route(request, await formOf(request)) : page(404, "<p>There is no such page.</p>");
  } catch (error) { // without an answer nobody is let in
    console.error(error);
    answer = page(503, "<p>Signing in is not possible at the moment.</p>");
  }
  if (answer.cookie) answer.headers["set-cookie"] = `${answer.cookie.join("=")}; Path=/; HttpOnly; SameSite=Lax`; // Secure, too, wherever there is TLS
  response.writeHead(answer.status, answer.headers).end(answer.body);
}).listen(process.env.PORT ?? 8080, "127.0.0.1", function () { console.log(`http://127.0.0.1:${this.address().port}`); });
